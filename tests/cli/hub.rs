//! pull, push, and models by their names on the Hub, against a server of our own.

use std::path::PathBuf;
use std::time::Duration;

use ksom_vqvae::hub::{HubEvent, HubModel};
use ksom_vqvae::{Error, Hub, HubProblem};

use crate::hub_server::{HubServer, OWNER_TOKEN, READER_TOKEN};
use crate::pretrained;
use crate::support::{Workspace, pixels};

/// A folder with a tiny trained model `run` and a picture `a.png`, and a Hub.
pub fn at_a_hub() -> (Workspace, HubServer) {
    let mut space = Workspace::new();
    let server = HubServer::start(0);
    space.set("HF_HUB_OFFLINE", "");
    space.set("HF_ENDPOINT", server.endpoint());
    space.train("run", 0);
    space.picture("a.png", 20, 12, 1);
    (space, server)
}

/// Puts a model directory into a repository as if somebody had pushed it; gives the commit.
pub fn publish(space: &Workspace, server: &HubServer, run: &str, repository: &str, private: bool) -> String {
    let [config, weights] = files(space, run);
    server.put(
        repository,
        private,
        &[("config.json", &config), ("model.safetensors", &weights), ("README.md", b"# It")],
    )
}

pub fn files(space: &Workspace, folder: &str) -> [Vec<u8>; 2] {
    ["config.json", "model.safetensors"].map(|file| std::fs::read(space.path(folder).join(file)).unwrap())
}

/// Every file below a folder.
pub fn all_files(folder: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(all_files(path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_pushed_model_comes_back_byte_for_byte() {
    let (mut space, server) = at_a_hub();
    space.ok(&["eval", "--data", "data", "--part", "valid", "--model", "run", "--record"]);
    space.set("HF_TOKEN", &format!("{OWNER_TOKEN}\n"));
    let pushed = space.json(&["push", "run", "owner/tiny", "--license", "mit", "--dataset", "cifar10"]);
    assert_eq!((&pushed["created"], &pushed["commit"]), (&true.into(), &server.head("owner/tiny", "main").into()));
    // The model's files, all of them, in one commit, and nothing else of the run.
    assert_eq!(server.files("owner/tiny", "main"), ["README.md", "config.json", "metrics.jsonl", "model.safetensors"]);
    let commits = |requests: &[String]| requests.iter().filter(|request| request.contains("/commit/")).count();
    assert_eq!(commits(&server.take_requests()), 1);
    let card = String::from_utf8(server.file("owner/tiny", "main", "README.md").unwrap()).unwrap();
    for text in ["license: mit\n", "library_name: candle\n", "- \"cifar10\"\n", "type: psnr\n", "owner/tiny"] {
        assert!(card.contains(text), "{text}: {card}");
    }

    space.set("HF_TOKEN", "");
    let pulled = space.json(&["pull", "owner/tiny"]);
    assert_eq!(pulled["commit"], pushed["commit"]);
    let folder = pulled["folder"].as_str().unwrap();
    assert!(files(&space, folder) == files(&space, "run"));
    // What lies in the cache is where Python's huggingface_hub looks for it.
    let snapshot = format!("hf/hub/models--owner--tiny/snapshots/{}", pulled["commit"].as_str().unwrap());
    assert_eq!(space.path(folder), space.path(&snapshot));
    let reference = std::fs::read_to_string(space.path("hf/hub/models--owner--tiny/refs/main")).unwrap();
    assert_eq!(pulled["commit"], *reference);

    space.ok(&["reconstruct", "a.png", "-o", "local.png", "--model", "run"]);
    space.ok(&["reconstruct", "a.png", "-o", "hub.png", "--model", "owner/tiny"]);
    assert_eq!(pixels(&space.path("local.png")), pixels(&space.path("hub.png")));
    let weights = |requests: Vec<String>| requests.iter().filter(|r| r.contains("model.safetensors")).count();
    // Fetched once, by way of a redirection, though it was named twice.
    assert_eq!(weights(server.take_requests()), 2);
}

#[test]
fn a_dry_run_prints_what_would_go_and_asks_nobody() {
    let (mut space, server) = at_a_hub();
    let dry = space.json(&["push", "run", "owner/tiny", "--dry-run"]);
    assert_eq!(server.take_requests(), [""; 0]);
    let text = space.ok(&["push", "run", "owner/tiny", "--dry-run"]).stdout;
    assert!(text.contains("library_name: candle") && text.contains("model.safetensors"), "{text}");
    assert!(!text.contains("training.safetensors"), "{text}");

    space.set("HF_TOKEN", OWNER_TOKEN);
    let pushed = space.json(&["push", "run", "owner/tiny"]);
    assert_eq!(dry["files"], pushed["files"]);
    let card = server.file("owner/tiny", "main", "README.md").unwrap();
    assert_eq!(dry["card"], *String::from_utf8(card).unwrap());
}

#[test]
fn a_card_of_ones_own_goes_as_it_is() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    std::fs::write(space.path("run/README.md"), "---\nlicense: mit\n---\nmine\n").unwrap();
    let error = space.fails(&["push", "run", "owner/tiny", "--license", "mit"]);
    assert!(error.contains("README.md"), "{error}");
    space.ok(&["push", "run", "owner/tiny"]);
    assert_eq!(server.file("owner/tiny", "main", "README.md").unwrap(), b"---\nlicense: mit\n---\nmine\n");
}

#[test]
fn revisions_are_pinned() {
    let (mut space, server) = at_a_hub();
    space.train("other", 1);
    let first = publish(&space, &server, "run", "owner/tiny", false);
    space.json(&["pull", "owner/tiny"]);
    let second = publish(&space, &server, "other", "owner/tiny", false);
    let pull = |name: &str| space.json(&["pull", name]);
    for (name, commit, run) in [
        (format!("owner/tiny@{first}"), &first, "run"),
        ("owner/tiny".to_string(), &second, "other"),
        (format!("owner/tiny@{second}"), &second, "other"),
        (format!("owner/tiny@{first}"), &first, "run"),
    ] {
        let pulled = pull(&name);
        assert_eq!(pulled["commit"], **commit);
        assert!(files(&space, pulled["folder"].as_str().unwrap()) == files(&space, run));
    }
    // A commit that is here needs no question.
    server.take_requests();
    pull(&format!("owner/tiny@{first}"));
    assert_eq!(server.take_requests(), [""; 0]);
    assert!(space.fails(&["pull", "owner/tiny@v9"]).contains("no revision \"v9\""));

    space.set("HF_TOKEN", OWNER_TOKEN);
    let pushed = space.json(&["push", "run", "owner/tiny", "--revision", "v1"]);
    assert_eq!(server.head("owner/tiny", "v1").unwrap(), pushed["commit"]);
    assert_eq!(server.head("owner/tiny", "main").unwrap(), second);
    assert_eq!(space.json(&["pull", "owner/tiny@v1"])["commit"], pushed["commit"]);

    let listed = space.json(&["list"]);
    let cached = listed["cached"].as_array().unwrap();
    assert_eq!(cached.len(), 3, "{listed}");
    let at = |commit: &str| cached.iter().find(|model| model["commit"] == commit).unwrap();
    assert_eq!(at(&second)["revisions"], serde_json::json!(["main"]));
    assert_eq!(at(pushed["commit"].as_str().unwrap())["revisions"], serde_json::json!(["v1"]));
    assert!(space.ok(&["list"]).stdout.contains("owner/tiny"));
}

#[test]
fn private_models_need_a_token() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/secret", true);
    let error = space.fails(&["pull", "owner/secret"]);
    assert!(error.contains("HF_TOKEN") && error.contains("hf auth login"), "{error}");
    assert_eq!(all_files(space.path("hf")), Vec::<PathBuf>::new());

    space.set("HF_TOKEN", "hf_nobodys");
    let error = space.fails(&["pull", "owner/secret"]);
    assert!(error.contains("does not accept the token") && !error.contains("hf_nobodys"), "{error}");
    // The token that `hf auth login` stores.
    space.set("HF_TOKEN", "");
    std::fs::create_dir_all(space.path("hf")).unwrap();
    std::fs::write(space.path("hf/token"), format!("{READER_TOKEN}\n")).unwrap();
    space.ok(&["pull", "owner/secret"]);

    let error = space.fails(&["push", "run", "owner/secret"]);
    assert!(error.contains("may read, but not write") && !error.contains(READER_TOKEN), "{error}");
    space.set("HF_TOKEN", OWNER_TOKEN);
    space.ok(&["push", "run", "owner/new", "--private"]);
    space.set("HF_TOKEN", READER_TOKEN);
    space.ok(&["pull", "owner/new"]);
    std::fs::remove_file(space.path("hf/token")).unwrap();
    space.set("HF_TOKEN", "");
    let error = space.fails(&["push", "run", "owner/new"]);
    assert!(error.contains("pushing needs a token"), "{error}");
}

#[test]
fn nothing_private_becomes_public_unasked() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/open", false);
    space.set("HF_TOKEN", OWNER_TOKEN);
    let error = space.fails(&["push", "run", "owner/open", "--private"]);
    assert!(error.contains("is public"), "{error}");
    assert_eq!(server.files("owner/open", "main"), ["README.md", "config.json", "model.safetensors"]);
}

#[test]
fn a_proposal_leaves_the_branch_alone() {
    let (mut space, server) = at_a_hub();
    let before = publish(&space, &server, "run", "owner/tiny", false);
    space.train("other", 1);
    space.set("HF_TOKEN", OWNER_TOKEN);
    let pushed = space.json(&["push", "other", "owner/tiny", "--create-pr", "--message", "Better"]);
    assert!(pushed["pull_request"].as_str().unwrap().ends_with("/owner/tiny/discussions/1"), "{pushed}");
    assert_eq!(server.head("owner/tiny", "main").unwrap(), before);
    let pulled = space.json(&["pull", "owner/tiny@refs/pr/1"]);
    assert!(files(&space, pulled["folder"].as_str().unwrap()) == files(&space, "other"));
    assert!(space.fails(&["push", "other", "owner/none", "--create-pr"]).contains("no such repository"));
}

#[test]
fn finetuning_records_what_it_began_with() {
    let (mut space, server) = at_a_hub();
    let commit = publish(&space, &server, "run", "owner/tiny", false);
    let args = ["finetune", "owner/tiny", "--data", "data", "--out", "tuned", "--steps", "2"];
    let report = space.json(&[&args[..], &["--set", "size=[32,32]", "--set", "batch_size=4"]].concat());
    assert_eq!((&report["base_model"], &report["base_revision"]), (&"owner/tiny".into(), &(*commit).into()));
    let provenance = &space.json(&["info", "tuned"])["provenance"];
    assert_eq!((&provenance["base_model"], &provenance["base_revision"]), (&"owner/tiny".into(), &(*commit).into()));

    space.set("HF_TOKEN", OWNER_TOKEN);
    space.ok(&["push", "tuned", "owner/tuned"]);
    let card = String::from_utf8(server.file("owner/tuned", "main", "README.md").unwrap()).unwrap();
    assert!(card.contains("base_model: \"owner/tiny\"\n") && card.contains(&commit), "{card}");
    // It continues from that commit, wherever the branch has gone since.
    publish(&space, &server, "tuned", "owner/tiny", false);
    let again = space.json(&["finetune", "owner/tiny", "--out", "tuned", "--resume"]);
    assert_eq!(again["base_revision"], *commit);
}

#[test]
fn folders_on_this_machine_are_not_told() {
    let (mut space, server) = at_a_hub();
    let base = space.path("run").display().to_string();
    let args = ["finetune", &base, "--data", "data", "--out", "tuned", "--steps", "1"];
    space.ok(&[&args[..], &["--set", "size=[32,32]", "--set", "batch_size=4"]].concat());
    space.set("HF_TOKEN", OWNER_TOKEN);
    space.ok(&["push", "tuned", "owner/tuned"]);
    let home = space.path("").display().to_string();
    for file in server.files("owner/tuned", "main") {
        let contents = server.file("owner/tuned", "main", &file).unwrap();
        assert!(!String::from_utf8_lossy(&contents).contains(home.trim_end_matches('/')), "{file}");
    }
    let config = String::from_utf8(server.file("owner/tuned", "main", "config.json").unwrap()).unwrap();
    assert!(config.contains("\"base_model\": \"run\""), "{config}");
}

#[test]
fn the_cache_alone_is_enough_offline() {
    let (mut space, server) = at_a_hub();
    let commit = publish(&space, &server, "run", "owner/tiny", false);
    space.ok(&["pull", "owner/tiny"]);
    server.take_requests();
    space.set("HF_HUB_OFFLINE", "1");
    space.ok(&["reconstruct", "a.png", "-o", "out.png", "--model", "owner/tiny"]);
    space.ok(&["encode", "a.png", "-o", "codes.safetensors", "--model", &format!("owner/tiny@{commit}")]);
    assert_eq!(space.json(&["pull", "owner/tiny"])["commit"], *commit);
    let error = space.fails(&["info", "owner/other"]);
    assert!(error.contains("`ksom pull owner/other`") && error.contains("HF_HUB_OFFLINE"), "{error}");
    assert!(space.fails(&["push", "run", "owner/tiny"]).contains("HF_HUB_OFFLINE"));
    assert_eq!(server.take_requests(), [""; 0]);

    // Without a network, but not told so: the copy that is here, with a warning.
    space.set("HF_HUB_OFFLINE", "0");
    server.set_down(true);
    let finished = space.ok(&["info", "owner/tiny"]);
    assert!(finished.stderr.contains("warning: ") && finished.stderr.contains(&commit), "{}", finished.stderr);
    let error = space.fails(&["info", "owner/other"]);
    assert!(error.contains(server.endpoint()), "{error}");
}

#[test]
fn files_can_be_copied_to_a_folder() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    let pulled = space.json(&["pull", "owner/tiny", "--local-dir", "here"]);
    assert_eq!(pulled["folder"], "here");
    assert!(files(&space, "here") == files(&space, "run"));
    assert!(!space.path("here/config.json").symlink_metadata().unwrap().is_symlink());
    space.ok(&["pull", "owner/tiny", "--local-dir", "here"]);
    std::fs::write(space.path("here/config.json"), "mine").unwrap();
    let error = space.fails(&["pull", "owner/tiny", "--local-dir", "here"]);
    assert!(error.contains("config.json") && error.contains("--overwrite"), "{error}");
    assert_eq!(std::fs::read(space.path("here/config.json")).unwrap(), b"mine");
    space.ok(&["pull", "owner/tiny", "--local-dir", "here", "--overwrite"]);
    assert!(files(&space, "here") == files(&space, "run"));
}

#[test]
fn the_library_pulls_too() {
    let (space, server) = at_a_hub();
    let commit = publish(&space, &server, "run", "owner/tiny", false);
    let hub = Hub {
        endpoint: server.endpoint().to_string(),
        token: None,
        cache: space.path("cache"),
        offline: false,
        without_xet: false,
        timeout: Duration::from_secs(10),
    };
    let mut received = 0;
    let pulled = hub
        .pull(&"owner/tiny".parse().unwrap(), &mut |event| {
            if let HubEvent::Downloading { file: "model.safetensors", bytes, .. } = event {
                received = bytes;
            }
        })
        .unwrap();
    assert_eq!((pulled.commit.clone(), received), (commit, files(&space, "run")[1].len() as u64));
    let codes = pretrained::encode(&hub, "owner/tiny", &space.path("a.png")).unwrap();
    assert_eq!((codes.width, codes.height, codes.levels[0].codes.len()), (20, 12, 15));
    let base = pretrained::to_train_on(&hub, "owner/tiny").unwrap();
    assert!(base.model.is_trainable());
    assert_eq!(base.revision, Some(pulled.commit.clone()));
    assert_eq!(hub.cached_models().len(), 1);

    let problem = |found: Result<HubModel, Error>| match found {
        Err(Error::Hub { problem, .. }) => problem,
        other => panic!("{:?}", other.map(|model| model.commit)),
    };
    assert_eq!(problem(hub.pull(&"owner/none".parse().unwrap(), &mut |_| ())), HubProblem::NotFound);
    assert_eq!(problem(hub.cached(&"owner/none".parse().unwrap())), HubProblem::Offline);
    // Where it would block others it says so, and does not panic.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let inside = runtime.block_on(async { hub.pull(&"owner/tiny".parse().unwrap(), &mut |_| ()) });
    assert_eq!(problem(inside), HubProblem::InsideRuntime);
}

#[test]
fn a_folder_comes_before_the_hub() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    space.train("owner/tiny", 1);
    server.take_requests();
    let info = space.json(&["info", "owner/tiny"]);
    assert_eq!(info["provenance"]["seed"], 1);
    assert_eq!(server.take_requests(), [""; 0]);
}
