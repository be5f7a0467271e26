//! train, finetune, eval.

use std::path::Path;

use candle_core::{Device, Tensor};

use crate::support::{TINY, Workspace, pixels, start_until};

/// The arguments of a tiny training.
fn train<'a>(run: &'a str, steps: &'a str) -> Vec<&'a str> {
    let every = ["--set", "validate_every=40", "--set", "checkpoint_every=7"];
    [&["train", "--data", "data", "--out", run, "--steps", steps], &TINY[..], &every].concat()
}

fn assert_same_file(one: &Path, two: &Path) {
    assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap(), "{} and {}", one.display(), two.display());
}

#[test]
fn a_training_killed_twice_and_resumed_gives_the_same_bytes() {
    let space = Workspace::new();
    space.data(20);
    space.ok(&train("undisturbed", "400"));

    let mut args = train("killed", "400");
    for lines in [25, 90] {
        let mut child = start_until(&space, &args, "killed", lines);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!space.path("killed/last").exists(), "it came to its end");
        if args.last() != Some(&"--resume") {
            args.push("--resume");
        }
    }
    let report = space.json(&["train", "--out", "killed", "--resume"]);
    assert_eq!(report["steps"], 400);
    for file in ["model.safetensors", "config.json", "training.safetensors", "last/model.safetensors"] {
        assert_same_file(&space.path("undisturbed").join(file), &space.path("killed").join(file));
    }
    // The log tells each step once, too.
    let log = std::fs::read_to_string(space.path("killed/metrics.jsonl")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("\"train\"")).count(), 400);
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_writes_a_checkpoint() {
    let space = Workspace::new();
    space.data(20);
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let run = format!("run{signal}");
        let mut child = start_until(&space, &train(&run, "100000"), &run, 3);
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(space.path(&run).join("last/model.safetensors").is_file());
        // The checkpoint is that of the last step, and can be continued.
        let lines = || std::fs::read_to_string(space.path(&run).join("metrics.jsonl")).unwrap();
        let before = lines();
        let steps = before.lines().count();
        let mut child = start_until(&space, &["train", "--out", &run, "--resume"], &run, steps + 2);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lines().starts_with(&before));
    }
}

#[test]
fn the_seed_decides_everything() {
    let space = Workspace::new();
    space.train("one", 7);
    space.train("two", 7);
    space.train("three", 8);
    assert_same_file(&space.path("one/model.safetensors"), &space.path("two/model.safetensors"));
    let read = |run: &str| std::fs::read(space.path(run).join("model.safetensors")).unwrap();
    assert!(read("one") != read("three"));
}

#[test]
fn a_cache_of_decoded_pixels_changes_nothing() {
    let space = Workspace::new();
    space.data(10);
    space.ok(&train("without", "3"));
    // Written by the first run, read by the second.
    for run in ["first", "second"] {
        space.ok(&[&train(run, "3")[..], &["--cache", "cache"]].concat());
        assert_same_file(&space.path("without/model.safetensors"), &space.path(run).join("model.safetensors"));
    }
    assert!(std::fs::read_dir(space.path("cache")).unwrap().count() > 0);
}

#[test]
fn a_used_run_directory_is_refused() {
    let space = Workspace::new();
    space.train("run", 0);
    let before = std::fs::read(space.path("run/training.safetensors")).unwrap();
    let error = space.fails(&train("run", "5"));
    assert!(error.contains("--resume") && error.contains("another folder"), "{error}");
    assert_eq!(std::fs::read(space.path("run/training.safetensors")).unwrap(), before);
}

#[test]
fn a_finished_training_goes_on_when_asked_for_more_steps() {
    let space = Workspace::new();
    space.data(20);
    space.ok(&train("once", "9"));
    space.ok(&train("twice", "4"));
    space.ok(&["train", "--out", "twice", "--resume", "--steps", "9"]);
    for file in ["last/model.safetensors", "training.safetensors", "recipe.toml"] {
        assert_same_file(&space.path("once").join(file), &space.path("twice").join(file));
    }
    let error = space.fails(&["train", "--out", "twice", "--resume", "--steps", "8"]);
    assert!(error.contains("training") && error.contains("no fewer steps"), "{error}");
}

#[test]
fn resuming_another_training_is_refused() {
    let space = Workspace::new();
    space.train("run", 0);
    let error = space.fails(&["train", "--out", "run", "--resume", "--set", "decay=0.5", "--set", "lr=1"]);
    assert!(error.contains("quantizer, training"), "{error}");
    let error = space.fails(&["finetune", "--out", "run", "--resume"]);
    assert!(error.contains("training from scratch") && error.contains("ksom train --out run --resume"), "{error}");
    let error = space.fails(&["train", "--out", "nothing", "--resume"]);
    assert!(error.contains("no checkpoint") && error.contains("without --resume"), "{error}");
    space.picture("data/new.png", 32, 32, 1);
    let error = space.fails(&["train", "--out", "run", "--resume"]);
    assert!(error.contains("does not hold the training images"), "{error}");
}

#[test]
fn unknown_fields_of_a_recipe_are_named() {
    let space = Workspace::new();
    space.data(4);
    let error = space.fails(&["train", "--recipe", "cifar10", "--data", "data", "--out", "run", "--set", "decai=1"]);
    assert!(error.contains("decai") && error.contains("quantizer.decay"), "{error}");
    let error = space.fails(&["train", "--recipe", "cifar11", "--data", "data", "--out", "run"]);
    assert!(error.contains("cifar11") && error.contains("imagenet"), "{error}");
    assert!(!space.path("run").exists());
}

#[test]
fn evaluating_on_the_validation_part_gives_the_validation_loss() {
    let space = Workspace::new();
    space.data(20);
    let trained = space.json(&[&train("run", "30")[..], &["--set", "valid_fraction=0.3"]].concat());
    let best = trained["best"]["mse"].as_f64().unwrap();
    let evaluated = space.json(&["eval", "--data", "data", "--part", "valid", "--model", "run"]);
    let mse = evaluated["mse"].as_f64().unwrap();
    assert!((mse - best).abs() <= 1e-6 * best, "{mse} and {best}");
    assert_eq!(evaluated["sets"][0]["images"], 6);
    // Validated once, the last model is the best one; its run is found from the folder above it.
    let last = space.json(&["eval", "--data", "data", "--part", "valid", "--model", "run/last"]);
    assert_eq!(last["mse"], evaluated["mse"]);
    let evaluated = space.json(&["eval", "--data", "data", "--model", "run", "--size", "16x8"]);
    assert_eq!((&evaluated["part"], &evaluated["sets"][0]["images"]), (&"all".into(), &20.into()));
    let error = space.fails(&["eval", "--data", "data", "--model", "run", "--part", "test"]);
    assert!(error.contains("no pictures in that part"), "{error}");
}

#[test]
fn finetuning_goes_on_from_a_model() {
    let space = Workspace::new();
    space.train("base", 0);
    let before = std::fs::read(space.path("base/model.safetensors")).unwrap();
    let args = ["finetune", "base", "--data", "data", "--out", "run", "--steps", "60", "--set", "validate_every=20"];
    let report = space.json(&[&args[..], &["--set", "lr=1e-3", "--set", "batch_size=4"]].concat());
    let of = |when: &str| report["validation_mse_".to_string() + when].as_f64().unwrap();
    let (mse_before, mse_after) = (of("before"), of("after"));
    assert!(mse_after < mse_before, "{mse_before} → {mse_after}");
    assert_eq!(std::fs::read(space.path("base/model.safetensors")).unwrap(), before);

    let (base, tuned) = (space.json(&["info", "base"]), space.json(&["info", "run"]));
    assert_eq!(tuned["provenance"]["base_model"], "base");
    assert_eq!(tuned["architecture"], base["architecture"]);
    assert_eq!(tuned["preprocessing"]["normalization"], base["preprocessing"]["normalization"]);
    assert_ne!(tuned["fingerprint"], base["fingerprint"]);

    // Run to its end it has nothing left to do, and says the same.
    let again = space.json(&["finetune", "--out", "run", "--resume"]);
    assert_eq!((&again["after"], &again["base_model"]), (&report["after"], &"base".into()));
    let text = space.ok(&["finetune", "--out", "run", "--resume"]).stdout;
    assert!(text.contains(" before, ") && text.contains("ksom reconstruct"), "{text}");
}

/// Fine-tunes `base` into `run` by a few quick steps, with further arguments.
fn finetune(space: &Workspace, run: &str, more: &[&str]) -> serde_json::Value {
    let args = ["finetune", "base", "--data", "data", "--out", run, "--set", "size=[32,32]", "--set", "batch_size=4"];
    space.json(&[&args[..], more].concat())
}

#[test]
fn only_the_chosen_part_learns() {
    let space = Workspace::new();
    space.train("base", 0);
    let tensors = |run: &str| candle_core::safetensors::load(space.path(run).join("model.safetensors"), &Device::Cpu);
    let base = tensors("base").unwrap();
    for (part, learns) in [("decoder", "_decoder."), ("codebook", "_vq_vae."), ("all", "")] {
        // A learning rate that moves everything, and no way back to the base model.
        let more = ["--steps", "3", "--only", part, "--set", "lr=1e-2"];
        finetune(&space, part, &more);
        let last = tensors(&format!("{part}/last")).unwrap();
        for (name, before) in &base {
            let bytes = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let changed = bytes(before) != bytes(&last[name]);
            assert_eq!(changed, name.starts_with(learns), "{part}: {name}");
        }
    }
    // Codes made before decode as before.
    let fingerprint = |run: &str| space.json(&["info", run])["fingerprint"].clone();
    assert_eq!(fingerprint("decoder/last"), fingerprint("base"));
    assert_ne!(fingerprint("codebook/last"), fingerprint("base"));
    assert!(space.run(&["finetune", "--data", "data", "--out", "x", "--only", "encoder"]).code == 2);
}

#[test]
fn the_neighborhood_goes_on_or_begins_anew() {
    let space = Workspace::new();
    space.train("base", 0);
    let steps = |run: &str| space.json(&["info", run])["levels"][0]["codebook_steps"].clone();
    assert_eq!(steps("base"), 3);
    finetune(&space, "on", &["--steps", "2"]);
    finetune(&space, "anew", &["--steps", "2", "--restart-neighborhood"]);
    assert_eq!((steps("on/last"), steps("anew/last")), (5.into(), 2.into()));
}

#[test]
fn a_map_is_stretched_to_another_number_of_codes() {
    let space = Workspace::new();
    space.train("base", 0);
    let base = space.json(&["info", "base"]);
    assert_eq!(base["quantizer"]["num_codes"], 16);
    let report = finetune(&space, "wide", &["--steps", "2", "--num-codes", "64"]);
    assert_eq!(report["steps"], 2);
    // More bits are told beside what they bring.
    assert_eq!([&report["before"]["bits_per_pixel"], &report["after"]["bits_per_pixel"]], [0.25, 0.375]);
    let told = space.ok(&["finetune", "--out", "wide", "--resume"]).stdout;
    assert!(told.contains("with 0.3750 bits per pixel instead of 0.2500"), "{told}");
    let wide = space.json(&["info", "wide/last"]);
    assert_eq!(wide["quantizer"]["num_codes"], 64);
    assert_eq!(wide["quantizer"]["grid"], serde_json::json!([8, 8]));
    assert_eq!(wide["levels"][0]["codebook_steps"], 5);
    // With the command line it was started with it goes on, and with another number of codes it does not.
    let args = ["finetune", "base", "--out", "wide", "--resume", "--steps", "3", "--num-codes"];
    assert_eq!(space.json(&[&args[..], &["64"]].concat())["steps"], 3);
    let error = space.fails(&[&args[..], &["32"]].concat());
    assert!(error.contains("in: the number of codes"), "{error}");
    // What is the model's own cannot be set.
    for field in ["decay=0.5", "architecture.hidden=64"] {
        let error = space.fails(&["finetune", "base", "--data", "data", "--out", "none", "--set", field]);
        assert!(error.contains("is the model's own") && error.contains("--num-codes"), "{error}");
        let error = space.fails(&["finetune", "--out", "wide", "--resume", "--set", field]);
        assert!(error.contains("quantizer") || error.contains("architecture"), "{error}");
    }
    // Codes on no map have nothing between them.
    let error = space.fails(&["finetune", "cifar10-ema", "--data", "data", "--out", "none", "--num-codes", "64"]);
    assert!(error.contains("no map") && !space.path("none").exists(), "{error}");
}

#[test]
fn a_finetuning_that_only_harms_changes_nothing() {
    let space = Workspace::new();
    space.train("base", 0);
    let more = ["--steps", "400", "--set", "lr=1", "--set", "validate_every=2", "--patience", "3"];
    let report = finetune(&space, "run", &more);
    assert_eq!((&report["early"], &report["steps"], &report["best"]["step"]), (&true.into(), &6.into(), &0.into()));
    assert_eq!(report["validation_mse_after"], report["validation_mse_before"]);
    assert_eq!(report["after"], report["before"]);
    assert_same_file(&space.path("base/model.safetensors"), &space.path("run/model.safetensors"));
    // It has come to its end, and stays there; without patience it goes to the last step.
    assert_eq!(finetune(&space, "run", &[&more[..], &["--resume"]].concat())["steps"], 6);
    let patient = finetune(&space, "patient", &["--steps", "8", "--set", "lr=1", "--patience", "0"]);
    assert_eq!((&patient["early"], &patient["steps"]), (&false.into(), &8.into()));
}

#[test]
fn finetuning_is_shown_and_told() {
    let space = Workspace::new();
    space.train("base", 0);
    space.picture("data/wide.png", 400, 90, 3);
    space.picture("data/tiny.png", 5, 9, 3);
    let report = finetune(&space, "run", &["--steps", "4", "--set", "normalization=measure"]);
    assert!(pixels(&space.path("run/before-after.png")).width() > 3 * 5);
    assert!(report["before"]["psnr"].as_f64().unwrap() > 0.0);
    let normalization = |model: &str| space.json(&["info", model])["preprocessing"]["normalization"].clone();
    assert_ne!(normalization("run"), normalization("base"));
    // The card tells both figures.
    let card = space.json(&["push", "run", "owner/name", "--dry-run"])["card"].as_str().unwrap().to_string();
    assert!(card.contains("fine-tuned from `base`") && card.contains("| PSNR | "), "{card}");
    assert!(!card.contains("base_model:"), "{card}");
    let error = space.fails(&["train", "--recipe", "finetune", "--data", "data", "--out", "none"]);
    assert!(error.contains("normalization"), "{error}");
}

#[test]
fn the_built_in_model_can_be_finetuned() {
    let space = Workspace::new();
    let data = space.data(4);
    let args = ["finetune", "--data", data, "--out", "run", "--steps", "1", "--set", "size=[16,16]"];
    let report = space.json(&[&args[..], &["--set", "batch_size=2"]].concat());
    assert_eq!(report["base_model"], "cifar10-ksom");
    assert!(report["validation_mse_before"].as_f64().unwrap() > 0.0);
}
