//! What goes wrong between here and the Hub ends in success after another try, or in a message; and nothing broken stays
//! where a later run would believe it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::hub::{all_files, at_a_hub, files, publish};
use crate::hub_server::{Fault, HubServer, Kind, OWNER_TOKEN};
use crate::support::Workspace;

const INFO: &str = "/revision/main";
const TREE: &str = "/tree/";
const CONFIG: &str = "/config.json";
const WEIGHTS: &str = "GET /cdn/";

/// That a pull gives what was published, whatever happened before.
fn assert_pulls_well(space: &Workspace) {
    let pulled = space.json(&["pull", "owner/tiny", "--quiet"]);
    assert!(files(space, pulled["folder"].as_str().unwrap()) == files(space, "run"));
    let left = all_files(space.path("hf")).into_iter().filter(|path| path.to_string_lossy().contains("incomplete"));
    assert_eq!(left.count(), 0);
}

fn forget(space: &Workspace) {
    let _ = std::fs::remove_dir_all(space.path("hf"));
}

#[test]
fn passing_faults_end_in_success() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    for of in [INFO, TREE, CONFIG, WEIGHTS] {
        for kind in [
            Kind::Status(500),
            Kind::Status(503),
            Kind::Reset(0),
            Kind::Reset(30),
            Kind::Reset(400),
            Kind::Short(3),
            Kind::Wrong,
            Kind::Slow(700, Duration::from_millis(2)),
        ] {
            // An answer of the interface that is merely wrong is another answer.
            if [INFO, TREE].contains(&of) && matches!(kind, Kind::Wrong) {
                continue;
            }
            forget(&space);
            server.fail(Fault::new(of, kind, 1));
            assert_pulls_well(&space);
            server.heal();
        }
    }
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    let size = files(&space, "run")[1].len();
    // More breaks than tries: each brings it further.
    server.fail(Fault::new(WEIGHTS, Kind::Reset(size / 6), 9));
    assert_pulls_well(&space);
    server.heal();
    // Also when the first process was killed in between.
    forget(&space);
    server.fail(Fault::always(WEIGHTS, Kind::Slow(size / 20, Duration::from_millis(20))));
    let mut child = space.command(&["pull", "owner/tiny"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let part = || {
        let part = all_files(space.path("hf")).into_iter().find(|path| path.to_string_lossy().ends_with(".incomplete"));
        part.and_then(|part| std::fs::metadata(part).ok()).map_or(0, |metadata| metadata.len())
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while part() < size as u64 / 20 {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    server.heal();
    assert!(space.run(&["info", "owner/tiny", "--quiet"]).code == 0);
    assert_pulls_well(&space);
    // A server that knows no ranges sends everything again.
    forget(&space);
    server.fail(Fault::new(WEIGHTS, Kind::Reset(size / 2), 1));
    server.fail(Fault::new(WEIGHTS, Kind::NoRanges, 1));
    assert_pulls_well(&space);
}

#[test]
fn lasting_faults_end_in_a_message() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    space.set("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    let cases = [
        (INFO, Kind::Status(401), &["HF_TOKEN"][..]),
        (INFO, Kind::Status(403), &["access denied", "failing on demand"]),
        (INFO, Kind::Status(404), &["check the name"]),
        (INFO, Kind::TooMany(3600), &["429", "3600 s"]),
        (INFO, Kind::Reset(10), &["cannot be reached or broke off"]),
        (CONFIG, Kind::Status(403), &["access denied"]),
        (WEIGHTS, Kind::Status(404), &["check the name"]),
        (WEIGHTS, Kind::Status(500), &["500"]),
        (WEIGHTS, Kind::Short(3), &["model.safetensors ended after"]),
        (WEIGHTS, Kind::Long(5), &["model.safetensors is not what"]),
        (WEIGHTS, Kind::Wrong, &["model.safetensors is not what"]),
        (CONFIG, Kind::Wrong, &["config.json is not what"]),
        (WEIGHTS, Kind::Hang, &["timed out"]),
    ];
    for (of, kind, says) in cases {
        forget(&space);
        server.fail(Fault::always(of, kind.clone()));
        let error = space.fails(&["reconstruct", "a.png", "-o", "out.png", "--model", "owner/tiny", "--quiet"]);
        assert!(says.iter().all(|text| error.contains(text)) && error.contains("owner/tiny"), "{kind:?}: {error}");
        assert!(!space.path("out.png").exists());
        // Nothing is taken for the model by a later run, with or without the Hub.
        space.set("HF_HUB_OFFLINE", "1");
        assert!(space.fails(&["info", "owner/tiny"]).contains("ksom pull owner/tiny"));
        space.set("HF_HUB_OFFLINE", "");
        server.heal();
        assert_pulls_well(&space);
    }
}

#[test]
fn the_hub_is_given_the_time_it_asks_for() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    server.fail(Fault::new(INFO, Kind::TooMany(1), 1));
    let started = Instant::now();
    assert_pulls_well(&space);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn two_processes_pull_at_once() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    server.take_requests();
    server.fail(Fault::always(WEIGHTS, Kind::Slow(2_000, Duration::from_millis(10))));
    let start = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let children = [0, 1, 2].map(|_| start(&mut space.command(&["pull", "owner/tiny"])));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let downloads = server.take_requests().iter().filter(|request| request.starts_with(WEIGHTS)).count();
    assert_eq!(downloads, 1);
    assert_pulls_well(&space);
}

#[test]
fn a_damaged_cache_is_not_believed() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    let folder = space.json(&["pull", "owner/tiny"])["folder"].as_str().unwrap().to_string();
    for file in ["config.json", "model.safetensors"] {
        let path = space.path(&folder).join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() - 1], &[]] {
            std::fs::write(&path, damaged).unwrap();
            space.set("HF_HUB_OFFLINE", "1");
            let error = space.fails(&["info", "owner/tiny"]);
            assert!(error.contains(file) && error.contains("damaged") && error.contains("ksom pull"), "{error}");
            space.set("HF_HUB_OFFLINE", "");
            assert_pulls_well(&space);
        }
    }
}

#[test]
fn other_peoples_repositories_are_refused() {
    let (space, server) = at_a_hub();
    let [config, weights] = files(&space, "run");
    let text = String::from_utf8(config.clone()).unwrap();
    let other_shape = text.replace("\"hidden\": 8", "\"hidden\": 16");
    let from_future = text.replace("\"schema_version\": 1", "\"schema_version\": 9");
    for (name, files, says) in [
        ("owner/empty", &[][..], "has no config.json"),
        ("owner/text", &[("README.md", &b"hello"[..])], "has no config.json, but README.md"),
        (
            "owner/bert",
            &[("config.json", b"{\"model_type\": \"bert\"}"), ("model.safetensors", &weights)],
            "schema_version",
        ),
        ("owner/future", &[("config.json", from_future.as_bytes()), ("model.safetensors", &weights)], "newer ksom"),
        ("owner/shape", &[("config.json", other_shape.as_bytes()), ("model.safetensors", &weights)], "do not fit"),
        ("owner/junk", &[("config.json", &config), ("model.safetensors", b"junk")], "safetensors"),
    ] {
        server.put(name, false, files);
        let error = space.fails(&["pull", name]);
        assert!(error.contains(says) && error.contains(name), "{error}");
    }
}

#[test]
fn a_push_goes_through_or_says_why_not() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    let commit = "/commit/main";
    let steps = ["GET /api/models/owner", "/api/repos/create", "/preupload/", "/objects/batch", commit];
    for (number, of) in steps.into_iter().enumerate() {
        for (kind, name) in [(Kind::Status(503), "a"), (Kind::TooMany(0), "b"), (Kind::Reset(0), "c")] {
            let repository = format!("owner/passing{number}{name}");
            server.fail(Fault::new(of, kind, 1));
            space.ok(&["push", "run", &repository]);
            server.heal();
            assert_eq!(server.files(&repository, "main").len(), 4, "{of}");
        }
        for (kind, says) in [(Kind::Status(401), "token"), (Kind::Status(403), "access denied")] {
            let repository = format!("owner/lasting{number}");
            server.fail(Fault::always(of, kind));
            let error = space.fails(&["push", "run", &repository, "--quiet"]);
            assert!(error.contains(says) && error.contains(&repository), "{of}: {error}");
            server.heal();
            assert_eq!(server.files(&repository, "main"), [""; 0], "{of}");
        }
    }
    // A model that is none does not even begin to go.
    server.take_requests();
    std::fs::write(space.path("run/model.safetensors"), "junk").unwrap();
    assert!(space.fails(&["push", "run", "owner/junk"]).contains("model.safetensors"));
    assert!(space.fails(&["push", "nowhere", "owner/junk"]).contains("nowhere"));
    assert_eq!(server.take_requests(), [""; 0]);
}

#[test]
fn no_token_is_ever_shown() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    space.set("HF_TOKEN", OWNER_TOKEN);
    space.set("RUST_LOG", "trace");
    let silent = |server: &HubServer, args: &[&str], code: i32| {
        let finished = space.run(args);
        assert_eq!(finished.code, code, "{}", finished.stderr);
        assert!(!format!("{}{}", finished.stdout, finished.stderr).contains(OWNER_TOKEN), "{}", finished.stderr);
        server.heal();
    };
    server.fail(Fault::always("owner/tiny", Kind::Echo));
    silent(&server, &["pull", "owner/tiny"], 1);
    server.fail(Fault::always("/commit/main", Kind::Echo));
    silent(&server, &["push", "run", "owner/tiny"], 1);
    silent(&server, &["push", "run", "owner/tiny"], 0);
    silent(&server, &["push", "run", "owner/tiny", "--dry-run", "--json"], 0);
    let kept = all_files(space.path("hf")).into_iter().chain(all_files(space.path("run")));
    for path in kept {
        let contents = std::fs::read(&path).unwrap();
        let token = OWNER_TOKEN.as_bytes();
        assert!(!contents.windows(token.len()).any(|window| window == token), "{}", path.display());
    }
}
