//! The quantizers that the paper does not have, against golden files that vector-quantize-pytorch made
//! (scripts/codebook_golden.py), within 1e-4 relative + 1e-5 absolute.

mod support;

use std::collections::HashMap;

use candle_core::{DType, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use ksom_quantizers::{Backend, Estimator, Fsq, Quantizer, QuantizerConfig, Residual, SimVq, Similarity, k_means};
use support::{
    Golden, assert_close, assert_codes, build_from, golden_backends, golden_device, golden_files, numbers,
    own_golden_dir, state_of, train,
};

/// The names of a moving average's state here, and in the files.
const STATE: [(&str, &str); 3] = [("_w", "codebook"), ("_ema_w", "sums"), ("_ema_cluster_size", "counts")];

fn flag(golden: &Golden, key: &str) -> bool {
    golden.config[key].as_bool().unwrap_or_else(|| panic!("{}: {key:?} is not a flag", golden.name))
}

fn estimator(golden: &Golden) -> Estimator {
    if flag(golden, "rotation") { Estimator::Rotation } else { Estimator::StraightThrough }
}

fn ema(golden: &Golden, codebook: &Tensor) -> QuantizerConfig {
    let (k, d) = codebook.dims2().unwrap();
    QuantizerConfig {
        decay: golden.number("decay"),
        epsilon: golden.number("epsilon"),
        commitment: golden.number("commitment"),
        ..QuantizerConfig::ema_vq(k, d)
    }
}

fn initial(golden: &Golden, prefix: &str) -> Vec<(&'static str, Tensor)> {
    let of = |(name, there): (&'static str, &str)| (name, golden.get(&format!("{prefix}.{there}")).clone());
    let counter = Tensor::zeros((), DType::F32, &golden_device()).unwrap();
    STATE.into_iter().map(of).chain([("counter", counter)]).collect()
}

/// Forward and backward at a step, compared; gives the inputs and codes.
fn check_step(
    golden: &Golden,
    prefix: &str,
    quantizer: &dyn Quantizer,
) -> (Tensor, Tensor, candle_core::backprop::GradStore) {
    let get = |what: &str| golden.get(&format!("{prefix}.{what}"));
    let label = |what: &str| format!("{} {prefix}.{what}", golden.name);
    let x = Var::from_tensor(get("input")).unwrap();
    let quantized = quantizer.forward(&x).unwrap();
    let compared = quantizer.compared(&x).unwrap().detach();
    let ties = assert_codes(&quantized.codes, get("codes"), &compared, quantizer.codebook(), &label("codes"));
    assert_eq!(ties, 0, "{}: the files are made without ties", golden.name);
    assert_close(&quantized.output, get("output"), &label("output"));
    let rows = quantizer.lookup(&quantized.codes).unwrap();
    assert_eq!(numbers(&rows), numbers(&quantized.output), "{}: the output is the codebook's", golden.name);
    assert_close(&quantized.loss, get("loss"), &label("loss"));
    let objective = (&quantized.loss + (&quantized.output * get("output_grad")).unwrap().sum_all().unwrap()).unwrap();
    let grads = objective.backward().unwrap();
    assert_close(grads.get(&x).unwrap(), get("input_grad"), &label("input_grad"));
    (x.as_tensor().detach(), quantized.codes, grads)
}

fn check_state(golden: &Golden, prefix: &str, quantizer: &dyn Quantizer) {
    for (name, there) in STATE {
        let label = format!("{} {prefix}.{there}", golden.name);
        assert_close(&state_of(quantizer, name), golden.get(&format!("{prefix}.{there}")), &label);
    }
}

fn check_moving_averages(golden: &Golden, backend: Backend) {
    let config = QuantizerConfig {
        estimator: estimator(golden),
        similarity: if flag(golden, "cosine") { Similarity::Cosine } else { Similarity::Euclidean },
        revive_below: golden.number("threshold"),
        ..ema(golden, golden.get("init.codebook"))
    };
    let mut quantizer = build_from(&config, &initial(golden, "init"), backend).unwrap();
    let mut revived = 0;
    for step in 0..golden.number("steps") as usize {
        let prefix = format!("step{step}");
        let (x, codes, _) = check_step(golden, &prefix, quantizer.as_ref());
        let mut observation = quantizer.observe(&x, &codes).unwrap();
        let taken = format!("{prefix}.taken");
        if golden.names().any(|name| *name == taken) {
            revived += golden.get(&taken).dim(0).unwrap();
            observation = observation.offering(golden.get(&taken)).unwrap();
        }
        quantizer.step(observation).unwrap();
        check_state(golden, &prefix, quantizer.as_ref());
    }
    assert_eq!(revived > 0, config.revive_below > 0.0, "{}: codes that were revived", golden.name);
}

fn check_k_means(golden: &Golden, backend: Backend) {
    let similarity = if flag(golden, "cosine") { Similarity::Cosine } else { Similarity::Euclidean };
    let (x, drawn) = (golden.get("k_means.input"), golden.get("k_means.drawn"));
    let (centers, sizes) = k_means(x, drawn, golden.number("rounds") as usize, similarity, backend).unwrap();
    assert_close(&centers, golden.get("k_means.centers"), &golden.name);
    assert_close(&sizes, golden.get("k_means.sizes"), &golden.name);
}

fn check_sim_vq(golden: &Golden, backend: Backend) {
    let (k, d) = golden.get("init.frozen").dims2().unwrap();
    let config = QuantizerConfig {
        estimator: estimator(golden),
        commitment: golden.number("commitment"),
        ..QuantizerConfig::sim_vq(k, d)
    };
    let variables = VarMap::new();
    for name in ["frozen", "transform"] {
        let var = Var::from_tensor(golden.get(&format!("init.{name}"))).unwrap();
        variables.data().lock().unwrap().insert(name.into(), var);
    }
    let mut quantizer = SimVq::new(&config, VarBuilder::from_varmap(&variables, DType::F32, &golden_device())).unwrap();
    quantizer.set_backend(backend).unwrap();
    let var = quantizer.vars().remove(0).1;
    for step in 0..golden.number("steps") as usize {
        let prefix = format!("step{step}");
        let (x, codes, grads) = check_step(golden, &prefix, &quantizer);
        let gradient = grads.get(&var).unwrap();
        let label = |what: &str| format!("{} {prefix}.{what}", golden.name);
        assert_close(gradient, golden.get(&format!("{prefix}.transform_grad")), &label("transform_grad"));
        var.set(&(var.as_tensor() - gradient.affine(golden.number("lr"), 0.0).unwrap()).unwrap()).unwrap();
        train(&mut quantizer, &x, &codes);
        assert_close(
            &state_of(&quantizer, "transform"),
            golden.get(&format!("{prefix}.transform")),
            &label("transform"),
        );
        assert_close(quantizer.codebook(), golden.get(&format!("{prefix}.codebook")), &label("codebook"));
    }
    assert_eq!(numbers(&state_of(&quantizer, "frozen")), numbers(golden.get("init.frozen")));
}

fn check_fsq(golden: &Golden, backend: Backend) {
    let config = QuantizerConfig::fsq(&golden.shape("levels"));
    let counter = HashMap::from([("counter".to_string(), Tensor::zeros((), DType::F32, &golden_device()).unwrap())]);
    let mut quantizer = Fsq::new(&config, VarBuilder::from_tensors(counter, DType::F32, &golden_device())).unwrap();
    quantizer.set_backend(backend).unwrap();
    assert_close(quantizer.codebook(), golden.get("init.codebook"), &golden.name);
    for step in 0..golden.number("steps") as usize {
        check_step(golden, &format!("step{step}"), &quantizer);
    }
}

fn check_residual(golden: &Golden, backend: Backend) {
    let stages = golden.number("stages") as usize;
    let mut state = HashMap::new();
    for stage in 0..stages {
        let below = if stage == 0 { String::new() } else { format!("stage_{}.", stage + 1) };
        let named = initial(golden, &format!("init{stage}")).into_iter();
        state.extend(named.map(|(name, tensor)| (format!("{below}{name}"), tensor)));
    }
    let config = ema(golden, golden.get("init0.codebook"));
    let vb = VarBuilder::from_tensors(state, DType::F32, &golden_device());
    let mut quantizer = Residual::new(&config, stages, vb).unwrap();
    quantizer.set_backend(backend).unwrap();
    for step in 0..golden.number("steps") as usize {
        let prefix = format!("step{step}");
        let (get, label) = (|what: &str| golden.get(&format!("{prefix}.{what}")), format!("{} {prefix}", golden.name));
        let x = Var::from_tensor(get("input")).unwrap();
        let quantized = quantizer.forward(&x, None).unwrap();
        assert_close(&quantized.output, get("output"), &label);
        assert_close(&quantized.loss, get("loss"), &label);
        let grads = quantized.loss.backward().unwrap();
        assert_close(grads.get(&x).unwrap(), get("input_grad"), &label);
        for (number, seen) in quantized.stages.iter().enumerate() {
            let (stage, prefix) = (&mut quantizer.stages_mut()[number], format!("{prefix}.{number}"));
            let codes = golden.get(&format!("{prefix}.codes"));
            assert_codes(&seen.codes, codes, &seen.inputs, stage.codebook(), &label);
            train(stage.as_mut(), &seen.inputs, &seen.codes);
            check_state(golden, &prefix, stage.as_ref());
        }
    }
}

#[test]
fn golden_codebooks() {
    let Some(dir) = own_golden_dir() else { return };
    let files = golden_files(&dir.join("codebooks"));
    assert!(files.len() >= 12, "expected the files of every cure in {}", dir.display());
    for &backend in golden_backends() {
        for path in &files {
            let golden = Golden::read(path);
            match golden.text("kind") {
                "ema" => check_moving_averages(&golden, backend),
                "k_means" => check_k_means(&golden, backend),
                "sim_vq" => check_sim_vq(&golden, backend),
                "fsq" => check_fsq(&golden, backend),
                "residual" => check_residual(&golden, backend),
                other => panic!("{}: unknown kind {other:?}", golden.name),
            }
        }
    }
}
