//! How many tensors a training step, encoding and decoding make on the portable path: on an accelerator each that is not a
//! view is a launch. The numbers are today's; who makes fewer lowers them here.

use std::sync::{Mutex, MutexGuard};

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{NeighborhoodKind, QuantizerConfig};
use ksom_vqvae::model::Architecture;
use ksom_vqvae::training::{AdamW, Optimizer, train_step};
use ksom_vqvae::{Compute, Model, ModelConfig};

/// candle numbers the tensors of a process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How many tensors candle has made so far, this one included.
fn made() -> usize {
    let id = format!("{:?}", Tensor::zeros(1, DType::U8, &Device::Cpu).unwrap().id());
    id.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Tensors that `work` makes.
fn tensors_of(work: impl FnOnce()) -> usize {
    let before = made();
    work();
    made() - before - 1
}

fn model(architecture: Architecture, neighborhood: NeighborhoodKind) -> Model {
    let architecture = Architecture { hidden: 16, residual_hidden: 8, ..architecture };
    let config = ModelConfig::new(architecture, QuantizerConfig { neighborhood, ..QuantizerConfig::ksom(32, 8) });
    Model::init(&config, 3, &Compute::cpu().portable()).unwrap()
}

fn pixels(count: usize) -> Tensor {
    let values: Vec<f32> = (0..count * 3 * 16 * 16).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
    Tensor::from_vec(values, (count, 3, 16, 16), &Device::Cpu).unwrap()
}

/// (a training step, encoding, decoding)
fn counts(architecture: Architecture, neighborhood: NeighborhoodKind) -> (usize, usize, usize) {
    let mut model = model(architecture, neighborhood);
    let mut optimizer = Optimizer::new(model.vars(), AdamW::default(), 1.0, model.compute().backend).unwrap();
    let pixels = pixels(4);
    // The first step makes what later ones keep.
    train_step(&mut model, &mut optimizer, &pixels, 1).unwrap();
    let step = tensors_of(|| {
        train_step(&mut model, &mut optimizer, &pixels, 1).unwrap();
    });
    let codes = model.encode(&pixels).unwrap();
    let encode = tensors_of(|| {
        model.encode(&pixels).unwrap();
    });
    let decode = tensors_of(|| {
        model.decode(&codes).unwrap();
    });
    (step, encode, decode)
}

#[test]
fn a_step_makes_no_more_tensors_than_it_did() {
    let _alone = alone();
    for (name, architecture, most) in
        [("VQ-VAE", Architecture::vqvae(), (1516, 230, 262)), ("VQ-VAE-2", Architecture::vqvae2(), (3094, 652, 336))]
    {
        let found = counts(architecture, NeighborhoodKind::Hard);
        println!("{name}: {} tensors a training step, {} to encode, {} to decode", found.0, found.1, found.2);
        assert!(found.0 <= most.0 && found.1 <= most.1 && found.2 <= most.2, "{name}: {found:?}, at most {most:?}");
    }
}

#[test]
fn a_larger_batch_takes_as_many_operations() {
    let _alone = alone();
    let mut model = model(Architecture::vqvae(), NeighborhoodKind::Hard);
    let mut optimizer = Optimizer::new(model.vars(), AdamW::default(), 1.0, model.compute().backend).unwrap();
    let mut of = |count: usize| {
        let pixels = pixels(count);
        train_step(&mut model, &mut optimizer, &pixels, 1).unwrap();
        tensors_of(|| {
            train_step(&mut model, &mut optimizer, &pixels, 1).unwrap();
        })
    };
    assert_eq!(of(2), of(16));
}
