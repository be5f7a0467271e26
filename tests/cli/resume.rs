//! Going on with a training: whatever has become of the pictures, from whatever folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{TINY, Workspace, start_until, wait_for_lines};

/// The arguments of a tiny training whose pictures are read one after the other.
fn train<'a>(run: &'a str, data: &'a str, steps: &'a str) -> Vec<&'a str> {
    let every = ["--set", "validate_every=10", "--set", "checkpoint_every=1", "--set", "normalization=half"];
    [&["train", "--data", data, "--out", run, "--steps", steps], &TINY[..], &every].concat()
}

/// Cuts a file in half, so that its size can still be read.
fn tear(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn lines(space: &Workspace, run: &str) -> usize {
    std::fs::read_to_string(space.path(run).join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_picture_that_is_met_torn_is_no_dead_end() {
    let space = Workspace::new();
    space.data(20);
    for number in [3, 11] {
        tear(&space.path(&format!("data/{number:03}.png")));
    }
    let error = space.fails(&train("run", "data", "40"));
    assert!(error.contains(".png") && error.contains("--skip-unreadable"), "{error}");
    let error = space.fails(&["train", "--out", "run", "--resume"]);
    assert!(error.contains(".png") && error.contains("--skip-unreadable"), "{error}");
    copy_folder(&space.path("run"), &space.path("mended"));
    copy_folder(&space.path("run"), &space.path("again"));

    // Without the pictures that cannot be read, which are named, and from then on without being told.
    let finished = space.ok(&["train", "--out", "run", "--resume", "--skip-unreadable"]);
    assert!(finished.stderr.contains("003.png") && finished.stderr.contains("011.png"), "{}", finished.stderr);
    let args = ["train", "--out", "again", "--resume", "--skip-unreadable"];
    let mut child = start_until(&space, &args, "again", lines(&space, "again") + 3);
    child.kill().unwrap();
    child.wait().unwrap();
    // What was passed over once stays so, or the training would not be the same.
    space.picture("data/003.png", 32, 32, 3);
    space.ok(&["train", "--out", "again", "--resume"]);
    for file in ["model.safetensors", "training.safetensors", "last/model.safetensors"] {
        let read = |run: &str| std::fs::read(space.path(run).join(file)).unwrap();
        assert!(read("run") == read("again"), "{file}");
    }
    // Any picture of that name in its place lets the run go on, too.
    space.picture("data/011.png", 32, 32, 99);
    assert_eq!(space.json(&["train", "--out", "mended", "--resume"])["steps"], 40);
}

#[test]
fn finetuning_goes_on_without_torn_pictures() {
    let space = Workspace::new();
    space.train("base", 0);
    space.data(20);
    for number in 0..6 {
        tear(&space.path(&format!("data/{number:03}.png")));
    }
    let args = ["finetune", "base", "--data", "data", "--out", "run", "--steps", "12", "--set", "size=[32,32]"];
    let more = ["--set", "batch_size=2", "--set", "checkpoint_every=1", "--set", "validate_every=4"];
    let error = space.fails(&[&args[..], &more].concat());
    assert!(error.contains(".png") && error.contains("--skip-unreadable"), "{error}");
    // From another folder, where no path of before means anything.
    let run = space.path("run").display().to_string();
    let mut command = space.command(&["finetune", "--out", &run, "--resume", "--skip-unreadable", "--json"]);
    let output = command.current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["steps"], &report["base_model"]), (&12.into(), &"base".into()));
}

#[test]
fn the_pictures_that_differ_are_named() {
    let space = Workspace::new();
    space.data(10);
    space.ok(&train("run", "data", "3"));
    let recorded = std::fs::read_to_string(space.path("run/sources.json")).unwrap();
    let sources: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    let gone = sources["train"]["names"][2].as_str().unwrap();
    let resume = ["train", "--out", "run", "--resume", "--steps", "5"];
    std::fs::rename(space.path("data").join(gone), space.path("gone.png")).unwrap();
    let error = space.fails(&resume);
    assert!(error.contains("missing") && error.contains(gone) && error.contains("in its place"), "{error}");
    // Renamed: one is missing, one is new.
    std::fs::rename(space.path("gone.png"), space.path("data/zzz.png")).unwrap();
    let error = space.fails(&resume);
    assert!(error.contains(gone), "{error}");
    assert_eq!(std::fs::read_to_string(space.path("run/sources.json")).unwrap(), recorded);
    std::fs::rename(space.path("data/zzz.png"), space.path("data").join(gone)).unwrap();
    space.picture("data/zzz.png", 32, 32, 1);
    let error = space.fails(&resume);
    assert!(error.contains("does not hold the training images"), "{error}");
    std::fs::remove_file(space.path("data/zzz.png")).unwrap();
    space.ok(&resume);
}

#[test]
fn data_that_moved_are_asked_for() {
    let space = Workspace::new();
    space.data(10);
    space.ok(&train("run", "data", "3"));
    std::fs::rename(space.path("data"), space.path("moved")).unwrap();
    let error = space.fails(&["train", "--out", "run", "--resume", "--steps", "5"]);
    assert!(error.contains("--data") && error.contains(&space.path("data").display().to_string()), "{error}");
    space.ok(&["train", "--out", "run", "--resume", "--steps", "5", "--data", "moved"]);
    // The new place is remembered.
    space.ok(&["train", "--out", "run", "--resume", "--steps", "7"]);
}

#[test]
fn what_was_left_out_at_the_start_stays_so() {
    let space = Workspace::new();
    // Two folders with pictures of the same names, of which one cannot be read.
    for seed in 0..10 {
        space.picture(&format!("a/{seed}.png"), 32, 32, seed);
        space.picture(&format!("b/{seed}.png"), 32, 32, seed + 10);
    }
    std::fs::write(space.path("b/4.png"), "no picture").unwrap();
    let args = [&train("run", "a+b", "4")[..], &["--skip-unreadable"]].concat();
    let finished = space.ok(&args);
    assert!(finished.stderr.contains("4.png"), "{}", finished.stderr);
    space.ok(&["train", "--out", "run", "--resume", "--steps", "6"]);
    // It may be read by now, or be gone.
    space.picture("b/4.png", 32, 32, 4);
    space.ok(&["train", "--out", "run", "--resume", "--steps", "8"]);
    std::fs::remove_file(space.path("b/4.png")).unwrap();
    space.ok(&["train", "--out", "run", "--resume", "--steps", "10"]);
    // Another picture cannot be read any more.
    std::fs::write(space.path("a/4.png"), "no picture").unwrap();
    let finished = space.ok(&["train", "--out", "run", "--resume", "--steps", "12"]);
    assert!(finished.stderr.contains("4.png"), "{}", finished.stderr);
}

#[test]
fn a_run_of_before_the_record_goes_on() {
    let space = Workspace::new();
    space.data(10);
    std::fs::write(space.path("data/torn.png"), "no picture").unwrap();
    space.ok(&[&train("run", "data", "3")[..], &["--skip-unreadable"]].concat());
    std::fs::remove_file(space.path("run/sources.json")).unwrap();
    let error = space.fails(&["train", "--out", "run", "--resume", "--steps", "5"]);
    assert!(error.contains("does not hold the training images"), "{error}");
    space.ok(&["train", "--out", "run", "--resume", "--steps", "5", "--skip-unreadable"]);
    space.ok(&["train", "--out", "run", "--resume", "--steps", "7"]);
    // One that was started without the option goes on with it.
    std::fs::remove_file(space.path("data/torn.png")).unwrap();
    space.ok(&train("other", "data", "3"));
    std::fs::remove_file(space.path("other/sources.json")).unwrap();
    tear(&space.path("data/002.png"));
    space.ok(&["train", "--out", "other", "--resume", "--steps", "5", "--skip-unreadable"]);
}

#[test]
fn a_record_that_is_damaged_is_refused() {
    let space = Workspace::new();
    space.data(10);
    space.ok(&train("run", "data", "3"));
    let path = space.path("run/sources.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    for (text, says) in [
        (whole[..whole.len() / 2].to_string(), "malformed"),
        (whole.replace("\"schema_version\": 1", "\"schema_version\": 9"), "schema version 1, found 9"),
        (whole.replace("skip_unreadable", "skip"), "malformed"),
        (String::new(), "malformed"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = space.fails(&["train", "--out", "run", "--resume"]);
        assert!(error.contains("sources.json") && error.contains(says), "{error}");
    }
}

/// Stops a training as Ctrl-C does, once it has come so far, and gives the line that goes on.
#[cfg(unix)]
fn next_line(space: &Workspace, mut command: Command, run: &str, after: usize) -> String {
    let mut child: Child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_lines(space, &mut child, run, after);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    let next = text.lines().find_map(|line| line.strip_prefix("next: ksom "));
    next.unwrap_or_else(|| panic!("no next line: {text}")).to_string()
}

#[cfg(unix)]
#[test]
fn the_line_that_goes_on_works_as_it_is_printed() {
    let space = Workspace::new();
    for (number, odd) in ["plain", "with spaces", "it's", r#"a "b" $HOME `c`"#].into_iter().enumerate() {
        let (data, run) = (format!("data {number}"), format!("{odd}/my run"));
        for seed in 0..10 {
            space.picture(&format!("{odd}/{data}/{seed:03}.png"), 32, 32, seed);
        }
        std::fs::write(space.path(odd).join(&data).join("torn.png"), "no picture").unwrap();
        let args = [&train("my run", &data, "100000")[..], &["--skip-unreadable", "--quiet"]].concat();
        let mut command = space.command(&args);
        command.current_dir(space.path(odd));
        let mut next = next_line(&space, command, &run, 3);
        // From another folder, by a shell; and so again.
        for _ in 0..2 {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" {next}"), env!("CARGO_BIN_EXE_ksom")]).current_dir("/");
            next = next_line(&space, shell, &run, lines(&space, &run) + 3);
        }
    }
}

#[test]
fn a_cache_of_pixels_holds_stand_ins() {
    let space = Workspace::new();
    space.data(20);
    space.ok(&[&train("run", "data", "4")[..], &["--cache", "cache"]].concat());
    copy_folder(&space.path("run"), &space.path("without"));
    tear(&space.path("data/002.png"));
    let resume = |run: &str, more: &[&str]| {
        let args = ["train", "--out", run, "--resume", "--steps", "30", "--skip-unreadable"];
        space.ok(&[&args[..], more].concat());
        std::fs::read(space.path(run).join("last/model.safetensors")).unwrap()
    };
    assert!(resume("run", &["--cache", "cache"]) == resume("without", &[]));
}
