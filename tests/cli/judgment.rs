//! Figures that do not mislead: what fine-tuning gained, on which pictures, by one definition of each measure.

use serde_json::Value;

use crate::support::{TINY, Workspace, pixels, start_until};

const QUICK: [&str; 4] = ["--set", "batch_size=4", "--set", "validate_every=5"];

/// Fine-tunes `base` into `run` on the pictures in `data`.
fn finetune(space: &Workspace, run: &str, more: &[&str]) -> Value {
    let args = [&["finetune", "base", "--data", "data", "--out", run][..], &QUICK, more].concat();
    space.json(&args)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn close(one: &Value, two: &Value) {
    let (one, two) = (number(one), number(two));
    assert!((one - two).abs() <= 1e-9 * one.abs().max(1.0), "{one} and {two}");
}

#[test]
fn nothing_is_enlarged_without_being_asked() {
    let space = Workspace::new();
    space.train("base", 0);
    space.data(20);
    let report = finetune(&space, "own", &["--steps", "1"]);
    assert_eq!((&report["size"], &report["enlarged"]), (&serde_json::json!([32, 32]), &0.into()));
    let args = ["finetune", "base", "--data", "data", "--out", "asked", "--steps", "1", "--set", "size=[64,64]"];
    let text = space.ok(&[&args[..], &QUICK].concat()).stdout;
    assert!(text.contains("16 pictures smaller than 64×64 were enlarged"), "{text}");
    // A picture that is too small is named, with what would help.
    space.picture("data/tiny.png", 9, 32, 1);
    let error = space.fails(&["finetune", "base", "--data", "data", "--out", "tiny"]);
    assert!(["tiny.png", "9×32", "size=[WIDTH,HEIGHT]"].iter().all(|text| error.contains(text)), "{error}");
    assert!(!space.path("tiny").exists());
}

#[test]
fn both_models_are_judged_on_pictures_that_the_tuning_never_saw() {
    let space = Workspace::new();
    space.train("base", 0);
    space.data(30);
    for seed in 0..10 {
        // Of no size that a network takes as it is.
        space.picture(&format!("data/wide-{seed}.png"), 41, 33, seed);
    }
    let report = finetune(&space, "run", &["--steps", "40"]);
    assert_eq!(report["change"]["pictures"], 8);
    let part = |part: &str| space.json(&["eval", "--data", "data", "--model", "run", "--part", part]);
    let counts = ["train", "valid", "test"].map(|name| part(name)["sets"][0]["images"].as_u64().unwrap());
    assert_eq!(counts, [24, 8, 8]);
    let judged = part("test");
    assert_eq!(judged["pictures"], "8 of 40 pictures: the test part");
    for (one, two) in [("mse", "mse_255"), ("psnr", "psnr"), ("ssim", "ssim")] {
        close(&report["after"][one], &judged["sets"][0][two]);
    }
    // The change is that of the figures, within its interval.
    let change = &report["change"];
    let ratio = number(&report["after"]["mse"]) / number(&report["before"]["mse"]) - 1.0;
    assert!((ratio - number(&change["change"])).abs() < 1e-9);
    assert!(number(&change["low"]) <= ratio && ratio <= number(&change["high"]));
    let verdict = if number(&change["high"]) < 0.0 {
        "gain"
    } else if number(&change["low"]) > 0.0 {
        "loss"
    } else {
        "within-noise"
    };
    assert_eq!(change["verdict"], verdict);
    // Said again it is the same to the digit, and in words.
    let again = space.json(&["finetune", "--out", "run", "--resume"]);
    assert_eq!((&again["change"], &again["size"]), (&report["change"], &report["size"]));
    let text = space.ok(&["finetune", "--out", "run", "--resume"]).stdout;
    let said = "judged on 8 pictures that neither training nor early stopping saw: MSE ";
    assert!(text.contains(said) && text.contains("95 % interval"), "{text}");
}

#[test]
fn a_data_set_with_a_test_part_is_judged_by_that() {
    let space = Workspace::new();
    space.train("base", 0);
    for seed in 0..10 {
        space.picture(&format!("parts/train/{seed}.png"), 32, 32, seed);
        space.picture(&format!("parts/test/{seed}.png"), 32, 32, seed + 10);
    }
    let args = ["finetune", "base", "--data", "parts", "--out", "run", "--steps", "2"];
    let report = space.json(&[&args[..], &QUICK].concat());
    assert_eq!(report["change"]["pictures"], 10);
    let trained = space.json(&["eval", "--data", "parts", "--model", "run", "--part", "train"]);
    assert_eq!(trained["sets"][0]["images"], 8);
}

#[test]
fn no_change_is_no_gain() {
    let space = Workspace::new();
    space.train("base", 0);
    space.data(40);
    let args = ["finetune", "base", "--data", "data", "--out", "run", "--set", "lr=1", "--patience", "2"];
    let text = space.ok(&[&args[..], &QUICK].concat()).stdout;
    assert!(text.contains("+0.0 %") && text.contains("no gain: nothing better than base was found"), "{text}");
    // Few pictures tell nothing.
    let few = Workspace::new();
    few.train("base", 0);
    let args = ["finetune", "base", "--data", "data", "--out", "run", "--steps", "5"];
    let text = few.ok(&[&args[..], &QUICK].concat()).stdout;
    assert!(text.contains("2 pictures cannot tell a gain from chance"), "{text}");
}

#[test]
fn models_are_evaluated_on_the_same_pictures_at_the_same_size() {
    let space = Workspace::new();
    space.train("base", 0);
    space.data(20);
    finetune(&space, "tuned", &["--steps", "2", "--set", "size=[16,16]"]);
    for seed in 0..6 {
        space.picture(&format!("other/{seed}.png"), 40 + seed, 30, seed);
    }
    let reports = ["base", "tuned", "cifar10-ksom", "photos-ksom-vqvae2"]
        .map(|model| space.json(&["eval", "--data", "other", "--model", model]));
    for report in &reports {
        assert_eq!((&report["pictures"], &report["size"]), (&"all of its 6 pictures".into(), &Value::Null));
        assert_eq!(report["sets"][0]["images"], 6);
    }
    // What training validated on has to be asked for.
    let trained = space.json(&["eval", "--data", "other", "--model", "tuned", "--as-trained"]);
    assert_eq!(trained["size"], serde_json::json!([16, 16]));
    assert_ne!(trained["mse"], reports[1]["mse"]);
}

#[test]
fn psnr_means_one_thing() {
    let space = Workspace::new();
    for seed in 0..5 {
        space.picture(&format!("p/{seed}.png"), 24 + 9 * seed, 40, seed);
    }
    let model = "cifar10-ksom";
    let evaluated = space.json(&["eval", "--data", "p", "--model", model])["sets"][0].clone();
    let compared = space.json(&["compare", "p", "--model", model, "-o", "c.png"])["models"][0].clone();
    let reconstructed = space.json(&["reconstruct", "p", "--model", model, "-o", "out"])["mean"].clone();
    for other in [&compared, &reconstructed] {
        for (one, two) in [("mse_255", "mse"), ("psnr", "psnr"), ("ssim", "ssim")] {
            close(&evaluated[one], &other[two]);
        }
    }
    // The other figure has a name of its own, and is another.
    let of_mean = number(&evaluated["psnr_of_mean_mse"]);
    let expected = 10.0 * (255.0f64.powi(2) / number(&evaluated["mse_255"])).log10();
    assert!((of_mean - expected).abs() < 1e-9 && of_mean < number(&evaluated["psnr"]) - 1e-3, "{evaluated}");
}

#[test]
fn figures_recorded_before_keep_their_meaning() {
    let space = Workspace::new();
    space.train("run", 0);
    let log = space.path("run/metrics.jsonl");
    let mut text = std::fs::read_to_string(&log).unwrap();
    text += "{\"kind\":\"eval\",\"step\":3,\"mse\":0.5,\"data\":\"old\",\"sets\":[[\"old\",{\"images\":7,\"mse\":0.5,\
             \"psnr\":20.0,\"ssim\":0.5,\"levels\":[]}]]}\n";
    std::fs::write(&log, text).unwrap();
    let card = || space.json(&["push", "run", "owner/name", "--dry-run"])["card"].as_str().unwrap().to_string();
    let old = card();
    assert!(old.contains("| PSNR of the mean MSE | 20.00 dB |") && !old.contains("| PSNR |"), "{old}");
    space.ok(&["eval", "--data", "data", "--model", "run", "--record"]);
    let new = card();
    assert!(new.contains("| PSNR | ") && new.contains("| PSNR of the mean MSE | "), "{new}");
}

#[cfg(unix)]
#[test]
fn a_model_that_was_never_validated_is_called_untrained() {
    let space = Workspace::new();
    space.data(20);
    let args = ["train", "--data", "data", "--out", "run", "--steps", "100000", "--set", "validate_every=100000"];
    let mut child = start_until(&space, &[&args[..], &TINY].concat(), "run", 3);
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for command in [
        &["info", "run"][..],
        &["encode", "data", "-o", "c.safetensors", "--model", "run", "-q"],
        &["eval", "--data", "data", "--model", "run"],
    ] {
        let said = space.ok(command).stderr;
        assert!(said.contains("warning: run holds an untrained model") && said.contains("run/last"), "{said}");
    }
    let said = space.ok(&["info", "run/last"]).stderr;
    assert!(!said.contains("untrained"), "{said}");
}

#[test]
fn commands_say_which_pictures_they_took() {
    let space = Workspace::new();
    for part in ["train", "val", "test"] {
        space.picture(&format!("g/{part}/a.png"), 32, 32, 1);
    }
    space.picture("g/train/b.png", 32, 32, 2);
    let names = |args: &[&str]| -> Vec<String> {
        let report = space.json(&[&["eval", "--data", "g", "--model", "cifar10-ksom"][..], args].concat());
        let sets = report["sets"].as_array().unwrap().iter().map(|set| set["set"].as_str().unwrap().to_string());
        sets.chain([report["pictures"].as_str().unwrap().to_string()]).collect()
    };
    let all = ["g, training", "g, validation", "g, test", "all of its 4 pictures"];
    assert_eq!(names(&["--part", "all"]), all);
    assert_eq!(names(&[]), ["g", "1 of 4 pictures: the test part"]);
    // The split is that of the model's recipe, which takes its validation pictures from the training part.
    assert_eq!(names(&["--part", "train"])[1], "1 of 4 pictures: the training part");
    let text = {
        // Pictures of any sizes.
        space.picture("g/test/c.png", 50, 21, 3);
        space.ok(&["usage", "cifar10-ksom", "--data", "g", "-o", "u.png"])
    }
    .stdout;
    assert!(text.contains("2 of 5 pictures: the test part"), "{text}");
    let text = space.ok(&["eval", "--data", "g", "--model", "cifar10-ksom"]).stdout;
    assert!(text.contains("2 of 5 pictures: the test part; whole, at their own size"), "{text}");
}

#[test]
fn models_measured_on_other_data_are_listed_apart() {
    let space = Workspace::new();
    let listed = space.ok(&["list"]).stdout;
    let tables: Vec<&str> = listed.split("built in, measured on ").skip(1).collect();
    assert!(tables.len() >= 2, "{listed}");
    for table in tables {
        let data = table.split(" of ").nth(1).unwrap().split(':').next().unwrap();
        let of_photographs = table.split("\n\n").next().unwrap().contains("\nphotos-");
        assert_eq!(data == "sample256", of_photographs, "{table}");
    }
}

#[test]
fn quiet_commands_print_results_alone() {
    let space = Workspace::new();
    space.train("base", 0);
    let args = ["finetune", "base", "--data", "data", "--out", "run", "--steps", "2"];
    let finished = space.ok(&[&args[..], &QUICK, &["-q"]].concat());
    assert!(!finished.stdout.contains("next:") && finished.stdout.contains("judged"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
    assert!(space.ok(&[&args[..4], &["--out", "loud", "--steps", "2"], &QUICK].concat()).stdout.contains("next: ksom"));
    let args = ["train", "--data", "data", "--out", "new", "--steps", "2", "-q"];
    let finished = space.ok(&[&args[..], &TINY].concat());
    assert!(!finished.stdout.contains("next:"), "{}", finished.stdout);
}

#[test]
fn trainings_leave_labelled_samples_of_a_bounded_number() {
    let space = Workspace::new();
    space.data(10);
    let args = ["train", "--data", "data", "--out", "run", "--steps", "40", "--set", "validate_every=1"];
    space.ok(&[&args[..], &TINY].concat());
    let sheets = std::fs::read_dir(space.path("run/samples")).unwrap().count();
    assert!((8..=16).contains(&sheets), "{sheets}");
    // Two pictures (a fifth of ten), each beside its reconstruction at eight times its size.
    let sheet = pixels(&space.path("run/samples/step-40.jpg"));
    assert!(sheet.width() >= 2 * 256 && sheet.height() >= 2 * 256, "{:?}", sheet.dimensions());
    space.ok(&[&["finetune", "run", "--data", "data", "--out", "tuned", "--steps", "2"][..], &QUICK].concat());
    assert!(space.path("tuned/samples/step-0.jpg").is_file() && space.path("tuned/samples/step-2.jpg").is_file());
}
