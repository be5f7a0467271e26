//! Models with every kind of codebook: gradients, steps and bits.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{Estimator, Initialization, QuantizerConfig, Similarity};
use ksom_vqvae::model::Architecture;
use ksom_vqvae::training::{AdamW, Optimizer, train_step};
use ksom_vqvae::{Compute, Model, ModelConfig};

/// Each kind and option, with stages.
fn quantizers() -> Vec<(QuantizerConfig, usize)> {
    let (ema, ksom) = (QuantizerConfig::ema_vq(16, 4), QuantizerConfig::ksom(16, 4));
    let rotation = |config: &QuantizerConfig| QuantizerConfig { estimator: Estimator::Rotation, ..config.clone() };
    let cosine = QuantizerConfig { similarity: Similarity::Cosine, ..ema.clone() };
    let begun = QuantizerConfig { init: Initialization::KMeans, revive_below: 0.5, ..ema.clone() };
    let fsq = QuantizerConfig::fsq(&[5, 4, 3]);
    vec![
        (ksom.clone(), 1),
        (rotation(&ema), 1),
        (rotation(&cosine), 1),
        (cosine, 2),
        (begun.clone(), 1),
        (begun, 3),
        (rotation(&QuantizerConfig::gd_som(16, 4)), 2),
        (QuantizerConfig::sim_vq(16, 4), 1),
        (rotation(&QuantizerConfig::sim_vq(16, 4)), 2),
        (fsq.clone(), 1),
        (rotation(&fsq), 2),
        (ksom, 2),
    ]
}

fn setups() -> impl Iterator<Item = (ModelConfig, Compute)> {
    [Architecture::vqvae(), Architecture::vqvae2()].into_iter().flat_map(|architecture| {
        quantizers().into_iter().flat_map(move |(quantizer, stages)| {
            let architecture = Architecture { hidden: 8, residual_hidden: 4, stages, ..architecture.clone() };
            let config = ModelConfig::new(architecture, quantizer);
            [Compute::cpu(), Compute::cpu().portable()].map(|compute| (config.clone(), compute))
        })
    })
}

fn pixels(count: usize) -> Tensor {
    let value = |i: usize| ((i as f64 * 12.9898).sin() * 43_758.547).fract() as f32 * 2.0;
    Tensor::from_vec((0..count * 3 * 256).map(value).collect::<Vec<_>>(), (count, 3, 16, 16), &Device::Cpu).unwrap()
}

fn optimizer(model: &Model) -> Optimizer {
    Optimizer::new(model.vars(), AdamW { lr: 1e-2, ..AdamW::default() }, 1.0, model.compute().backend).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(model: &Model) -> BTreeMap<String, Vec<u32>> {
    let of = |tensor: &Tensor| values(tensor).into_iter().map(f32::to_bits).collect();
    model.state().unwrap().iter().map(|(name, tensor)| (name.clone(), of(tensor))).collect()
}

#[test]
fn the_tape_leads_back_as_candles_graph_does() {
    for (config, compute) in setups() {
        let model = Model::init(&config, 3, &compute).unwrap();
        let pixels = pixels(3);
        let taped = model.backpropagate(&pixels, None, 0.5).unwrap();
        let output = model.forward(&pixels).unwrap();
        let mse = (&output.reconstruction - &pixels).unwrap().sqr().unwrap().mean_all().unwrap();
        let loss = ((mse + &output.quantizer_loss).unwrap() * 0.5).unwrap();
        let store = loss.backward().unwrap();
        let name = format!("{} × {} on {:?}", config.quantizer.name(), config.architecture.stages, compute.backend);
        let vars = model.vars();
        assert_eq!(taped.gradients.len(), vars.len(), "{name}");
        let norm = |of: &dyn Fn(&str) -> Vec<f32>| {
            vars.keys().flat_map(|name| of(name)).map(|v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
        };
        let graph = |name: &str| values(store.get(vars[name].as_tensor()).unwrap());
        let (whole, mut difference) = (norm(&graph), 0f64);
        for parameter in vars.keys() {
            let found = values(&taped.gradients[parameter]);
            let expected = graph(parameter);
            assert_eq!(found.len(), expected.len(), "{name}: {parameter}");
            difference += found.iter().zip(&expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
        assert!(difference.sqrt() < 1e-5 * whole, "{name}: {difference} of {whole}");
    }
}

#[test]
fn models_are_the_same_through_a_checkpoint_and_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (config, compute)) in setups().enumerate() {
        let name = format!("{} × {} on {:?}", config.quantizer.name(), config.architecture.stages, compute.backend);
        let (mut model, mut resumed) =
            (Model::init(&config, 3, &compute).unwrap(), Model::init(&config, 3, &compute).unwrap());
        let mut its_optimizer = optimizer(&model);
        let (batch, mut moments) = (pixels(4), optimizer(&resumed).state());
        for step in 0..3 {
            train_step(&mut model, &mut its_optimizer, &batch, 2).unwrap();
            let state = resumed.state().unwrap();
            let state = state.into_iter().map(|(name, tensor)| (name, tensor.copy().unwrap())).collect();
            resumed = Model::from_tensors(&config, state, "here", &compute, true).unwrap();
            let mut other = optimizer(&resumed);
            other.restore(&moments, step).unwrap();
            train_step(&mut resumed, &mut other, &batch, 2).unwrap();
            let copy = |(name, tensor): (String, Tensor)| (name, tensor.copy().unwrap());
            moments = other.state().into_iter().map(copy).collect();
            assert!(bits(&model) == bits(&resumed), "{name}: step {step}");
        }
        let saved = folder.path().join(number.to_string());
        model.save(&saved, DType::F32).unwrap();
        let loaded = Model::load(&saved, &compute).unwrap();
        assert_eq!(loaded.fingerprint().unwrap(), model.fingerprint().unwrap(), "{name}");
        let levels = config.architecture.levels();
        let codes = loaded.encode(&batch).unwrap();
        assert_eq!(codes.len(), levels.len());
        // What a level's codes are is what training saw, and they decode to what it compares.
        let seen = model.forward(&batch).unwrap();
        for (codes, level) in codes.iter().zip(&seen.levels) {
            assert_eq!(codes.to_vec3::<u32>().unwrap(), level.codes.to_vec3::<u32>().unwrap(), "{name}");
        }
        let (decoded, reconstruction) = (loaded.decode(&codes).unwrap(), values(&seen.reconstruction));
        let worst = values(&decoded).iter().zip(&reconstruction).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

#[test]
fn a_first_batch_in_parts_makes_the_same_codebook() {
    for (config, compute) in setups().filter(|(config, _)| config.quantizer.init == Initialization::KMeans) {
        let [whole, parts] = [1, 4].map(|parts| {
            let mut model = Model::init(&config, 1, &compute).unwrap();
            let mut optimizer = optimizer(&model);
            assert!(model.quantizers().iter().all(|quantizer| quantizer.awaits_vectors().unwrap()));
            train_step(&mut model, &mut optimizer, &pixels(4), parts).unwrap();
            assert!(model.quantizers().iter().all(|quantizer| !quantizer.awaits_vectors().unwrap()));
            model.quantizers().iter().flat_map(|quantizer| values(quantizer.codebook())).collect::<Vec<_>>()
        });
        let worst = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 1e-4, "{:?}: {worst}", compute.backend);
    }
}

#[test]
fn stages_are_levels() {
    let architecture = Architecture { stages: 3, ..Architecture::vqvae2() };
    let names: Vec<&str> = architecture.levels().iter().map(|level| level.name).collect();
    let expected = ["codes_top", "codes_top_2", "codes_top_3", "codes_bottom", "codes_bottom_2", "codes_bottom_3"];
    assert_eq!(names, expected);
    assert_eq!(architecture.levels()[4].prefix, "quantize_b.stage_2");
    // Configurations of before are written as before, and read.
    let text = serde_json::to_string(&Architecture::vqvae()).unwrap();
    assert!(!text.contains("stages"), "{text}");
    assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), Architecture::vqvae());
    for stages in [0, 9] {
        let config = ModelConfig::new(Architecture { stages, ..Architecture::vqvae() }, QuantizerConfig::ksom(16, 4));
        assert!(config.validate().unwrap_err().contains("stages must be between 1 and 8"));
    }
}
