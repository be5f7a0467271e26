//! What a quantiser costs in one training step of the CIFAR-10 recipe: 256 images of 64 positions, K = 512, D = 64.
//! KSOM is to cost what EMA-VQ costs.

use candle_core::{Device, Tensor};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ksom_kernels::Backend;
use ksom_quantizers::{NeighborhoodKind, Quantizer, QuantizerConfig, build, initial_state};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn quantizer(config: &QuantizerConfig, backend: Backend) -> Box<dyn Quantizer> {
    let initial = initial_state(config, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    let mut state = |name: &str, _: &[usize]| {
        Ok(initial.iter().find(|(found, _)| *found == name).expect("initial_state names every tensor").1.clone())
    };
    build(config, &mut state, &Device::Cpu, backend).unwrap()
}

fn training_step(c: &mut Criterion) {
    let ema_vq = QuantizerConfig::ema_vq(512, 64);
    let hard = QuantizerConfig::ksom(512, 64);
    let gaussian = QuantizerConfig { neighborhood: NeighborhoodKind::Gaussian, ..hard.clone() };
    let x = Tensor::randn(0f32, 1.0, (256 * 64, 64), &Device::Cpu).unwrap();
    for backend in [Backend::Fast, Backend::Portable] {
        for (name, config) in [("EMA-VQ", &ema_vq), ("KSOM hard", &hard), ("KSOM gaussian", &gaussian)] {
            let mut learner = quantizer(config, backend);
            let codes = learner.assign(&x).unwrap();
            c.bench_function(&format!("{name}, {backend:?}: forward"), |b| b.iter(|| learner.forward(&x).unwrap()));
            c.bench_function(&format!("{name}, {backend:?}: observe"), |b| {
                b.iter_batched(
                    || quantizer(config, backend),
                    |mut fresh| fresh.observe(&x, &codes).unwrap(),
                    BatchSize::LargeInput,
                );
            });
            c.bench_function(&format!("{name}, {backend:?}: observe one row and step"), |b| {
                let (row, code) = (x.narrow(0, 0, 1).unwrap(), codes.narrow(0, 0, 1).unwrap());
                b.iter(|| {
                    learner.observe(&row, &code).unwrap();
                    learner.step().unwrap();
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = training_step
}
criterion_main!(benches);
