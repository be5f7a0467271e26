//! Help, wrong usage, messages, JSON.

use std::process::Stdio;

use crate::support::Workspace;

const COMMANDS: [&str; 22] = [
    "train",
    "finetune",
    "encode",
    "decode",
    "reconstruct",
    "compare",
    "eval",
    "experiment",
    "plot",
    "explore",
    "map",
    "usage",
    "perturb",
    "neighborhood",
    "bench",
    "info",
    "list",
    "pull",
    "push",
    "push-data",
    "convert",
    "export",
];

#[test]
fn help_of_every_command_carries_an_example() {
    let space = Workspace::new();
    let help = space.ok(&["--help"]).stdout;
    let listed: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, COMMANDS, "{help}");
    for command in COMMANDS {
        let help = space.ok(&[command, "--help"]).stdout;
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{command} has no example"));
        assert!(examples.contains(&format!("  ksom {command}")), "{command}: {examples}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let space = Workspace::new();
    space.picture("p/a.png", 8, 8, 0);
    space.picture("p/b.png", 8, 8, 1);
    for args in [
        &[][..],
        &["paint"],
        &["encode"],
        &["encode", "p"],
        &["list", "--device", "gpu"],
        &["list", "--dtype", "f64"],
        &["eval", "--data", "p", "--size", "3by4"],
        &["eval", "--data", "p", "--batch-size", "0"],
        &["train", "--out", "run"],
        &["train", "--recipe", "cifar10", "--data", "cifar:p", "--out", "run"],
        &["train", "--recipe", "cifar10", "--data", "p", "--out", "run", "--set", "decay"],
        &["train", "--recipe", "cifar10", "--data", "p", "--out", "run", "--dtype", "f16"],
        &["train", "--recipe", "cifar10", "--data", "p", "--out", "run", "--dtype", "bf16", "--device", "cpu"],
        &["train", "--recipe", "cifar10", "--data", "p", "--out", "run", "--tf32", "--device", "cpu"],
        &["train", "--out", "run", "--resume", "--steps", "some"],
        &["experiment", "x.toml"],
        &["experiment", "x.toml", "--out", "run", "--jobs", "0"],
        &["usage", "--data", "p", "-o", "x.png", "--cell", "0"],
        &["neighborhood", "-o", "x.svg", "--steps", "soon"],
        &["reconstruct", "p", "-o", "out.png"],
        &["reconstruct", "p/a.png", "-o", "out.xyz"],
        &["convert", "cifar10-ksom", "weights.pth"],
        &["convert", "cifar10-ksom", "weights.safetensors", "--mean", "0,0,0", "--std", "1,1,1"],
        &["convert", "x.pth", "model", "--mean", "0.5"],
        &["export", "cifar10-ksom"],
        &["export", "cifar10-ksom", "--onnx", ""],
        &["export", "cifar10-ksom", "--onnx", "-"],
        &["export", "cifar10-ksom", "--onnx", "out", "--dtype", "bf16"],
    ] {
        let finished = space.run(args);
        assert_eq!(finished.code, 2, "{args:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{args:?}");
        assert!(finished.stderr.contains("error: ") || args.is_empty(), "{args:?}: {}", finished.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(space.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["p"]);
}

#[test]
fn failures_say_what_to_do() {
    let space = Workspace::new();
    space.picture("a.png", 8, 8, 0);
    std::fs::create_dir(space.path("empty")).unwrap();
    std::fs::write(space.path("junk.safetensors"), "junk").unwrap();
    for (args, says) in [
        (&["info", "nowhere"][..], &["\"nowhere\"", "cifar10-ksom"][..]),
        (&["info", "empty"], &["empty", "expected a model directory", "config.json"]),
        (&["info", "someone/model"], &["no folder someone/model", "Hub", "`ksom pull someone/model`"]),
        (&["info", "someone/model@v1"], &["someone/model@v1", "Hub"]),
        (&["info", "./runs/none"], &["./runs/none", "check the path"]),
        (&["encode", "b.png", "-o", "c.safetensors"], &["b.png"]),
        (&["encode", "*.jpg", "-o", "c.safetensors"], &["*.jpg"]),
        (&["encode", "empty", "-o", "c.safetensors"], &["no images found", "empty"]),
        (&["encode", "a.png", "-o", "c.safetensors", "--model", "none"], &["\"none\""]),
        (&["decode", "a.png", "-o", "out"], &["a.png", "safetensors"]),
        (&["decode", "junk.safetensors", "-o", "out"], &["junk.safetensors"]),
        (&["decode", "none.safetensors", "-o", "out"], &["none.safetensors"]),
        (&["eval", "--data", "nowhere"], &["nowhere"]),
        (&["convert", "junk.safetensors", "model"], &["junk.safetensors", "PyTorch"]),
        (&["train", "--recipe", "cifar10", "--data", "empty", "--out", "run"], &["empty"]),
    ] {
        let error = space.fails(args);
        assert!(says.iter().all(|text| error.contains(text)), "{args:?}: {error}");
    }
    assert!(!space.path("run").exists() && !space.path("out").exists() && !space.path("model").exists());
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn devices_that_were_left_out_are_said_so() {
    let space = Workspace::new();
    for (device, feature) in [("cuda", "--features cuda"), ("cuda:1", "--features cuda"), ("metal", "--features metal")]
    {
        let error = space.fails(&["info", "--device", device]);
        assert!(error.contains(feature) && error.contains("--device cpu"), "{error}");
    }
}

#[cfg(not(feature = "hub"))]
#[test]
fn the_hub_that_was_left_out_is_said_so() {
    let mut space = Workspace::new();
    space.set("HF_HUB_OFFLINE", "");
    space.train("run", 0);
    for args in [&["pull", "owner/name"][..], &["info", "owner/name"], &["push", "run", "owner/name"]] {
        let error = space.fails(args);
        assert!(error.contains("without the feature `hub`"), "{error}");
    }
    space.ok(&["push", "run", "owner/name", "--dry-run"]);
}

#[test]
fn results_are_json_where_asked_for() {
    let space = Workspace::new();
    space.picture("a.png", 20, 12, 0);
    let models = space.json(&["list"]);
    assert_eq!(models["models"][0]["name"], "cifar10-ksom");
    let info = space.json(&["info"]);
    assert_eq!(info["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(info["levels"][0]["stride"], 4);
    let encoded = space.json(&["encode", "a.png", "-o", "codes.safetensors"]);
    assert_eq!((&encoded["codes"], &encoded["fingerprint"]), (&15.into(), &info["fingerprint"]));
    let decoded = space.json(&["decode", "codes.safetensors", "-o", "out"]);
    assert_eq!((&decoded["pictures"][0]["width"], &decoded["pictures"][0]["height"]), (&20.into(), &12.into()));
    let reconstructed = space.json(&["reconstruct", "a.png", "-o", "out.png"]);
    assert_eq!(reconstructed["pictures"][0]["mse"], reconstructed["mean"]["mse"]);
    let evaluated = space.json(&["eval", "--data", "folder:a.png"]);
    assert_eq!(evaluated["sets"][0]["levels"][0]["name"], "codes");
}

#[test]
fn quiet_commands_say_nothing_on_stderr() {
    let space = Workspace::new();
    let data = space.data(5);
    space.ok(&["encode", data, "-o", "codes.safetensors", "--quiet"]);
    let args = ["finetune", "--data", data, "--out", "run", "--steps", "1", "--set", "size=[8,8]"];
    for args in [&["reconstruct", data, "-o", "out"][..], &args] {
        let finished = space.ok(&[args, &["--quiet"]].concat());
        assert_eq!(finished.stderr, "");
        assert_ne!(finished.stdout, "");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let space = Workspace::new();
    let mut child = space.command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let finished = child.wait_with_output().unwrap();
    assert!(finished.status.success());
    assert_eq!(String::from_utf8_lossy(&finished.stderr), "");
}
