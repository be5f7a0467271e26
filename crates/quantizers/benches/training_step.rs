//! What a quantizer costs in one training step of the CIFAR-10 recipe: 256 images of 64 positions, K = 512, D = 64.
//! KSOM is to cost what EMA-VQ costs, and much less than the formula taken literally.

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use ksom_quantizers::{Backend, Neighborhood, NeighborhoodKind, Quantizer, QuantizerConfig, build_seeded};

fn quantizer(config: &QuantizerConfig, backend: Backend) -> Box<dyn Quantizer> {
    let mut quantizer = build_seeded(config, 0, &Device::Cpu).unwrap();
    quantizer.set_backend(backend).unwrap();
    quantizer
}

const K: usize = 512;
const D: usize = 64;

fn configs(num_codes: usize) -> [(&'static str, QuantizerConfig); 3] {
    let hard = QuantizerConfig::ksom(num_codes, D);
    let gaussian = QuantizerConfig { neighborhood: NeighborhoodKind::Gaussian, ..hard.clone() };
    [("EMA-VQ", QuantizerConfig::ema_vq(num_codes, D)), ("KSOM hard", hard), ("KSOM gaussian", gaussian)]
}

fn rows() -> Tensor {
    Tensor::randn(0f32, 1.0, (256 * 64, D), &Device::Cpu).unwrap()
}

fn training_step(c: &mut Criterion) {
    let x = rows();
    for backend in [Backend::Fast, Backend::Portable] {
        for (name, config) in configs(K) {
            let mut learner = quantizer(&config, backend);
            let codes = learner.assign(&x).unwrap();
            c.bench_function(&format!("{name}, {backend:?}: forward"), |b| b.iter(|| learner.forward(&x).unwrap()));
            c.bench_function(&format!("{name}, {backend:?}: update"), |b| {
                b.iter(|| {
                    let observation = learner.observe(&x, &codes).unwrap();
                    learner.step(observation).unwrap();
                });
            });
        }
    }
}

/// At many codes, for the 4,096 vectors of 64 images: the search, and updates at the widths that a neighborhood of b = 10
/// has from the first step on.
fn many_codes(c: &mut Criterion) {
    let x = rows().narrow(0, 0, 4096).unwrap().contiguous().unwrap();
    for num_codes in [1 << 12, 1 << 14, 1 << 16] {
        let mut group = c.benchmark_group(format!("{num_codes} codes"));
        group.sample_size(10);
        let [ema, hard, gaussian] = configs(num_codes);
        let w = quantizer(&ema.1, Backend::Fast).codebook().t().unwrap().contiguous().unwrap();
        group.bench_function("product with all codes", |b| b.iter(|| x.matmul(&w).unwrap()));
        let widths = [10.0, 1.0, 0.25, 0.1].map(|base| {
            let config = QuantizerConfig { gaussian_base: base, ..gaussian.1.clone() };
            (format!("KSOM gaussian, {base} cells wide"), config)
        });
        for (name, config) in [ema, hard].map(|(name, config)| (name.to_string(), config)).into_iter().chain(widths) {
            for backend in [Backend::Fast, Backend::Portable] {
                let mut learner = quantizer(&QuantizerConfig { shrink_step: 0.0, ..config.clone() }, backend);
                let codes = learner.assign(&x).unwrap();
                if name == "EMA-VQ" {
                    group.bench_function(format!("{backend:?}: search"), |b| b.iter(|| learner.assign(&x).unwrap()));
                    group.bench_function(format!("{backend:?}: forward"), |b| b.iter(|| learner.forward(&x).unwrap()));
                }
                group.bench_function(format!("{name}, {backend:?}: update"), |b| {
                    b.iter(|| {
                        let observation = learner.observe(&x, &codes).unwrap();
                        learner.step(observation).unwrap();
                    });
                });
            }
        }
    }
}

/// The update as the formula is written: a one-hot matrix [N, K] times A [K, K], then sums over all samples.
fn one_hot_formula(c: &mut Criterion) {
    let x = rows();
    let [_, (_, hard), _] = configs(K);
    let learner = quantizer(&hard, Backend::Fast);
    let codes = learner.assign(&x).unwrap();
    let n = x.dim(0).unwrap();
    let neighborhood = Neighborhood::new(&hard).unwrap().matrix(0, &Device::Cpu, DType::F32).unwrap();
    let (mut m, mut counts) = (learner.codebook().clone(), Tensor::ones(K, DType::F32, &Device::Cpu).unwrap());
    c.bench_function("one-hot formula: update", |b| {
        b.iter(|| {
            let zeros = Tensor::zeros((n, K), DType::F32, &Device::Cpu).unwrap();
            let ones = Tensor::ones((n, 1), DType::F32, &Device::Cpu).unwrap();
            let one_hot = zeros.scatter(&codes.unsqueeze(1).unwrap(), &ones, 1).unwrap();
            let spread = one_hot.matmul(&neighborhood).unwrap();
            counts = (counts.affine(0.99, 0.0).unwrap() + spread.sum(0).unwrap().affine(0.01, 0.0).unwrap()).unwrap();
            let total = counts.sum_all().unwrap();
            let smoothed = counts.affine(1.0, 1e-5).unwrap().broadcast_mul(&total).unwrap();
            counts = smoothed.broadcast_div(&total.affine(1.0, K as f64 * 1e-5).unwrap()).unwrap();
            let sums = spread.t().unwrap().matmul(&x).unwrap();
            m = (m.affine(0.99, 0.0).unwrap() + sums.affine(0.01, 0.0).unwrap()).unwrap();
            m.broadcast_div(&counts.unsqueeze(1).unwrap()).unwrap()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = training_step, many_codes, one_hot_formula
}
criterion_main!(benches);
