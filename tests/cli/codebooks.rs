//! Every kind of codebook from the command: trained, resumed, encoded, decoded, measured, and what cannot be done with it.

use crate::support::{TINY, Workspace, start_until};

/// What is set, and what `info` calls it.
const KINDS: [(&[&str], &str, usize); 9] = [
    (&["neighborhood=none", "init=kmeans", "revive_below=0.5"], "EMA-VQ", 1),
    (&["neighborhood=none", "estimator=rotation"], "EMA-VQ", 1),
    (&["similarity=cosine"], "KSOM, hard neighborhood", 1),
    (&["quantizer.kind=sim_vq"], "SimVQ", 1),
    (&["quantizer.kind=fsq"], "FSQ", 1),
    (&["quantizer.kind=fsq", "levels=[7,5]", "stages=2"], "FSQ", 2),
    (&["stages=3"], "KSOM, hard neighborhood", 3),
    (&["quantizer.kind=gd_som", "init=kmeans", "estimator=rotation"], "GD-SOM, hard neighborhood", 1),
    (&["neighborhood=none", "init=kmeans", "stages=2"], "EMA-VQ", 2),
];

fn args<'a>(run: &'a str, steps: &'a str, kind: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--data", "data", "--out", run, "--steps", steps];
    args.extend(TINY);
    for set in ["checkpoint_every=2", "validate_every=5"].iter().chain(kind) {
        args.extend(["--set", set]);
    }
    args
}

fn files(space: &Workspace, run: &str) -> Vec<Vec<u8>> {
    let files = ["model.safetensors", "config.json", "training.safetensors", "last/model.safetensors"];
    files.iter().map(|file| std::fs::read(space.path(run).join(file)).unwrap()).collect()
}

#[test]
fn every_kind_goes_all_the_way() {
    let space = Workspace::new();
    space.data(10);
    let picture = space.picture("picture.png", 45, 37, 5);
    for (number, (kind, name, stages)) in KINDS.into_iter().enumerate() {
        let run = format!("run-{number}");
        space.ok(&args(&run, "10", kind));
        let info = space.ok(&["info", &run]).stdout;
        assert!(info.contains(name), "{info}");
        let report = space.json(&["info", &run]);
        assert_eq!(report["levels"].as_array().unwrap().len(), stages);
        assert!([5, 10].contains(&report["levels"][0]["codebook_steps"].as_u64().unwrap()), "{report}");

        let codes = format!("{run}.safetensors");
        space.ok(&["encode", &picture, "-o", &codes, "--model", &run]);
        space.ok(&["decode", &codes, "-o", &format!("{run}-decoded"), "--model", &run]);
        let decoded = crate::support::pixels(&space.path(&format!("{run}-decoded/picture.png")));
        assert_eq!(decoded.dimensions(), (45, 37));
        space.ok(&["encode", &picture, "-o", &format!("{run}.small.safetensors"), "--compress", "--model", &run]);
        let evaluation = space.json(&["eval", "--model", &run, "--data", "data"]);
        assert!(evaluation.to_string().contains("perplexity"), "{evaluation}");
        // Another codebook's codes are refused.
        if number > 0 {
            let error = space.fails(&["decode", &codes, "-o", "wrong", "--model", "run-0"]);
            assert!(error.contains("another model") || error.contains("levels"), "{error}");
        }
        let resumed = format!("resumed-{number}");
        let mut child = start_until(&space, &args(&resumed, "10", kind), &resumed, 3);
        child.kill().unwrap();
        child.wait().unwrap();
        space.ok(&["train", "--out", &resumed, "--resume"]);
        assert!(files(&space, &run) == files(&space, &resumed), "{kind:?}: resumed");
    }
    // More than one code for a place has no map.
    let error = space.fails(&["map", "run-6", "-o", "map.png"]);
    assert!(error.contains("3 of them add up"), "{error}");
    space.ok(&["map", "run-4", "-o", "map.png"]);
}

#[test]
fn what_does_not_go_together_is_said() {
    let space = Workspace::new();
    space.data(10);
    for (kind, says) in [
        (&["quantizer.kind=fsq", "similarity=cosine"][..], "similarity"),
        (&["quantizer.kind=fsq", "num_codes=100"], "power of two"),
        (&["quantizer.kind=fsq", "levels=[2,8]"], "3 to 256 levels"),
        (&["quantizer.kind=sim_vq", "revive_below=1"], "revive_below"),
        (&["revive_below=1", "skip_unused=true"], "skip_unused"),
        (&["stages=9"], "stages must be between 1 and 8"),
        (&["quantizer.kind=vq"], "vq"),
    ] {
        let error = space.fails(&args("run", "2", kind));
        assert!(error.contains(says), "{says:?} in {error}");
    }
}

#[cfg(feature = "onnx")]
#[test]
fn every_kind_is_exported_to_onnx() {
    let space = Workspace::new();
    space.data(10);
    for (number, kind) in [
        &["quantizer.kind=fsq"][..],
        &["similarity=cosine"],
        &["stages=2"],
        &["quantizer.kind=sim_vq", "estimator=rotation"],
    ]
    .into_iter()
    .enumerate()
    {
        let (run, folder) = (format!("run-{number}"), format!("onnx-{number}"));
        space.ok(&args(&run, "2", kind));
        space.ok(&["export", &run, "--onnx", &folder]);
        assert!(space.path(&folder).join("encoder.onnx").is_file());
    }
}

#[test]
fn the_experiment_of_codebooks_settles_every_recipe() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/codebooks.toml");
    let experiment = ksom_vqvae::experiment::Experiment::find(&path, None).unwrap();
    // 8 methods at 4 sizes: four of them with 3 seeds at three sizes, all else with one.
    assert_eq!((experiment.configurations.len(), experiment.runs()), (32, 12 * 3 + 20));
    assert_eq!(experiment.methods.len(), 8);
    for configuration in &experiment.configurations {
        let codes: usize = configuration.name.split_once('-').unwrap().1.parse().unwrap();
        assert_eq!(configuration.recipes[0].quantizer.num_codes, codes, "{}", configuration.name);
    }
    assert!(experiment.methods.iter().all(|method| method.configurations.len() == 4));
}
