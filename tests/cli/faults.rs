//! Kills, torn files, full disks, vanishing pictures: what was written before is still there and good.
//!
//! The long ones: `cargo test --release --workspace --test cli -- --ignored --nocapture faults`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{TINY, Workspace, start_until};

/// The arguments of a tiny training that writes often.
fn train<'a>(run: &'a str, steps: &'a str) -> Vec<&'a str> {
    let every = ["--set", "validate_every=20", "--set", "checkpoint_every=5", "--set", "normalization=half"];
    [&["train", "--data", "data", "--out", run, "--steps", steps], &TINY[..], &every].concat()
}

/// What a training leaves for good, with its bytes: not the log, nor what is being written.
fn kept(run: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let files = ["config.json", "model.safetensors", "training.safetensors", "recipe.toml", "last/model.safetensors"];
    files.into_iter().filter_map(|name| Some((name, std::fs::read(run.join(name)).ok()?))).collect()
}

/// Files that were being written when their writer ended.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    let mut entries: Vec<PathBuf> = entries.unwrap_or_default();
    entries.retain(|path| path.extension().is_some_and(|extension| extension == "part"));
    entries
}

/// The step of the checkpoint in a run directory, from the file's header.
fn checkpoint_step(run: &Path) -> Option<u64> {
    let bytes = std::fs::read(run.join("training.safetensors")).ok()?;
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let progress = header["__metadata__"]["ksom_training"].as_str().unwrap();
    serde_json::from_str::<serde_json::Value>(progress).unwrap()["step"].as_u64()
}

#[test]
fn a_run_directory_is_for_one_training_and_freed_by_its_death() {
    let space = Workspace::new();
    space.data(20);
    let mut first = start_until(&space, &train("run", "1000000"), "run", 7);
    for args in [&["train", "--out", "run", "--resume"][..], &["finetune", "--out", "run", "--resume"]] {
        let error = space.fails(args);
        assert!(error.contains("another training is running in run"), "{error}");
    }
    assert!(space.fails(&train("run", "5")).contains("already holds a training"));
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    first.kill().unwrap();
    first.wait().unwrap();
    // Half-written files of the killed one are cleared away, and training goes on.
    std::fs::write(space.path("run/.model.safetensors.abc.part"), "half").unwrap();
    let lines = std::fs::read_to_string(space.path("run/metrics.jsonl")).unwrap().lines().count();
    let mut second = start_until(&space, &["train", "--out", "run", "--resume"], "run", lines + 3);
    assert!(!space.path("run/.model.safetensors.abc.part").exists());
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn torn_files_of_a_run_are_refused_by_name() {
    let space = Workspace::new();
    space.train("run", 0);
    let run = space.path("run");
    let whole = kept(&run);
    let mut tried = 0;
    for (name, bytes) in &whole {
        let header = match name.ends_with(".safetensors") {
            true => 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize,
            false => bytes.len() / 3,
        };
        let lengths = [0, 1, 7, 8, 9, header - 1, header, header + 1, bytes.len() / 2, bytes.len() - 2];
        for length in lengths {
            std::fs::write(run.join(name), &bytes[..length]).unwrap();
            let (info, resume) = (["info", "run"], ["train", "--out", "run", "--resume"]);
            let last = ["info", "run/last"];
            // Who reads the file refuses it; the others do not need it.
            let readers: &[&[&str]] = match *name {
                "config.json" => &[&info, &resume],
                "model.safetensors" => &[&info],
                "last/model.safetensors" => &[&last],
                _ => &[&resume],
            };
            for args in readers {
                let error = space.fails(args);
                let file = Path::new(name).file_name().unwrap().to_str().unwrap();
                assert!(error.contains(file), "{name} of {length} bytes, {args:?}: {error}");
                tried += 1;
            }
            for (other, bytes) in whole.iter().filter(|(other, _)| *other != name) {
                assert!(std::fs::read(run.join(other)).unwrap() == *bytes, "{other} has changed");
            }
            std::fs::write(run.join(name), bytes).unwrap();
        }
    }
    // A torn log is mended: the steps before the tear are kept.
    let log = std::fs::read(run.join("metrics.jsonl")).unwrap();
    for length in [0, 1, log.len() / 2, log.len() - 1] {
        std::fs::write(run.join("metrics.jsonl"), &log[..length]).unwrap();
        space.ok(&["train", "--out", "run", "--resume"]);
        let mended = std::fs::read(run.join("metrics.jsonl")).unwrap();
        assert!(log.starts_with(&mended) && mended.last().is_none_or(|&byte| byte == b'\n'));
        tried += 1;
    }
    assert_eq!(tried, 5 * 10 + 10 + 4);
}

/// Runs a command whose files may have at most so many blocks of 512 bytes: writing on fails, as on a full disk.
#[cfg(target_os = "linux")]
fn with_file_limit(blocks: u64, args: &[&str]) -> Command {
    let limit = format!("trap '' 25; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_ksom")]).args(args);
    command
}

#[cfg(target_os = "linux")]
#[test]
fn writing_that_fails_leaves_the_old_files() {
    let space = Workspace::new();
    space.data(20);
    space.picture("big.png", 200, 200, 1);
    space.ok(&train("run", "40"));
    space.ok(&["encode", "data", "-o", "codes.safetensors", "--npy"]);
    space.ok(&["reconstruct", "big.png", "-o", "out.png"]);
    let old = std::fs::read(space.path("codes.safetensors")).unwrap();
    let old_picture = std::fs::read(space.path("out.png")).unwrap();
    let old_run = kept(&space.path("run"));
    for blocks in [0, 1, 2] {
        let fails = |args: &[&str]| space.fails_as(&mut with_file_limit(blocks, args));
        let error = fails(&["encode", "big.png", "-o", "codes.safetensors"]);
        assert!(error.contains("cannot write codes.safetensors"), "{error}");
        assert!(std::fs::read(space.path("codes.safetensors")).unwrap() == old);
        let error = fails(&["reconstruct", "big.png", "-o", "out.png"]);
        assert!(error.contains("cannot write out.png"), "{error}");
        assert!(std::fs::read(space.path("out.png")).unwrap() == old_picture);
        let error = fails(&["train", "--out", "run", "--resume"]);
        assert!(error.contains("cannot write"), "{error}");
        assert!(kept(&space.path("run")) == old_run);
        let new = format!("new-{blocks}");
        let error = fails(&train(&new, "5"));
        assert!(error.contains("cannot write"), "{error}");
        for folder in [".", "run", "run/last", &new] {
            assert_eq!(parts(&space.path(folder)), <[PathBuf; 0]>::default());
        }
        // Nothing stands in the way of trying again.
        space.ok(&train(&new, "5"));
    }
}

#[test]
fn pictures_that_vanish_end_a_training_with_its_checkpoint() {
    let space = Workspace::new();
    space.data(800);
    let mut child = space.command(&train("run", "100000")).stderr(Stdio::piped()).spawn().unwrap();
    crate::support::wait_for_lines(&space, &mut child, "run", 6);
    std::fs::rename(space.path("data"), space.path("elsewhere")).unwrap();
    let finished = child.wait_with_output().unwrap();
    let error = String::from_utf8(finished.stderr).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot read data/") && error.contains(".png"), "{error}");
    assert!(checkpoint_step(&space.path("run")).unwrap() >= 5);
    space.ok(&["info", "run"]);
    let error = space.fails(&["train", "--out", "run", "--resume"]);
    assert!(error.contains("data"), "{error}");
    let lines = std::fs::read_to_string(space.path("run/metrics.jsonl")).unwrap().lines().count();
    let args = ["train", "--out", "run", "--resume", "--data", "elsewhere"];
    let mut child = start_until(&space, &args, "run", lines + 5);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn pictures_that_change_end_a_training_or_do_it_no_harm() {
    let space = Workspace::new();
    // Far more than a training reads ahead, and a memory too small to keep them.
    space.data(800);
    let unlike = crate::support::picture(36, 36, 3);
    let other = crate::support::picture(32, 32, 4);
    let whole = std::fs::read(space.path("data/000.png")).unwrap();
    unlike.save(space.path("unlike.png")).unwrap();
    other.save(space.path("other.png")).unwrap();
    let unlike = std::fs::read(space.path("unlike.png")).unwrap();
    let other = std::fs::read(space.path("other.png")).unwrap();
    for (run, contents, says) in [
        ("garbage", &b"no picture"[..], Some("not a JPEG")),
        ("emptied", b"", Some("0 bytes")),
        ("half", &whole[..whole.len() / 2], Some("Png")),
        ("unlike", &unlike, Some("36x36")),
        ("another", &other, None),
    ] {
        let mut child = space.command(&train(run, "100000")).stderr(Stdio::piped()).spawn().unwrap();
        crate::support::wait_for_lines(&space, &mut child, run, 6);
        for number in 0..800 {
            // Renamed into place, so that what is read is one or the other.
            std::fs::write(space.path("new"), contents).unwrap();
            std::fs::rename(space.path("new"), space.path(&format!("data/{number:03}.png"))).unwrap();
        }
        match says {
            Some(says) => {
                let finished = child.wait_with_output().unwrap();
                let error = String::from_utf8(finished.stderr).unwrap();
                assert_eq!(finished.status.code(), Some(1), "{run}: {error}");
                assert!(error.contains(".png") && error.contains(says), "{run}: {error}");
            }
            None => {
                let lines = std::fs::read_to_string(space.path(run).join("metrics.jsonl")).unwrap().lines().count();
                crate::support::wait_for_lines(&space, &mut child, run, lines + 300);
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        assert!(checkpoint_step(&space.path(run)).unwrap() >= 5);
        space.ok(&["info", run]);
        // With the pictures back it goes on.
        space.data(800);
        let lines = std::fs::read_to_string(space.path(run).join("metrics.jsonl")).unwrap().lines().count();
        let mut child = start_until(&space, &["train", "--out", run, "--resume"], run, lines + 3);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Numbers that are the same in every run of a test.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Starts a command, kills it at a random moment within `microseconds`, and says whether it was still running.
pub fn kill_within(space: &Workspace, args: &[&str], microseconds: u64, random: &mut Random) -> bool {
    let mut child = space.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(random.below(microseconds)));
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let status = child.wait().unwrap();
    assert!(running || status.success(), "{args:?} ended by itself: {status}");
    running
}

#[test]
#[ignore = "takes minutes"]
fn killed_a_hundred_times_a_training_loses_nothing() {
    let space = Workspace::new();
    space.data(40);
    space.ok(&train("undisturbed", "6000"));
    let (mut random, mut kills, mut step) = (Random(1), 0, 0);
    let run = space.path("killed");
    while kills < 120 {
        let resumable = run.join("training.safetensors").exists();
        let args = if resumable { vec!["train", "--out", "killed", "--resume"] } else { train("killed", "6000") };
        kills += u32::from(kill_within(&space, &args, 80_000, &mut random));
        let Some(now) = checkpoint_step(&run) else { continue };
        assert!(now >= step, "the checkpoint went back from step {step} to {now}");
        step = now;
        space.ok(&["info", "killed"]);
        assert!(step < 6000, "it came to its end after {kills} kills: give it more steps");
    }
    space.ok(&["train", "--out", "killed", "--resume"]);
    assert!(kept(&run) == kept(&space.path("undisturbed")), "the bytes differ from an undisturbed training's");
    assert_eq!(parts(&run), <[PathBuf; 0]>::default());
    eprintln!("training: {kills} kills, {step} steps done among them; resumed to the same bytes");
}

#[test]
#[ignore = "takes minutes"]
fn killed_a_hundred_times_files_are_old_or_new() {
    let space = Workspace::new();
    space.data(40);
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/torch-vqvae2.pth");
    let checkpoint = checkpoint.to_str().unwrap();
    space.ok(&["encode", "data/000.png", "-o", "old.safetensors"]);
    space.ok(&["encode", "data", "-o", "new.safetensors"]);
    space.ok(&["decode", "new.safetensors", "-o", "expected"]);
    let [old, new] = ["old.safetensors", "new.safetensors"].map(|name| std::fs::read(space.path(name)).unwrap());
    let (mut random, mut kills) = (Random(2), BTreeMap::new());
    for round in 0..60 {
        std::fs::write(space.path("codes.safetensors"), &old).unwrap();
        let args = ["encode", "data", "-o", "codes.safetensors"];
        *kills.entry("encode").or_insert(0) += u32::from(kill_within(&space, &args, 30_000, &mut random));
        let now = std::fs::read(space.path("codes.safetensors")).unwrap();
        assert!(now == old || now == new, "round {round}: neither the old codes nor the new ones");

        let out = format!("decoded-{round}");
        let args = ["decode", "new.safetensors", "-o", &out];
        *kills.entry("decode").or_insert(0) += u32::from(kill_within(&space, &args, 30_000, &mut random));
        for entry in std::fs::read_dir(space.path(&out)).into_iter().flatten().map(|entry| entry.unwrap()) {
            let name = entry.file_name().into_string().unwrap();
            let expected = space.path("expected").join(&name);
            let whole =
                name.starts_with('.') || std::fs::read(entry.path()).unwrap() == std::fs::read(expected).unwrap();
            assert!(whole, "round {round}: {name} is half-written");
        }

        let model = format!("model-{round}");
        let args = ["convert", checkpoint, &model];
        *kills.entry("convert").or_insert(0) += u32::from(kill_within(&space, &args, 10_000, &mut random));
        let finished = space.run(&["info", &model]);
        let whole = space.path(&model).join("config.json").exists();
        assert_eq!(finished.code, i32::from(!whole), "round {round}: {}", finished.stderr);
    }
    eprintln!("commands: killed while running {kills:?}; every file was the old one, the new one or absent");
}

/// A file system in memory of a few KiB, unmounted at the end.
#[cfg(target_os = "linux")]
struct SmallDisk(PathBuf);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount(at: PathBuf, options: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "this test mounts a file system: run it as root");
        Self(at)
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "mounts file systems, as root"]
fn full_and_read_only_disks() {
    let space = Workspace::new();
    space.data(20);
    let mut full = 0;
    for size in (8..124).step_by(4) {
        let disk = SmallDisk::mount(space.path("disk"), &format!("size={size}k"));
        let finished = space.run(&train("disk/run", "60"));
        if finished.code != 0 {
            assert!(finished.stderr.contains("No space left on device"), "{size} KiB: {}", finished.stderr);
            assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
            assert_eq!(parts(&space.path("disk/run")), <[PathBuf; 0]>::default());
            full += 1;
            // With room, it goes on from what there is.
            disk.remount("size=4m");
            let resumable = space.path("disk/run/training.safetensors").exists();
            space.ok(&if resumable { vec!["train", "--out", "disk/run", "--resume"] } else { train("disk/run", "60") });
        }
        assert_eq!(checkpoint_step(&space.path("disk/run")), Some(60));
        let before = kept(&space.path("disk/run"));
        disk.remount("ro");
        for args in [
            &["train", "--out", "disk/run", "--resume"][..],
            &["encode", "data", "-o", "disk/codes.safetensors"],
            &["reconstruct", "data/000.png", "-o", "disk/out.png"],
            &["convert", "cifar10-ksom", "disk/w.safetensors"],
        ] {
            let error = space.fails(args);
            assert!(error.contains("Read-only file system") && error.contains("disk"), "{error}");
        }
        space.ok(&["info", "disk/run"]);
        assert!(kept(&space.path("disk/run")) == before);
    }
    assert!(full > 10, "the disk was full only {full} times");
    eprintln!("full disk: {full} of 29 trainings, each gone on with once there was room; read-only disk: 116 refusals");
}
