//! The page as a static Space on the Hub.

use crate::hub::at_a_hub;
use crate::hub_server::{Fault, Kind, OWNER_TOKEN, READER_TOKEN};

#[test]
fn the_page_goes_to_a_space_whole() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    let dry = space.json(&["push", "--space", "owner/page", "--dry-run"]);
    assert!(dry["card"].as_str().unwrap().contains("\nsdk: static\n"));
    assert_eq!(server.files("spaces/owner/page", "main"), [""; 0]);

    server.take_requests();
    let pushed = space.json(&["push", "--space", "owner/page"]);
    assert_eq!(pushed["url"], format!("{}/spaces/owner/page", server.endpoint()));
    assert_eq!(
        (&pushed["created"], &pushed["commit"]),
        (&true.into(), &server.head("spaces/owner/page", "main").into())
    );
    let requests = server.take_requests();
    assert_eq!(requests.iter().filter(|request| request.contains("/commit/")).count(), 1, "{requests:?}");
    assert!(server.all_verified());
    // What went is what is exported.
    space.ok(&["explore", "--export", "site"]);
    let names = server.files("spaces/owner/page", "main");
    let sent: Vec<&str> =
        pushed["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, sent);
    for name in &names {
        let stored = server.file("spaces/owner/page", "main", name).unwrap();
        assert!(std::fs::read(space.path("site").join(name)).unwrap() == stored, "{name}");
    }
    // A model of the same name is another repository.
    assert!(server.files("owner/page", "main").is_empty());
    space.ok(&["push", "run", "owner/page"]);
    assert!(server.file("owner/page", "main", "index.html").is_none());

    // Again, beginning with a model of one's own; what fails in passing is tried again.
    server.fail(Fault::new("POST /api/spaces/owner/page/commit/main", Kind::Status(503), 1));
    let again = space.json(&["push", "run", "--space", "owner/page", "--message", "with run"]);
    assert_eq!(again["created"], false);
    let index = server.file("spaces/owner/page", "main", "models.json").unwrap();
    assert!(String::from_utf8(index).unwrap().contains("\"first\": \"run\""));
    let weights = std::fs::read(space.path("run/model.safetensors")).unwrap();
    assert!(server.file("spaces/owner/page", "main", "models/given/model.safetensors").unwrap() == weights);
}

#[test]
fn what_cannot_be_a_space_is_refused() {
    let (mut space, server) = at_a_hub();
    assert!(space.fails(&["push", "--space", "owner/page"]).contains("needs a token"));
    space.set("HF_TOKEN", READER_TOKEN);
    let error = space.fails(&["push", "--space", "owner/page"]);
    assert!(error.contains("owner/page"), "{error}");
    space.set("HF_TOKEN", OWNER_TOKEN);
    assert!(space.fails(&["push", "nothing", "--space", "owner/page"]).contains("nothing"));
    for args in [
        &["push"][..],
        &["push", "run"],
        &["push", "run", "owner/x", "--space", "owner/page"],
        &["push", "--space", "owner/page", "--license", "mit"],
        &["push", "--space", "page"],
    ] {
        assert_eq!(space.run(args).code, 2, "{args:?}");
    }
    assert!(server.files("spaces/owner/page", "main").is_empty());
}
