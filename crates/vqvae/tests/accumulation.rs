//! Steps on a batch in parts: one update, and none at all where a part fails.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::model::Architecture;
use ksom_vqvae::training::{AdamW, Optimizer, train_step};
use ksom_vqvae::{Backend, Compute, Error, Model, ModelConfig};

const BACKENDS: [Backend; 2] = [Backend::Fast, Backend::Portable];

fn setups() -> impl Iterator<Item = (ModelConfig, Compute)> {
    let architectures = [Architecture::vqvae(), Architecture::vqvae2()];
    let quantizers = [QuantizerConfig::ksom(16, 4), QuantizerConfig::gd_som(16, 4)];
    architectures.into_iter().flat_map(move |architecture| {
        let architecture = Architecture { hidden: 8, residual_hidden: 4, ..architecture };
        quantizers.clone().into_iter().flat_map(move |quantizer| {
            let config = ModelConfig::new(architecture.clone(), quantizer);
            BACKENDS.map(|backend| (config.clone(), Compute { device: Device::Cpu, dtype: DType::F32, backend }))
        })
    })
}

fn start(config: &ModelConfig, compute: &Compute) -> (Model, Optimizer) {
    let model = Model::init(config, 1, compute).unwrap();
    let optimizer = Optimizer::new(model.vars(), AdamW::default(), 1.0, compute.backend).unwrap();
    (model, optimizer)
}

/// A batch of `parts` pictures; from the one at `broken` on, pictures hold no numbers.
fn batch(parts: usize, broken: usize) -> Tensor {
    let picture = |part: usize| {
        let value = |i: usize| if part >= broken { f32::NAN } else { ((i * 37 + part * 101) % 64) as f32 / 32.0 - 1.0 };
        Tensor::from_vec((0..3 * 16 * 16).map(value).collect::<Vec<f32>>(), (1, 3, 16, 16), &Device::Cpu).unwrap()
    };
    Tensor::cat(&(0..parts).map(picture).collect::<Vec<_>>(), 0).unwrap()
}

fn bits(model: &Model) -> BTreeMap<String, Vec<u32>> {
    let bits = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    model.state().unwrap().into_iter().map(|(name, tensor)| (name, bits(tensor))).collect()
}

#[test]
fn a_step_that_fails_in_a_later_part_leaves_nothing_behind() {
    for (config, compute) in setups() {
        let (mut model, mut optimizer) = start(&config, &compute);
        let before = bits(&model);
        for broken in [1, 3] {
            let error = train_step(&mut model, &mut optimizer, &batch(4, broken), 4).unwrap_err();
            assert!(matches!(error, Error::NotFinite { .. }), "{error}");
        }
        assert_eq!(bits(&model), before);
        let (mut other, mut other_optimizer) = start(&config, &compute);
        for (model, optimizer) in [(&mut model, &mut optimizer), (&mut other, &mut other_optimizer)] {
            train_step(model, optimizer, &batch(4, 4), 4).unwrap();
        }
        assert_eq!(bits(&model), bits(&other));
        assert_ne!(bits(&model), before);
    }
}

#[test]
fn a_batch_in_parts_is_one_update() {
    for (config, compute) in setups() {
        let found = [1, 4].map(|accumulate| {
            let (mut model, mut optimizer) = start(&config, &compute);
            train_step(&mut model, &mut optimizer, &batch(4, 4), accumulate).unwrap();
            assert!(model.quantizers().iter().all(|quantizer| quantizer.steps().unwrap() == 1));
            model.quantizers().iter().map(|quantizer| quantizer.codebook().clone()).collect::<Vec<_>>()
        });
        for (whole, parts) in found[0].iter().zip(&found[1]) {
            let difference = (whole - parts).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-5, "{difference}");
        }
    }
}

#[test]
fn observations_must_be_there_for_each_level() {
    let (config, compute) = setups().last().unwrap();
    let (mut model, _) = start(&config, &compute);
    let levels = model.forward(&batch(1, 1)).unwrap().levels;
    let observations = model.observe(&levels[..1]).unwrap();
    let error = model.update_quantizers(observations).unwrap_err();
    assert!(error.to_string().contains("each of 2 levels, found 1"), "{error}");
}
