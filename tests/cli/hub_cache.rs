//! A cache on other disks, and on file systems without locks.

#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::hub::{at_a_hub, files, publish};
use crate::support::Workspace;

const HOME: &str = "hf/hub/models--owner--tiny";

/// Moves something out of the cache and links it back.
fn move_away(space: &Workspace, what: &str, to: &str) {
    std::fs::rename(space.path(what), space.path(to)).unwrap();
    symlink(space.path(to), space.path(what)).unwrap();
}

#[test]
fn a_repository_on_another_disk_is_used_as_python_uses_it() {
    let (mut space, server) = at_a_hub();
    space.train("other", 1);
    let first = publish(&space, &server, "run", "owner/tiny", false);
    space.ok(&["pull", "owner/tiny"]);
    move_away(&space, HOME, "disk");
    for offline in ["", "1"] {
        space.set("HF_HUB_OFFLINE", offline);
        let pulled = space.json(&["pull", "owner/tiny"]);
        assert_eq!(pulled["commit"], *first);
        assert!(files(&space, pulled["folder"].as_str().unwrap()) == files(&space, "run"));
        space.ok(&["info", "owner/tiny"]);
        assert_eq!(space.json(&["list"])["cached"].as_array().unwrap().len(), 1);
    }
    // What is new goes there, too, and what is damaged there is noticed.
    space.set("HF_HUB_OFFLINE", "");
    let second = publish(&space, &server, "other", "owner/tiny", false);
    let pulled = space.json(&["pull", "owner/tiny"]);
    assert_eq!(pulled["commit"], *second);
    assert!(space.path("disk/snapshots").join(&second).join("config.json").exists());
    assert!(files(&space, pulled["folder"].as_str().unwrap()) == files(&space, "other"));
    let blob = std::fs::canonicalize(space.path(pulled["folder"].as_str().unwrap()).join("config.json")).unwrap();
    std::fs::write(blob, "junk").unwrap();
    space.set("HF_HUB_OFFLINE", "1");
    assert!(space.fails(&["info", "owner/tiny"]).contains("damaged"));
}

#[test]
fn what_is_not_used_is_said_in_the_same_words_everywhere() {
    let (mut space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    for folder in ["blobs", "snapshots", "refs"] {
        let _ = std::fs::remove_dir_all(space.path("hf"));
        let _ = std::fs::remove_dir_all(space.path("disk"));
        space.ok(&["pull", "owner/tiny"]);
        move_away(&space, &format!("{HOME}/{folder}"), "disk");
        let mut said = Vec::new();
        for offline in ["", "1"] {
            space.set("HF_HUB_OFFLINE", offline);
            for args in [&["pull", "owner/tiny"][..], &["info", "owner/tiny", "-q"]] {
                said.push(space.fails(args));
            }
            said.push(space.ok(&["list"]).stderr);
        }
        space.set("HF_HUB_OFFLINE", "");
        let words = "leads out of the Hub's cache";
        assert!(said.iter().all(|said| said.contains(words) && said.contains("HF_HUB_CACHE")), "{folder}: {said:?}");
    }
    // A disk that is not there.
    std::fs::remove_dir_all(space.path("hf")).unwrap();
    space.ok(&["pull", "owner/tiny"]);
    move_away(&space, HOME, "gone");
    std::fs::rename(space.path("gone"), space.path("elsewhere")).unwrap();
    for offline in ["", "1"] {
        space.set("HF_HUB_OFFLINE", offline);
        let error = space.fails(&["info", "owner/tiny"]);
        assert!(error.contains("to nothing") && error.contains("disk"), "{error}");
    }
}

/// As on NFS without its lock daemon.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_without_locks_is_no_obstacle() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: this test makes locks fail by strace, which is not installed");
        return;
    }
    for error in ["EOPNOTSUPP", "ENOLCK", "EINVAL", "ENOSYS"] {
        let _ = std::fs::remove_dir_all(space.path("hf"));
        let mut command = Command::new("strace");
        let inject = format!("inject=flock:error={error}");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, env!("CARGO_BIN_EXE_ksom"), "pull", "owner/tiny"]);
        let finished = space.finish(&mut command);
        assert_eq!(finished.code, 0, "{error}: {}", finished.stderr);
    }
}
