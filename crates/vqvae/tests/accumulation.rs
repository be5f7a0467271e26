//! Steps on a batch in parts: one update, and none at all where a part fails.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::model::{Architecture, ForwardOutput};
use ksom_vqvae::training::{AdamW, Optimizer, train_step, train_step_with};
use ksom_vqvae::{Backend, Compute, Error, Model, ModelConfig};

const BACKENDS: [Backend; 2] = [Backend::Fast, Backend::Portable];

fn setups() -> impl Iterator<Item = (ModelConfig, Compute)> {
    let coarse = Architecture { downsample: 8, ..Architecture::vqvae() };
    let architectures = [Architecture::vqvae(), Architecture::vqvae2(), coarse];
    let quantizers = [QuantizerConfig::ksom(16, 4), QuantizerConfig::gd_som(16, 4)];
    architectures.into_iter().flat_map(move |architecture| {
        let architecture = Architecture { hidden: 8, residual_hidden: 4, ..architecture };
        quantizers.clone().into_iter().flat_map(move |quantizer| {
            let config = ModelConfig::new(architecture.clone(), quantizer);
            BACKENDS.map(|backend| (config.clone(), Compute { backend, ..Compute::new(Device::Cpu, DType::F32) }))
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
    let (config, compute) = setups().find(|(config, _)| config.architecture.levels().len() == 2).unwrap();
    let (mut model, _) = start(&config, &compute);
    let levels = model.forward(&batch(1, 1)).unwrap().levels;
    let observations = model.observe(&levels[..1]).unwrap();
    let error = model.update_quantizers(observations).unwrap_err();
    assert!(error.to_string().contains("each of 2 levels, found 1"), "{error}");
}

/// Whichever part of the batch there is no memory for: the error says what was tried and what takes less, and nothing has
/// moved.
#[test]
fn a_device_that_is_full_at_some_part_leaves_nothing_behind() {
    const PARTS: usize = 4;
    for (config, compute) in setups() {
        let (mut model, mut optimizer) = start(&config, &compute);
        let before = bits(&model);
        let pixels = batch(2 * PARTS, usize::MAX);
        for full_at in 0..PARTS {
            let mut part = 0;
            let mut loss = |output: &ForwardOutput, target: &Tensor| -> Result<Tensor, Error> {
                part += 1;
                if part > full_at {
                    let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
                    return Err(candle_core::Error::Cuda(text.into()).into());
                }
                Ok(((&output.reconstruction - target)?.sqr()?.mean_all()? + &output.quantizer_loss)?)
            };
            let error = train_step_with(&mut model, &mut optimizer, &pixels, PARTS, &mut loss).unwrap_err();
            assert!(matches!(error, Error::OutOfMemory { accumulate: Some(8), .. }), "{error:?}");
            let told = error.to_string();
            for text in
                ["2 pictures of 16×16", "a batch of 8, accumulate = 4", "in 8 parts", "CUDA_ERROR_OUT_OF_MEMORY"]
            {
                assert!(told.contains(text), "{told}");
            }
            assert!(bits(&model) == before, "full at part {full_at}: the model has moved");
        }
        let mut full = |_: &ForwardOutput, _: &Tensor| {
            Err(candle_core::Error::Msg("Metal error Failed to create metal resource: Buffer".into()).into())
        };
        let error = train_step_with(&mut model, &mut optimizer, &pixels, 8, &mut full).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { accumulate: None, device: "the Metal device", .. }), "{error:?}");
        train_step(&mut model, &mut optimizer, &pixels, PARTS).unwrap();
        assert!(bits(&model) != before, "and goes on where there is room");
    }
}
