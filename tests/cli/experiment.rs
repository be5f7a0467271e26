//! Experiments: grids of trainings that are stopped, go on, fail, and are compared.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Workspace, wait_for_lines};

/// Two configurations × two seeds of a tiny model.
const TINY: &str = r#"
name = "Tiny"
recipe = "cifar10"
seeds = [0, 3]
baseline = "ema"
topology = true
set = [
    "hidden=8", "residual_layers=1", "residual_hidden=4", "num_codes=16", "dim=8", "batch_size=4", "log_every=1",
    "steps=60", "validate_every=6", "checkpoint_every=7", "valid_images=3",
]
[[configurations]]
name = "ema"
label = "EMA-VQ"
set = ["neighborhood=none"]
[[configurations]]
name = "ksom"
label = "KSOM, hard"
"#;

/// Every file of results.
const RESULTS: [&str; 6] =
    ["results.csv", "runs.csv", "results.md", "results.json", "all-loss.svg", "all-perplexity.svg"];

fn workspace(experiment: &str) -> Workspace {
    let space = Workspace::new();
    space.data(20);
    std::fs::write(space.path("tiny.toml"), experiment).unwrap();
    space
}

fn experiment<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["experiment", "tiny.toml", "--data", "folder:data", "--out", out], more].concat()
}

fn assert_same_results(space: &Workspace, one: &str, two: &str) {
    for file in RESULTS {
        let read = |out: &str| std::fs::read_to_string(space.path(out).join(file)).unwrap();
        assert_eq!(read(one), read(two), "{file}");
    }
}

#[cfg(unix)]
#[test]
fn an_experiment_interrupted_and_resumed_gives_the_same_bytes() {
    let space = workspace(&TINY.replace("steps=60", "steps=240"));
    let report = space.json(&experiment("undisturbed", &[]));
    assert_eq!((&report["ended"], &report["runs"]), (&4.into(), &4.into()));
    let [ema, ksom] = &report["configurations"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&ema["finished"], &ksom["label"]), (&2.into(), &"KSOM, hard".into()));
    assert!(ema["best_mse"]["std"].as_f64().unwrap() > 0.0);
    assert_eq!(ema["per_run_to_baseline"]["of"], 2);
    // The lowest point of the baseline's own mean curve is within 1.1 times itself.
    assert!(ema["mean_curve_to_baseline"].is_u64(), "{ema}");
    assert!(ksom["runs"][0]["outcome"]["topology"][0]["topographic_error"].is_number());

    // Two at a time, stopped in the middle of the first runs, and stopped again.
    let spawn = || {
        let args = experiment("stopped", &["--jobs", "2"]);
        space.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for (signal, code, run, lines) in
        [("-INT", 130, "stopped/ema/seed-0", 20), ("-TERM", 143, "stopped/ksom/seed-3", 20)]
    {
        let mut child = spawn();
        wait_for_lines(&space, &mut child, run, lines);
        assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(space.path("stopped/results.csv").is_file());
    }
    let before = std::fs::read(space.path("stopped/ema/seed-0/metrics.jsonl")).unwrap();
    let report = space.json(&experiment("stopped", &["--jobs", "2"]));
    assert_eq!(report["ended"], 4);
    assert_same_results(&space, "undisturbed", "stopped");
    // Finished runs are not repeated, and a finished experiment only writes its results anew.
    assert_eq!(std::fs::read(space.path("stopped/ema/seed-0/metrics.jsonl")).unwrap(), before);
    std::fs::remove_file(space.path("stopped/results.md")).unwrap();
    let finished = space.ok(&experiment("stopped", &[]));
    assert!(finished.stdout.contains("4 of 4 runs have ended") && !finished.stderr.contains("started"));
    assert_same_results(&space, "undisturbed", "stopped");
}

#[test]
fn runs_that_fail_are_reported_and_stop_nothing() {
    let space = workspace(&format!("{TINY}[[configurations]]\nname = \"wild\"\nset = [\"lr=1e6\"]\n"));
    let finished = space.ok(&experiment("out", &[]));
    assert!(finished.stdout.contains("failed: wild, seed 3: the "), "{}", finished.stdout);
    assert!(finished.stderr.contains("warning: wild, seed 0"), "{}", finished.stderr);
    let table = std::fs::read_to_string(space.path("out/results.md")).unwrap();
    assert!(table.contains("| wild | – | – | – | – | – | – | – | 0 | 2 |"), "{table}");
    assert!(table.contains("- wild, seed 0: the ") && !table.contains("out/"), "{table}");
    let results: Value =
        serde_json::from_str(&std::fs::read_to_string(space.path("out/results.json")).unwrap()).unwrap();
    assert_eq!(results["configurations"][2]["runs"][1]["outcome"]["status"], "failed");
    // It would fail so again, and is not tried again.
    let again = space.ok(&experiment("out", &[]));
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
}

#[test]
fn other_runs_are_not_mixed_in() {
    let space = workspace(&TINY.replace("[0, 3]", "[0]"));
    space.ok(&experiment("out", &[]));
    std::fs::write(space.path("tiny.toml"), TINY.replace("neighborhood=none", "decay=0.5")).unwrap();
    let error = space.fails(&experiment("out", &[]));
    assert!(error.contains("ema/seed-0") && error.contains("tiny.toml") && error.contains("quantizer"), "{error}");
    std::fs::write(space.path("tiny.toml"), TINY).unwrap();
    space.picture("other/a.png", 32, 32, 1);
    let error = space.fails(&["experiment", "tiny.toml", "--data", "folder:other", "--out", "out"]);
    assert!(error.contains("/data, not on folder:other"), "{error}");
    // Another seed, label or figure changes no run that is there.
    let more = TINY.replace("\"EMA-VQ\"", "\"EMA\"").replace("[0, 3]", "[3, 0]");
    let figures = "[[figures]]\nname = \"some\"\nconfigurations = [\"ksom\"]\n";
    std::fs::write(space.path("tiny.toml"), more + figures).unwrap();
    let finished = space.ok(&experiment("out", &[]));
    assert!(finished.stderr.contains("EMA, seed 3") && !finished.stderr.contains("seed 0"), "{}", finished.stderr);
    assert!(space.path("out/some-loss.svg").is_file());
}

#[test]
fn more_steps_continue_the_runs() {
    let one_seed = TINY.replace("[0, 3]", "[0]");
    let space = workspace(&one_seed);
    space.ok(&experiment("grown", &[]));
    std::fs::write(space.path("tiny.toml"), one_seed.replace("steps=60", "steps=72")).unwrap();
    space.ok(&experiment("grown", &[]));
    space.ok(&experiment("at-once", &[]));
    assert_same_results(&space, "grown", "at-once");
    std::fs::write(space.path("tiny.toml"), one_seed).unwrap();
    let error = space.fails(&experiment("grown", &[]));
    assert!(error.contains("ema/seed-0") && error.contains("training"), "{error}");
}

#[test]
fn hostile_experiments_are_refused_by_name() {
    let space = Workspace::new();
    let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let with_data = |text: &str| format!("data = \"folder:nowhere\"\n{text}");
    let many: Vec<String> = (0..2000).map(|n| format!("[[configurations]]\nname = \"c{n}\"\n")).collect();
    for (name, text, says) in [
        ("empty.toml", String::new(), "name"),
        ("deep.toml", deep, "expected an experiment"),
        ("binary.toml", "\0\u{1}".into(), "expected an experiment"),
        ("many.toml", TINY.to_string() + &many.concat(), "1024 configurations"),
        ("climbs.toml", TINY.replace("\"ksom\"", "\"../../ksom\""), "file names"),
        ("seeds.toml", TINY.replace("[0, 3]", "[-1]"), "expected an experiment"),
        ("huge.toml", with_data(&TINY.replace("num_codes=16", "num_codes=99999999999")), "99999999999"),
        ("data.toml", TINY.to_string(), "--data"),
        ("large.toml", " ".repeat((1 << 20) + 1), "1048576 bytes"),
    ] {
        std::fs::write(space.path(name), text).unwrap();
        let error = space.fails(&["experiment", name, "--out", "out"]);
        assert!(error.contains(name) && error.contains(says), "{name}: {error}");
    }
    std::fs::write(space.path("tiny.toml"), TINY).unwrap();
    let error = space.fails(&["experiment", "tiny.toml", "--out", "out", "--data", "folder:nowhere"]);
    assert!(error.contains("nowhere"), "{error}");
    assert!(!space.path("out").join("ema").exists());
    assert!(space.fails(&["experiment", "none.toml", "--out", "out"]).contains("none.toml"));
}

#[test]
fn the_experiments_that_come_along_are_valid() {
    let space = Workspace::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            // All that is wrong with them is that the data are not there.
            let error =
                space.fails(&["experiment", path.to_str().unwrap(), "--data", "folder:nowhere", "--out", "out"]);
            assert!(error.contains("nowhere") && !error.contains(".toml"), "{error}");
            found += 1;
        }
    }
    assert!(found >= 4, "{found}");
}

/// Two methods at two numbers of codes, measured on all pictures, one with seeds of its own.
const METHODS: &str = r#"
name = "Methods"
recipe = "cifar10"
seeds = [0, 3]
baseline = "ema-8"
full_validation = true
set = [
    "hidden=8", "residual_layers=1", "residual_hidden=4", "dim=8", "batch_size=4", "log_every=1", "steps=12",
    "validate_every=2", "valid_images=2",
]
[[configurations]]
name = "ema-8"
set = ["neighborhood=none", "num_codes=8", "init=kmeans", "revive_below=0.5"]
[[configurations]]
name = "ema-16"
seeds = [3]
set = ["neighborhood=none", "num_codes=16", "init=kmeans", "revive_below=0.5"]
[[configurations]]
name = "fsq-16"
seeds = [0]
set = ["quantizer.kind=fsq", "num_codes=16"]
[[methods]]
label = "EMA-VQ"
configurations = ["ema-8", "ema-16"]
[[methods]]
label = "FSQ"
configurations = ["fsq-16"]
"#;

#[test]
fn methods_are_measured_on_all_pictures_and_compared_by_bits() {
    let space = workspace(METHODS);
    let report = space.json(&experiment("out", &[]));
    assert_eq!((&report["ended"], &report["runs"]), (&4.into(), &4.into()));
    assert!(!space.path("out/ema-16/seed-0").exists() && space.path("out/ema-16/seed-3").is_dir());
    let outcome = std::fs::read_to_string(space.path("out/fsq-16/seed-0/outcome.json")).unwrap();
    let measured = &serde_json::from_str::<Value>(&outcome).unwrap()["measured"];
    // A fifth of 20 pictures, though a validation takes two; 4 bits for 4×4 pixels.
    assert_eq!((&measured["images"], &measured["bits_per_pixel"]), (&4.into(), &0.25.into()));
    assert!(measured["entropy_per_pixel"].as_f64().unwrap() <= 0.25);
    assert_eq!(measured["levels"][0]["num_codes"], 16);
    let results = std::fs::read_to_string(space.path("out/results.md")).unwrap();
    assert!(results.contains("on all validation pictures") && results.contains("| fsq-16 | 1 |"), "{results}");
    for file in
        ["methods-use.svg", "methods-rate.svg", "methods-entropy.svg", "all-loss-by-time.svg", "costs.md", "costs.csv"]
    {
        assert!(space.path("out").join(file).is_file(), "{file}");
    }
    let costs = std::fs::read_to_string(space.path("out/costs.csv")).unwrap();
    assert_eq!(costs.lines().count(), 4, "{costs}");
    // Nothing is left to do.
    let again = space.json(&experiment("out", &[]));
    assert_eq!(again["ended"], 4);
}
