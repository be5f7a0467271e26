//! The models against golden files made by the paper's own code (tests/golden/README.md): losses, codes, gradients,
//! five optimizer steps and the final state, and conversion of its checkpoints.

#[path = "../crates/quantizers/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{Grid, QuantizerConfig, QuantizerKind};
use ksom_vqvae::checkpoint::ImportOptions;
use ksom_vqvae::model::{Architecture, ArchitectureKind, ForwardOutput};
use ksom_vqvae::training::{AdamW, Optimizer, StepOutcome, train_step};
use ksom_vqvae::{Backend, Compute, Model, ModelConfig};
use support::{
    Golden, assert_close, assert_codes, golden_backends, golden_device, golden_dir, golden_files, numbers,
    own_golden_dir,
};

fn compute(backend: Backend) -> Compute {
    Compute { backend, ..Compute::new(golden_device(), DType::F32) }
}

fn model_config(golden: &Golden) -> ModelConfig {
    let count = |key| golden.number(key) as usize;
    let kind = match golden.text("model") {
        "vqvae" => ArchitectureKind::VqVae,
        "vqvae2" => ArchitectureKind::VqVae2,
        other => panic!("{}: unknown model {other:?}", golden.name),
    };
    let architecture = Architecture {
        kind,
        hidden: count("num_hiddens"),
        residual_layers: count("num_residual_layers"),
        residual_hidden: count("num_residual_hiddens"),
        ..Architecture::vqvae()
    };
    let (kind, skip_unused) = match golden.text("quantizer") {
        "hard_som" => (QuantizerKind::Ksom, false),
        "hardsom_noupdate_zero" => (QuantizerKind::Ksom, true),
        "gd_som" => (QuantizerKind::GdSom, false),
        other => panic!("{}: unknown quantizer {other:?}", golden.name),
    };
    let base = QuantizerConfig::ksom(count("num_embeddings"), count("embedding_dim"));
    let quantizer = QuantizerConfig {
        kind,
        skip_unused,
        neighborhood: serde_json::from_value(golden.config["neighborhood"].clone()).unwrap(),
        grid: Grid::auto(base.num_codes, count("grid_dim")).unwrap().shape().to_vec(),
        shrink_step: golden.number("shrink_step"),
        gaussian_base: golden.number("gaussian_base"),
        decay: golden.number("decay"),
        commitment: golden.number("commitment_cost"),
        counter_init: golden.number("counter_init"),
        kohonen_cost: golden.config["kohonen_cost"].as_f64().unwrap_or(base.kohonen_cost),
        ..base
    };
    ModelConfig::new(architecture, quantizer)
}

/// Tensors whose names begin with `prefix`, without it.
fn under(golden: &Golden, prefix: &str) -> BTreeMap<String, Tensor> {
    golden.names().filter_map(|name| Some((name.strip_prefix(prefix)?.to_string(), golden.get(name).clone()))).collect()
}

fn scalar(tensor: &Tensor) -> f64 {
    numbers(tensor)[0]
}

fn assert_number(found: f64, expected: &Tensor, what: &str) {
    let found = Tensor::new(found as f32, &Device::Cpu).unwrap();
    assert_close(&found, expected, what);
}

/// Compares each level's codes; gives the number of ties.
fn assert_level_codes(model: &Model, output: &ForwardOutput, golden: &Golden, stage: &str) -> usize {
    let mut ties = 0;
    for ((level, quantizer), seen) in
        model.config().architecture.levels().iter().zip(model.quantizers()).zip(&output.levels)
    {
        let what = format!("{} {stage}.{}", golden.name, level.name);
        let expected = golden.get(&format!("{stage}.{}", level.name));
        ties += assert_codes(&seen.codes.flatten_all().unwrap(), expected, &seen.inputs, quantizer.codebook(), &what);
    }
    ties
}

/// Where a fast kernel changes rounding, five steps of AdamW may carry it a little further.
fn assert_final(found: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, Tensor>, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}: names");
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(found.dims(), expected.dims(), "{what}.{name}: shape");
        for (i, (found, expected)) in numbers(found).into_iter().zip(numbers(expected)).enumerate() {
            let tolerance = 1e-4 * expected.abs() + 5e-5;
            assert!((found - expected).abs() <= tolerance, "{what}.{name}[{i}]: expected {expected}, found {found}");
        }
    }
}

fn check_model(golden: &Golden, backend: Backend) -> usize {
    let name = format!("{} ({backend:?})", golden.name);
    let config = model_config(golden);
    let init = under(golden, "init.");
    let mut model = Model::from_tensors(&config, init, &golden.name, &compute(backend), true).unwrap();
    let betas: [f64; 2] = serde_json::from_value(golden.config["betas"].clone()).unwrap();
    let hyperparameters = AdamW {
        lr: golden.number("lr"),
        beta1: betas[0],
        beta2: betas[1],
        eps: golden.number("eps"),
        weight_decay: golden.number("weight_decay"),
    };
    let mut optimizer = Optimizer::new(model.vars(), hyperparameters, golden.number("grad_clip"), backend).unwrap();
    let mut ties = 0;
    for i in 0..golden.number("steps") as usize {
        let stage = format!("step{i}");
        let input = golden.get(&format!("{stage}.input"));
        let output = model.forward(input).unwrap();
        ties += assert_level_codes(&model, &output, golden, &stage);
        if i == 0 {
            assert_close(&output.reconstruction, golden.get("step0.output"), &format!("{name} step0.output"));
            let loss = ((&output.reconstruction - input).unwrap().sqr().unwrap().mean_all().unwrap()
                + &output.quantizer_loss)
                .unwrap();
            // By candle's graph, and as training does it.
            let by_graph = optimizer.gradients(&loss.backward().unwrap());
            let by_training = model.backpropagate(input, None, 1.0).unwrap().gradients;
            let expected = under(golden, "step0.grad_clipped.");
            for gradients in [by_graph, by_training] {
                let names = gradients.keys().collect::<Vec<_>>();
                assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{name}: gradients");
                let clip = optimizer.clip_coefficient(optimizer.norm(&gradients).unwrap());
                for (parameter, expected) in &expected {
                    let found = (&gradients[parameter] * clip).unwrap();
                    assert_close(&found, expected, &format!("{name} step0.grad_clipped.{parameter}"));
                }
            }
        }
        drop(output);
        let outcome = if ties == 0 {
            train_step(&mut model, &mut optimizer, input, 1).unwrap()
        } else {
            step_with_golden_codes(&mut model, &mut optimizer, input, golden, &stage)
        };
        let expected = |key: &str| golden.get(&format!("{stage}.{key}"));
        assert_number(outcome.reconstruction, expected("recon_loss"), &format!("{name} {stage}.recon_loss"));
        assert_number(outcome.quantizer_loss, expected("commit_loss"), &format!("{name} {stage}.commit_loss"));
        assert_number(outcome.grad_norm, expected("grad_norm"), &format!("{name} {stage}.grad_norm"));
    }
    assert_final(&model.state().unwrap(), &under(golden, "final."), &format!("{name} final"));

    let last = golden.number("steps") as usize - 1;
    let input = match golden.names().any(|name| name == "eval.input") {
        true => golden.get("eval.input"),
        false => golden.get(&format!("step{last}.input")),
    };
    let codes = model.encode(input).unwrap();
    assert_eq!(scalar(&codes[0].sum_all().unwrap()), scalar(&model.encode(input).unwrap()[0].sum_all().unwrap()));
    let output = model.forward(input).unwrap();
    ties += assert_level_codes(&model, &output, golden, "eval");
    assert_close(&output.reconstruction, golden.get("eval.output"), &format!("{name} eval.output"));
    assert_close(&model.decode(&codes).unwrap(), golden.get("eval.output"), &format!("{name} decoded codes"));
    ties
}

/// The training step of `train_step`, with the codes of the golden file where ours may be tied with them.
fn step_with_golden_codes(
    model: &mut Model,
    optimizer: &mut Optimizer,
    input: &Tensor,
    golden: &Golden,
    stage: &str,
) -> StepOutcome {
    let (n, _, height, width) = input.dims4().unwrap();
    let codes: Vec<Tensor> = model
        .config()
        .architecture
        .levels()
        .iter()
        .map(|level| {
            let codes = golden.get(&format!("{stage}.{}", level.name)).to_dtype(DType::U32).unwrap();
            codes.reshape((n, height / level.stride, width / level.stride)).unwrap()
        })
        .collect();
    let found = model.backpropagate(input, Some(&codes), 1.0).unwrap();
    let grad_norm = optimizer.norm(&found.gradients).unwrap();
    optimizer.step(&found.gradients, optimizer.clip_coefficient(grad_norm)).unwrap();
    let observations = model.observe(&found.levels).unwrap();
    model.update_quantizers(observations).unwrap();
    let perplexity = found.levels.iter().map(|level| scalar(&level.perplexity)).collect();
    let (reconstruction, quantizer_loss) = (found.reconstruction, found.quantizer_loss);
    StepOutcome { reconstruction, quantizer_loss, perplexity, grad_norm }
}

#[test]
fn golden_steps_with_given_codes_are_the_same() {
    let Some(dir) = own_golden_dir() else { return };
    let golden = Golden::read(&dir.join("model").join("vqvae2-hard-2d.safetensors"));
    let config = model_config(&golden);
    let backend = golden_backends().iter().copied().last().unwrap();
    let state = || {
        let compute = compute(backend);
        let model = Model::from_tensors(&config, under(&golden, "init."), &golden.name, &compute, true).unwrap();
        let optimizer = Optimizer::new(model.vars(), AdamW::default(), 1.0, backend).unwrap();
        (model, optimizer)
    };
    let ((mut a, mut a_optimizer), (mut b, mut b_optimizer)) = (state(), state());
    let input = golden.get("step0.input");
    step_with_golden_codes(&mut a, &mut a_optimizer, input, &golden, "step0");
    train_step(&mut b, &mut b_optimizer, input, 1).unwrap();
    assert_final(&a.state().unwrap(), &b.state().unwrap(), "given codes");
}

#[test]
fn golden_models() {
    let Some(dir) = golden_dir() else { return };
    let files = golden_files(&dir.join("model"));
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    let mut ties = 0;
    for path in files.iter().filter(|path| !file_stem(path).starts_with("torch-")) {
        let golden = Golden::read(path);
        for &backend in golden_backends() {
            ties += check_model(&golden, backend);
        }
        *families.entry(golden.text("model").to_string()).or_default() += 1;
    }
    assert!(!families.is_empty(), "no golden models in {}", dir.display());
    println!("golden models, each on {} backends: {families:?} files, {ties} ties", golden_backends().len());
}

fn file_stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn golden_checkpoints_of_the_paper_convert() {
    let Some(dir) = golden_dir() else { return };
    let dir = dir.join("model");
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pth") {
            continue;
        }
        let golden = Golden::read(&dir.join(format!("{}-expected.safetensors", file_stem(&path))));
        for &backend in golden_backends() {
            let model = Model::import(&path, &ImportOptions::default(), &compute(backend)).unwrap().model;
            let output = model.decode(&model.encode(golden.get("input")).unwrap()).unwrap();
            assert_close(&output, golden.get("output"), &format!("{} ({backend:?})", golden.name));

            // Into a model directory and back out under the paper's names.
            let folder = tempfile::tempdir().unwrap();
            model.save(folder.path(), DType::F32).unwrap();
            let loaded = Model::load(folder.path(), &compute(backend)).unwrap();
            assert_eq!(loaded.fingerprint().unwrap(), model.fingerprint().unwrap());
            let out = folder.path().join("paper.safetensors");
            loaded.write_paper_weights(&out).unwrap();
            let written = candle_core::safetensors::load(&out, &Device::Cpu).unwrap();
            let names = |tensors: Vec<String>| tensors.into_iter().collect::<std::collections::BTreeSet<_>>();
            let original = model.state().unwrap();
            assert_eq!(names(written.keys().cloned().collect()), names(original.keys().cloned().collect()));
            for (name, tensor) in &original {
                assert_eq!(numbers(tensor), numbers(&written[name]), "{name}");
            }
        }
        count += 1;
    }
    assert!(count > 0, "no .pth files in {}", dir.display());
    println!("golden checkpoints converted and written back: {count}");
}
