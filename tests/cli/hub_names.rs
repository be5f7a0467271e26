//! Names that may be paths, tokens by their old variable, and no network at all.

use crate::hub::{at_a_hub, publish};
use crate::hub_server::READER_TOKEN;

#[test]
fn a_mistyped_path_is_not_looked_for_on_the_hub() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "runs/Mime", false);
    std::fs::create_dir(space.path("runs")).unwrap();
    std::fs::rename(space.path("run"), space.path("runs/mine")).unwrap();
    for (typed, meant) in [("runs/mime", "runs/mine"), ("run/mine", "runs/mine"), ("runs/mine2", "runs/mine")] {
        let error = space.fails(&["info", typed]);
        assert!(error.contains(&format!("no folder {typed}")) && error.contains(meant), "{error}");
        let error = space.fails(&["reconstruct", "a.png", "-o", "out.png", "--model", typed]);
        assert!(error.contains(meant), "{error}");
    }
    assert_eq!(server.take_requests(), [""; 0]);
    // What is unlike any path is asked for, not without a word; and what was fetched by its name is known by it.
    let error = space.fails(&["info", "owner/other"]);
    assert!(error.contains("no folder owner/other") && error.contains(server.endpoint()), "{error}");
    space.ok(&["pull", "runs/Mime"]);
    let said = space.ok(&["info", "runs/Mime"]).stderr;
    assert!(said.contains("no folder runs/Mime here") && said.contains(server.endpoint()), "{said}");
}

#[test]
fn the_old_variable_of_the_token_is_read() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/secret", true);
    space.set("HUGGING_FACE_HUB_TOKEN", READER_TOKEN);
    space.ok(&["pull", "owner/secret"]);
    // The new one comes first.
    space.set("HF_TOKEN", "hf_nobodys");
    assert!(space.fails(&["pull", "owner/secret"]).contains("does not accept the token"));
    space.set("HF_TOKEN", "");
    space.set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    assert!(space.fails(&["pull", "owner/secret"]).contains("if it is private"));
}

#[test]
fn without_a_network_it_is_said_once() {
    let (mut space, server) = at_a_hub();
    let commit = publish(&space, &server, "run", "owner/tiny", false);
    server.set_down(true);
    let finished = space.run(&["pull", "owner/tiny"]);
    assert_eq!(finished.code, 1);
    let lines = |text: &str| finished.stderr.lines().filter(|line| line.starts_with(text)).count();
    assert_eq!((lines("trying again"), lines("error: ")), (1, 1), "{}", finished.stderr);
    assert!(finished.stderr.contains("HF_HUB_OFFLINE"), "{}", finished.stderr);
    for variable in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
        space.set("HF_HUB_OFFLINE", "");
        space.set(variable, "1");
        let error = space.fails(&["pull", "owner/tiny"]);
        assert_eq!((error.lines().count(), error.matches("owner/tiny").count()), (1, 2), "{error}");
        assert!(error.contains("HF_HUB_OFFLINE is set: unset it"), "{error}");
        space.set(variable, "");
    }
    server.set_down(false);
    space.ok(&["pull", "owner/tiny"]);
    server.set_down(true);
    let said = space.ok(&["pull", "owner/tiny"]).stderr;
    assert!(said.contains(&commit) && said.contains("HF_HUB_OFFLINE=1"), "{said}");
}
