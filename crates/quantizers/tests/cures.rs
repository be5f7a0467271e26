//! What keeps a codebook from collapsing, by its definition: gradients in f64, revived codes, k-means, stages.

mod support;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use ksom_quantizers::{
    Estimator, Initialization, Quantizer, QuantizerConfig, Residual, Similarity, build_seeded, fsq_levels,
};
use proptest::prelude::*;
use support::{BACKENDS, build_from, numbers, state_of, train};

/// One configuration of each kind, and each option.
fn every_kind() -> Vec<QuantizerConfig> {
    let ema = QuantizerConfig::ema_vq(12, 3);
    vec![
        QuantizerConfig { init: Initialization::KMeans, revive_below: 0.5, ..ema.clone() },
        QuantizerConfig { similarity: Similarity::Cosine, estimator: Estimator::Rotation, ..ema },
        QuantizerConfig { similarity: Similarity::Cosine, revive_below: 0.9, ..QuantizerConfig::ksom(12, 3) },
        QuantizerConfig { init: Initialization::KMeans, ..QuantizerConfig::gd_som(12, 3) },
        QuantizerConfig { estimator: Estimator::Rotation, ..QuantizerConfig::gd_som(12, 3) },
        QuantizerConfig::sim_vq(12, 3),
        QuantizerConfig { estimator: Estimator::Rotation, ..QuantizerConfig::fsq(&[4, 5, 3]) },
    ]
}

fn rows(count: usize, dim: usize, seed: u64) -> Tensor {
    // Any numbers will do, as long as no two rows are alike.
    let value = |i: usize| ((i as f64 * 12.9898 + seed as f64 * 78.233).sin() * 43_758.547).fract() as f32 * 2.0;
    Tensor::from_vec((0..count * dim).map(value).collect::<Vec<_>>(), (count, dim), &Device::Cpu).unwrap()
}

fn bits(state: Vec<(&'static str, Tensor)>) -> Vec<(&'static str, Vec<u64>)> {
    state.into_iter().map(|(name, tensor)| (name, numbers(&tensor).into_iter().map(f64::to_bits).collect())).collect()
}

/// A step on `x`, the first of which makes the codebook where it is to be made.
fn step(quantizer: &mut dyn Quantizer, x: &Tensor) {
    if quantizer.awaits_vectors().unwrap() {
        quantizer.initialize(x).unwrap();
    }
    let codes = quantizer.assign(x).unwrap();
    train(quantizer, x, &codes);
}

#[test]
fn a_state_goes_on_to_the_same_bits() {
    for config in every_kind() {
        for backend in BACKENDS {
            let mut whole = build_seeded(&config, 5, &Device::Cpu).unwrap();
            whole.set_backend(backend).unwrap();
            let mut resumed = build_seeded(&config, 5, &Device::Cpu).unwrap();
            resumed.set_backend(backend).unwrap();
            assert_eq!(bits(whole.state()), bits(resumed.state()), "{config:?}: a seed");
            for number in 0..5 {
                step(whole.as_mut(), &rows(20, 3, number));
                // Through a checkpoint each time, before the first step, too.
                let state: Vec<_> =
                    resumed.state().into_iter().map(|(name, tensor)| (name, tensor.copy().unwrap())).collect();
                resumed = build_from(&config, &state, backend).unwrap();
                step(resumed.as_mut(), &rows(20, 3, number));
                assert_eq!(bits(whole.state()), bits(resumed.state()), "{config:?}: step {number}");
            }
            assert_eq!(whole.steps().unwrap(), 5);
            // The same configuration through its text.
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<QuantizerConfig>(&text).unwrap(), config);
        }
    }
}

#[test]
fn configurations_of_before_are_written_as_before() {
    for config in [QuantizerConfig::ksom(12, 4), QuantizerConfig::ema_vq(12, 4), QuantizerConfig::gd_som(12, 4)] {
        let text = serde_json::to_string(&config).unwrap();
        for new in ["similarity", "estimator", "\"init\"", "revive_below"] {
            assert!(!text.contains(new), "{new} in {text}");
        }
    }
}

#[test]
fn options_that_a_kind_does_not_have_are_refused() {
    let (fsq, sim_vq) = (QuantizerConfig::fsq(&[8, 8]), QuantizerConfig::sim_vq(12, 3));
    let ema = QuantizerConfig::ema_vq(12, 3);
    for (config, says) in [
        (QuantizerConfig { similarity: Similarity::Cosine, ..fsq.clone() }, "similarity"),
        (QuantizerConfig { similarity: Similarity::Cosine, ..QuantizerConfig::gd_som(12, 3) }, "similarity"),
        (QuantizerConfig { init: Initialization::KMeans, ..sim_vq.clone() }, "init"),
        (QuantizerConfig { revive_below: 1.0, ..sim_vq.clone() }, "revive_below"),
        (QuantizerConfig { revive_below: -1.0, ..ema.clone() }, "revive_below"),
        (QuantizerConfig { revive_below: 1.0, skip_unused: true, ..ema }, "skip_unused"),
        (QuantizerConfig { neighborhood: ksom_quantizers::NeighborhoodKind::Hard, ..sim_vq }, "neighborhood"),
        (QuantizerConfig::fsq(&[8, 2]), "3 to 256 levels"),
        (QuantizerConfig { dim: 3, ..fsq }, "an axis for each dimension"),
        (QuantizerConfig::fsq(&[256; 9]), "num_codes"),
    ] {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(says), "{says:?} in {error:?}");
    }
    for (codes, levels) in
        [(512, vec![8; 3]), (4096, vec![8; 4]), (16384, vec![8, 8, 8, 8, 4]), (65536, vec![8, 8, 8, 8, 4, 4])]
    {
        assert_eq!(fsq_levels(codes).unwrap(), levels);
    }
    for bits in 2..=20 {
        assert_eq!(fsq_levels(1 << bits).unwrap().iter().product::<usize>(), 1 << bits);
    }
    assert!(fsq_levels(1000).is_err() && fsq_levels(2).is_err());
}

/// The gradient by `x` of the output's product with `g`, without the loss.
fn pulled_back(config: &QuantizerConfig, x: &[f32], g: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let quantizer = build_seeded(config, 1, &Device::Cpu).unwrap();
    let shape = (x.len() / config.dim, config.dim);
    let x = Var::from_tensor(&Tensor::from_slice(x, shape, &Device::Cpu).unwrap()).unwrap();
    let g = Tensor::from_slice(g, shape, &Device::Cpu).unwrap();
    let output = quantizer.forward(&x).unwrap().output;
    let grads = (&output * g).unwrap().sum_all().unwrap().backward().unwrap();
    (numbers(&output), numbers(grads.get(&x).unwrap()))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn in_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// λR takes x to its code, so x·grad = code·g; and it keeps angles, so |grad| = λ|g|. In f64, with R in full.
    #[test]
    fn the_rotation_is_one(x in prop::collection::vec(-2f32..2.0, 4), g in prop::collection::vec(-1f32..1.0, 4)) {
        prop_assume!(x.iter().any(|v| v.abs() > 0.1));
        let config = QuantizerConfig { estimator: Estimator::Rotation, ..QuantizerConfig::ema_vq(9, 4) };
        let (code, found) = pulled_back(&config, &x, &g);
        let (x, g) = (in_f64(&x), in_f64(&g));
        let scale = (dot(&code, &code) / dot(&x, &x)).sqrt();
        let unit = |v: &[f64]| -> Vec<f64> { let n = dot(v, v).sqrt(); v.iter().map(|v| v / n).collect() };
        let (e, q) = (unit(&x), unit(&code));
        let sum: Vec<f64> = e.iter().zip(&q).map(|(e, q)| e + q).collect();
        prop_assume!(dot(&sum, &sum) > 1e-3);
        let r = unit(&sum);
        // The gradient is λ Rᵀ g with R = 1 − 2 r rᵀ + 2 q eᵀ.
        let expected: Vec<f64> = (0..4).map(|i| scale * (g[i] - 2.0 * r[i] * dot(&r, &g) + 2.0 * e[i] * dot(&q, &g))).collect();
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs() * scale.max(1.0)), "{found} {expected}");
        }
        let tolerance = 1e-3 * (1.0 + scale) * (1.0 + dot(&g, &g));
        prop_assert!((dot(&x, &found) - dot(&code, &g)).abs() < tolerance);
        prop_assert!((dot(&found, &found).sqrt() - scale * dot(&g, &g).sqrt()).abs() < tolerance);
    }

    /// What the cosine compares does not depend on lengths, so no gradient leads along the input.
    #[test]
    fn the_cosine_knows_no_lengths(x in prop::collection::vec(-2f32..2.0, 4), g in prop::collection::vec(-1f32..1.0, 4)) {
        prop_assume!(x.iter().any(|v| v.abs() > 0.1));
        for estimator in [Estimator::StraightThrough, Estimator::Rotation] {
            let config = QuantizerConfig { similarity: Similarity::Cosine, estimator, ..QuantizerConfig::ksom(9, 4) };
            let (code, found) = pulled_back(&config, &x, &g);
            let longer: Vec<f32> = x.iter().map(|v| v * 8.0).collect();
            let (same, shorter) = pulled_back(&config, &longer, &g);
            prop_assert_eq!(&code, &same);
            prop_assert!((dot(&code, &code) - 1.0).abs() < 1e-5);
            let length = dot(&in_f64(&x), &in_f64(&x)).sqrt();
            prop_assert!(dot(&in_f64(&x), &found).abs() < 1e-4 * (1.0 + length));
            for (found, shorter) in found.iter().zip(&shorter) {
                prop_assert!((found - 8.0 * shorter).abs() < 1e-4 * (1.0 + found.abs()));
            }
        }
    }

    /// The bound of FSQ in f64: its slope by differences, and the nearest point of the lattice.
    #[test]
    fn the_lattice_is_rounded_to(x in prop::collection::vec(-3f32..3.0, 3), g in prop::collection::vec(-1f32..1.0, 3)) {
        let levels = [8usize, 5, 4];
        let config = QuantizerConfig::fsq(&levels);
        let (code, found) = pulled_back(&config, &x, &g);
        for (axis, &level) in levels.iter().enumerate() {
            let half = (level / 2) as f64;
            let range = (level - 1) as f64 * 1.001 / 2.0;
            let even = if level % 2 == 0 { 0.5 } else { 0.0 };
            let bound = |z: f64| ((z + (even / range).atanh()).tanh() * range - even) / half;
            let (z, h) = (f64::from(x[axis]), 1e-6);
            let expected = f64::from(g[axis]) * (bound(z + h) - bound(z - h)) / (2.0 * h);
            prop_assert!((found[axis] - expected).abs() < 1e-4 * (1.0 + expected.abs()));
            let rounded = (bound(z) * half).round() / half;
            let tie = ((bound(z) * half).fract().abs() - 0.5).abs() < 1e-3;
            prop_assert!(tie || (code[axis] - rounded).abs() < 1e-6, "{} {rounded}", code[axis]);
        }
    }
}

#[test]
fn every_point_of_a_lattice_is_its_own_code() {
    let quantizer = build_seeded(&QuantizerConfig::fsq(&[8, 5, 3]), 0, &Device::Cpu).unwrap();
    let all = Tensor::arange(0u32, 120, &Device::Cpu).unwrap();
    let points = quantizer.lookup(&all).unwrap();
    assert_eq!(quantizer.grid().coordinates(9).unwrap(), [1, 1, 0]);
    // Far out are the outermost levels; the middle is 0.
    let far = Tensor::new(&[[-50f32, -50.0, -50.0], [50.0, 50.0, 50.0], [0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    let codes = quantizer.assign(&far).unwrap();
    assert_eq!(codes.to_vec1::<u32>().unwrap(), [0, 119, 4 + 8 * 2 + 40]);
    // The nearest of all points to what is compared, whichever way it is found.
    let x = rows(500, 3, 4);
    let two = quantizer.assign_two(&x).unwrap().narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    assert_eq!(numbers(&two), numbers(&quantizer.assign(&x).unwrap()));
    assert_eq!(points.dims(), [120, 3]);
    assert_eq!(quantizer.vars().len(), 0);
}

#[test]
fn codes_without_use_come_back_and_stay() {
    let x = rows(40, 3, 1).affine(0.2, 5.0).unwrap();
    let plain = QuantizerConfig { decay: 0.5, ..QuantizerConfig::ema_vq(12, 3) };
    let used = |config: &QuantizerConfig| {
        let mut quantizer = build_seeded(config, 2, &Device::Cpu).unwrap();
        for _ in 0..12 {
            step(quantizer.as_mut(), &x);
        }
        let mut codes = quantizer.assign(&x).unwrap().to_vec1::<u32>().unwrap();
        codes.sort_unstable();
        codes.dedup();
        (codes.len(), quantizer)
    };
    // All inputs are far from where the codes begin: one or two take them all.
    assert!(used(&plain).0 <= 3);
    let (all, quantizer) = used(&QuantizerConfig { revive_below: 0.5, ..plain });
    assert!(all >= 11, "{all} of 12 codes in use");
    // Averages and counts give the codes where they lie.
    let (sums, counts) = (state_of(quantizer.as_ref(), "_ema_w"), state_of(quantizer.as_ref(), "_ema_cluster_size"));
    let means = sums.broadcast_div(&counts.unsqueeze(1).unwrap()).unwrap();
    for (mean, code) in numbers(&means).into_iter().zip(numbers(quantizer.codebook())) {
        assert!((mean - code).abs() < 1e-4 * code.abs(), "{mean} {code}");
    }
    assert!(numbers(&counts).into_iter().all(|count| count >= 0.4999));
}

#[test]
fn a_codebook_begins_where_the_vectors_are() {
    let x = rows(60, 3, 9).affine(1.0, 30.0).unwrap();
    let config = QuantizerConfig { init: Initialization::KMeans, ..QuantizerConfig::ema_vq(8, 3) };
    let mut quantizer = build_seeded(&config, 0, &Device::Cpu).unwrap();
    assert!(quantizer.awaits_vectors().unwrap());
    quantizer.initialize(&x).unwrap();
    assert!(!quantizer.awaits_vectors().unwrap());
    let first = numbers(quantizer.codebook());
    assert!(first.iter().all(|value| (27.0..33.0).contains(value)), "{first:?}");
    let distances = |quantizer: &dyn Quantizer| numbers(&quantizer.forward(&x).unwrap().loss)[0];
    let mut drawn = build_seeded(&QuantizerConfig::ema_vq(8, 3), 0, &Device::Cpu).unwrap();
    assert!(distances(quantizer.as_ref()) < 0.01 * distances(drawn.as_ref()));
    // Once only; and not at all where it was not asked for.
    quantizer.initialize(&rows(60, 3, 10)).unwrap();
    assert_eq!(numbers(quantizer.codebook()), first);
    let before = numbers(drawn.codebook());
    drawn.initialize(&x).unwrap();
    assert_eq!(numbers(drawn.codebook()), before);
    // Fewer vectors than codes: several codes begin at one.
    let mut few = build_seeded(&config, 0, &Device::Cpu).unwrap();
    few.initialize(&x.narrow(0, 0, 3).unwrap()).unwrap();
    assert!(distances(few.as_ref()) > 0.0);
    assert!(numbers(few.codebook()).iter().all(|value| value.is_finite()));
}

#[test]
fn stages_refine_each_other() {
    let x = rows(200, 3, 3);
    let fsq = QuantizerConfig::fsq(&[5, 4, 3]);
    let error = |stages: usize, config: &QuantizerConfig, learn: bool| {
        let variables = VarMap::new();
        let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let mut quantizer = Residual::new(config, stages, vb).unwrap();
        for number in (0..if learn { 10 } else { 0 }).flat_map(|_| 0..stages) {
            let seen = quantizer.forward(&x, None).unwrap().stages.remove(number);
            step(quantizer.stages_mut()[number].as_mut(), &seen.inputs);
        }
        let quantized = quantizer.forward(&x, None).unwrap();
        assert_eq!(quantized.stages.len(), stages);
        let codes: Vec<Tensor> = quantized.stages.iter().map(|stage| stage.codes.clone()).collect();
        let (assigned, sum) = (quantizer.assign(&x).unwrap(), quantizer.lookup(&codes).unwrap());
        for (one, other) in assigned.iter().zip(&codes) {
            assert_eq!(numbers(one), numbers(other));
        }
        assert_eq!(numbers(&sum), numbers(&quantized.output));
        let again = quantizer.forward(&x, Some(&codes)).unwrap();
        assert_eq!(numbers(&again.output), numbers(&quantized.output));
        assert!(quantizer.lookup(&codes[1..]).is_err());
        let compared = quantizer.stages()[0].compared(&x).unwrap();
        numbers(&(compared - sum).unwrap()).into_iter().map(f64::abs).fold(0.0, f64::max)
    };
    // Each stage of FSQ divides the cell of the one before by its levels: at most half a cell is left.
    let left: Vec<f64> = (1..=3).map(|stages| error(stages, &fsq, false)).collect();
    assert!(left[0] > 0.3 && left[1] < 0.5 / 3.0 + 0.01 && left[2] < 0.5 / 9.0 + 0.01, "{left:?}");
    for config in every_kind()
        .iter()
        .filter(|config| config.init == Initialization::KMeans || config.similarity == Similarity::Cosine)
    {
        let learned = QuantizerConfig { decay: 0.5, revive_below: 0.0, ..config.clone() };
        let (one, three) = (error(1, &learned, true), error(3, &learned, true));
        assert!(three < one, "{learned:?}: {three} after three stages, {one} after one");
    }
    assert!(Residual::new(&fsq, 0, VarBuilder::from_varmap(&VarMap::new(), DType::F32, &Device::Cpu)).is_err());
    assert!(Residual::new(&fsq, 9, VarBuilder::from_varmap(&VarMap::new(), DType::F32, &Device::Cpu)).is_err());
}

#[test]
fn one_stage_is_the_quantizer_itself() {
    for config in every_kind() {
        let alone = build_seeded(&config, 4, &Device::Cpu).unwrap();
        let state: HashMap<String, Tensor> =
            alone.state().into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
        let residual = Residual::new(&config, 1, VarBuilder::from_tensors(state, DType::F32, &Device::Cpu)).unwrap();
        let x = rows(30, 3, 8).reshape((2, 3, 5, 3)).unwrap();
        let (one, other) = (alone.forward(&x).unwrap(), residual.forward(&x, None).unwrap());
        assert_eq!(numbers(&one.output), numbers(&other.output));
        assert_eq!(numbers(&one.loss), numbers(&other.loss));
        assert_eq!(one.codes.dims(), other.stages[0].codes.dims());
        assert_eq!(numbers(&one.codes), numbers(&other.stages[0].codes));
    }
}

#[test]
fn a_transform_that_was_moved_counts_at_once() {
    let quantizer = build_seeded(&QuantizerConfig::sim_vq(12, 3), 0, &Device::Cpu).unwrap();
    let (x, var) = (rows(20, 3, 2), quantizer.vars().remove(0).1);
    let codes = quantizer.assign(&x).unwrap();
    var.set(&(var.as_tensor() * 2.0).unwrap()).unwrap();
    let expected = state_of(quantizer.as_ref(), "frozen").matmul(&var.as_tensor().t().unwrap()).unwrap();
    let vectors = quantizer.lookup(&codes).unwrap();
    assert_eq!(numbers(&vectors), numbers(&expected.index_select(&codes, 0).unwrap()));
    assert!(!quantizer.codebook().is_variable());
}
