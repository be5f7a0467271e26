//! The kernels on the shapes of the CIFAR-10 recipe at batch 256. Elements per second are floating-point operations
//! per second for products, bytes for the rest.

use candle_core::{Device, Result, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ksom_kernels::{AdamW, ConvSpec, Rest};
use std::time::Duration;

const BATCH: usize = 256;

/// Name, whether transposed, input size and channels, output channels, kernel, stride, padding.
const LAYERS: [(&str, bool, [usize; 6]); 9] = [
    ("3-64 4x4s2 @32", false, [32, 3, 64, 4, 2, 1]),
    ("64-128 4x4s2 @16", false, [16, 64, 128, 4, 2, 1]),
    ("128-128 3x3 @8", false, [8, 128, 128, 3, 1, 1]),
    ("128-32 3x3 @8", false, [8, 128, 32, 3, 1, 1]),
    ("32-128 1x1 @8", false, [8, 32, 128, 1, 1, 0]),
    ("128-64 1x1 @8", false, [8, 128, 64, 1, 1, 0]),
    ("64-128 3x3 @8", false, [8, 64, 128, 3, 1, 1]),
    ("T128-64 4x4s2 @8", true, [8, 128, 64, 4, 2, 1]),
    ("T64-3 4x4s2 @16", true, [16, 64, 3, 4, 2, 1]),
];

/// Values that are neither zero nor denormal.
fn values(shape: &[usize]) -> Result<Tensor> {
    let len = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..len).map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn convolutions(criterion: &mut Criterion) {
    for (name, transposed, [size, inputs, outputs, kernel, stride, padding]) in LAYERS {
        let spec = ConvSpec { stride, padding, relu: true, input_grad: true };
        let x = values(&[BATCH, size, size, inputs]).unwrap();
        let (first, second) = if transposed { (inputs, outputs) } else { (outputs, inputs) };
        let w = values(&[first, second, kernel, kernel]).unwrap();
        let bias = values(&[outputs]).unwrap();
        let forward = || {
            if transposed {
                ksom_kernels::conv_transpose2d(&x, &w, Some(&bias), spec).unwrap()
            } else {
                ksom_kernels::conv2d(&x, &w, Some(&bias), None, spec).unwrap()
            }
        };
        let grad = forward();
        // Each input (transposed) or output pixel meets the whole weight.
        let pixels = if transposed { &x } else { &grad }.elem_count() / first;
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(2 * (pixels * w.elem_count()) as u64));
        group.bench_function("forward", |b| b.iter(forward));
        group.bench_function("input gradient", |b| {
            b.iter(|| ksom_kernels::input_grad(&x, &w, &grad, spec, transposed, Rest::default()).unwrap())
        });
        group.bench_function("weight gradient", |b| {
            b.iter(|| ksom_kernels::weight_grad(&x, &w, &grad, spec, transposed).unwrap())
        });
        group.finish();
    }
}

fn codes(criterion: &mut Criterion) {
    for (n, k, d) in [(16384, 512, 64), (4096, 1 << 14, 64), (4096, 1 << 16, 64)] {
        search(criterion, n, k, d);
    }
}

fn search(criterion: &mut Criterion, n: usize, k: usize, d: usize) {
    let (x, w) = (values(&[n, d]).unwrap(), values(&[k, d]).unwrap());
    let mut group = criterion.benchmark_group(format!("codes {n}x{k}x{d}"));
    group.throughput(Throughput::Elements(2 * (n * k * d) as u64));
    group.bench_function("nearest", |b| b.iter(|| ksom_kernels::nearest(&x, &w).unwrap()));
    group.bench_function("nearest two", |b| b.iter(|| ksom_kernels::nearest_two(&x, &w).unwrap()));
    let codes = ksom_kernels::nearest(&x, &w).unwrap();
    group.throughput(Throughput::Bytes((n * d * 4) as u64));
    group.bench_function("code sums", |b| b.iter(|| ksom_kernels::code_sums(&x, &codes, k).unwrap()));
    group.finish();
}

/// What a neighborhood does to the sums of 16,384 codes and their counts.
fn grid(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spread on 128x128x65");
    let x = values(&[128 * 128, 65]).unwrap();
    for (name, reach) in [("hard", 1.5), ("36 cells", 3.2), ("all cells", f64::INFINITY)] {
        group.bench_function(name, |b| {
            b.iter(|| ksom_kernels::spread_on_grid(&x, &[128, 128], reach, &|d| (-0.1 * d).exp()).unwrap())
        });
    }
    group.finish();
}

fn passes(criterion: &mut Criterion) {
    let x = values(&[BATCH, 16, 16, 64]).unwrap();
    let mut group = criterion.benchmark_group("passes over 256x16x16x64");
    group.throughput(Throughput::Bytes((x.elem_count() * 4) as u64));
    group.bench_function("relu", |b| b.iter(|| ksom_kernels::relu(&x).unwrap()));
    group.bench_function("nhwc_to_nchw", |b| b.iter(|| ksom_kernels::nhwc_to_nchw(&x).unwrap()));
    group.bench_function("squared_norm", |b| b.iter(|| ksom_kernels::squared_norm(&x).unwrap()));
    group.finish();
    let (p, g) = (values(&[1 << 20]).unwrap(), values(&[1 << 20]).unwrap());
    let (m, v) = (p.zeros_like().unwrap(), p.zeros_like().unwrap());
    let mut group = criterion.benchmark_group("adamw of 2^20 parameters");
    group.throughput(Throughput::Bytes(4 << 20));
    group.bench_function("step", |b| {
        b.iter(|| ksom_kernels::adamw_step(&p, &g, &m, &v, &AdamW::default(), 1, 1.0).unwrap())
    });
    group.finish();
}

/// What the `gemm` crate reaches on a large product: the measure for the rest.
fn matrix_product(criterion: &mut Criterion) {
    let n = 2048;
    let (a, b) = (vec![1f32; n * n], vec![1f32; n * n]);
    let mut c = vec![0f32; n * n];
    let s = n as isize;
    let mut group = criterion.benchmark_group("gemm 2048x2048x2048");
    group.throughput(Throughput::Elements(2 * (n * n * n) as u64));
    for (name, threads) in [("one core", gemm::Parallelism::None), ("all cores", gemm::Parallelism::Rayon(0))] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // SAFETY: three n × n row-major matrices.
                unsafe {
                    let (c, a, b) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
                    gemm::gemm(n, n, n, c, 1, s, false, a, 1, s, b, 1, s, 0f32, 1f32, false, false, false, threads)
                }
            })
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = matrix_product, convolutions, codes, grid, passes
}
criterion_main!(benches);
