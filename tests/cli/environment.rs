//! What the system allows: memory and threads.

use std::process::Command;

use crate::support::{TINY, Workspace};

/// The command under limits of a shell's `ulimit`.
#[cfg(target_os = "linux")]
fn under(limits: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_ksom")]).args(args);
    command
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_space_that_is_too_small_is_told() {
    let space = Workspace::new();
    space.data(10);
    let args = ["train", "--recipe", "cifar10", "--data", "data", "--steps", "3", "--out", "run"];
    for limits in ["ulimit -v 1500000", "ulimit -d 1500000"] {
        let args = [&args[..], &["--set", "size=[256,256]"]].concat();
        let error = space.fails_as(&mut under(limits, &args));
        assert!(error.contains("needs at least") && error.contains("batch_size"), "{limits}: {error}");
        assert!(!space.path("run").exists());
    }
    // Little enough that nothing is known beforehand: still no abort, whatever the moment.
    let mut ended = [0, 0];
    for megabytes in (100..900).step_by(100) {
        let _ = std::fs::remove_dir_all(space.path("run"));
        let args = [&args[..], &["--set", "batch_size=32"]].concat();
        let finished = space.finish(&mut under(&format!("ulimit -v {}", megabytes * 1024), &args));
        let told = finished.stderr.contains("memory") || finished.stderr.contains("thread");
        assert!(finished.code == 0 || finished.code == 1 && told, "{megabytes}: {}", finished.stderr);
        ended[usize::from(finished.code == 0)] += 1;
    }
    // The system's allocator reserves less of the address space: there, all may be enough.
    assert!(ended[0] > 0 || !cfg!(feature = "mimalloc"), "no limit was too small: {ended:?}");
}

#[test]
fn any_number_of_threads_will_do() {
    let mut space = Workspace::new();
    space.data(10);
    let train = |space: &Workspace, run: &str| {
        space.run(&[&["train", "--data", "data", "--steps", "2", "--out", run], &TINY[..]].concat())
    };
    for (number, (value, says)) in
        [("1", ""), ("7", ""), ("0", ""), ("100000", "100000"), ("many", "many"), ("-3", "-3"), ("1e2", "1e2")]
            .into_iter()
            .enumerate()
    {
        space.set("RAYON_NUM_THREADS", value);
        let finished = train(&space, &format!("run{number}"));
        assert_eq!(finished.code, 0, "{value}: {}", finished.stderr);
        assert_eq!(finished.stderr.contains("RAYON_NUM_THREADS"), !says.is_empty(), "{value}: {}", finished.stderr);
        assert!(finished.stderr.contains(says), "{value}: {}", finished.stderr);
    }
}

/// Limits on processes do not bind root, so this test becomes nobody.
#[cfg(target_os = "linux")]
#[test]
fn fewer_threads_than_asked_for_will_do() {
    use std::os::unix::fs::PermissionsExt;
    let space = Workspace::new();
    space.data(10);
    std::fs::set_permissions(space.path("."), PermissionsExt::from_mode(0o777)).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_ksom"), "--version"];
    if !Command::new("setpriv").args(nobody).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this test becomes another user by setpriv, as root, who has to reach the command");
        return;
    }
    for (threads, limit) in [(64, 40), (16, 12), (8, 3), (2, 2), (64, 1)] {
        for (number, args) in [
            &["encode", "data", "-o", "codes.safetensors"][..],
            &[&["train", "--data", "data", "--steps", "2", "--out", "run"], &TINY[..]].concat(),
        ]
        .into_iter()
        .enumerate()
        {
            let _ = std::fs::remove_dir_all(space.path("run"));
            let mut command = Command::new("setpriv");
            command
                .args(&nobody[..3])
                .args(["prlimit", &format!("--nproc={limit}"), env!("CARGO_BIN_EXE_ksom")])
                .args(args);
            command.env("RAYON_NUM_THREADS", threads.to_string());
            let finished = space.finish(&mut command);
            let told = finished.code == 1 && finished.stderr.contains("start a");
            assert!(finished.code == 0 || told, "{number}, {threads} of {limit}: {}", finished.stderr);
            if limit >= 12 {
                assert!(finished.code == 0 && finished.stderr.contains("ulimit -u"), "{limit}: {}", finished.stderr);
            }
        }
    }
}
