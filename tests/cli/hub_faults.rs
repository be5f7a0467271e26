//! What goes wrong between here and the Hub ends in success after another try, or in a message; and nothing broken stays
//! where a later run would believe it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::faults::{Random, kill_within};
use crate::hub::{all_files, at_a_hub, files, publish};
use crate::hub_server::{Fault, HubServer, Kind, OWNER_TOKEN};
use crate::support::Workspace;

pub const INFO: &str = "/revision/main";
pub const TREE: &str = "/tree/";
const CONFIG: &str = "/config.json";
const WEIGHTS: &str = "GET /cdn/";

/// That a pull gives what was published, whatever happened before.
pub fn assert_pulls_well(space: &Workspace) {
    let pulled = space.json(&["pull", "owner/tiny", "--quiet"]);
    assert!(files(space, pulled["folder"].as_str().unwrap()) == files(space, "run"));
    let left = all_files(space.path("hf")).into_iter().filter(|path| path.to_string_lossy().contains("incomplete"));
    assert_eq!(left.count(), 0);
}

/// Empties the cache.
pub fn forget(space: &Workspace) {
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
fn the_hub_is_given_the_time_of_its_windows() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    for of in [INFO, TREE, CONFIG, WEIGHTS] {
        forget(&space);
        server.fail(Fault::new(of, Kind::RateLimited(1), 1));
        let started = Instant::now();
        assert_pulls_well(&space);
        assert!(started.elapsed() >= Duration::from_secs(1), "{of}");
    }
    // A wait that is worth telling is told, and one that nobody would wait for is left to the user.
    forget(&space);
    server.fail(Fault::new(INFO, Kind::RateLimited(4), 1));
    let told = space.ok(&["pull", "owner/tiny"]).stderr;
    assert!(told.contains("trying again in 5 s") && told.contains("429"), "{told}");
    forget(&space);
    server.fail(Fault::always(INFO, Kind::RateLimited(3599)));
    let error = space.fails(&["pull", "owner/tiny"]);
    assert!(error.contains("429") && error.contains("try again in 3600 s"), "{error}");
    server.heal();
    // Uploads wait, too.
    space.set("HF_TOKEN", OWNER_TOKEN);
    for of in ["/preupload/", "/objects/batch", "PUT /lfs/", "/lfs-verify/", "/commit/"] {
        server.fail(Fault::new(of, Kind::RateLimited(1), 1));
        let started = Instant::now();
        space.ok(&["push", "run", "owner/pushed"]);
        assert!(started.elapsed() >= Duration::from_secs(1), "{of}");
    }
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

#[test]
#[ignore = "takes minutes"]
fn killed_a_hundred_times_a_pull_is_old_or_new() {
    let (mut space, server) = at_a_hub();
    space.train("other", 1);
    let (mut random, mut kills, mut resumed, mut finished) = (Random(3), 0, 0, 0);
    let size = files(&space, "run")[1].len();
    while kills < 120 {
        forget(&space);
        let old = publish(&space, &server, "run", "owner/tiny", false);
        space.ok(&["pull", "owner/tiny"]);
        let new = publish(&space, &server, "other", "owner/tiny", false);
        server.fail(Fault::always(WEIGHTS, Kind::Slow(size / 16, Duration::from_millis(4))));
        for _ in 0..4 {
            let part = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(".incomplete");
            let begun = all_files(space.path("hf")).iter().any(part);
            if !kill_within(&space, &["pull", "owner/tiny"], 150_000, &mut random) {
                finished += 1;
                break;
            }
            kills += 1;
            resumed += u32::from(begun);
            // Without the Hub: the old model or the new one, whole.
            space.set("HF_HUB_OFFLINE", "1");
            let pulled = space.json(&["pull", "owner/tiny", "--quiet"]);
            let run = if pulled["commit"] == *old { "run" } else { "other" };
            assert!(pulled["commit"] == *old || pulled["commit"] == *new, "{pulled}");
            assert!(files(&space, pulled["folder"].as_str().unwrap()) == files(&space, run));
            space.set("HF_HUB_OFFLINE", "");
        }
        server.heal();
        let pulled = space.json(&["pull", "owner/tiny", "--quiet"]);
        assert_eq!(pulled["commit"], *new);
        assert!(files(&space, pulled["folder"].as_str().unwrap()) == files(&space, "other"));
        for path in all_files(space.path("hf/hub/models--owner--tiny/blobs")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let sha256 = ksom_vqvae::system::sha256(&std::fs::read(&path).unwrap());
            assert!(name.len() == 40 || name == sha256, "{name} is left in the cache");
        }
    }
    eprintln!("pull: {kills} kills, {resumed} of them of one that went on with a part, {finished} came to their end");
}
