//! KSOM and EMA-VQ against a dense f64 computation on random data, and at the edges of what shapes allow.

mod support;

#[path = "support/dense.rs"]
mod reference;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{Backend, NeighborhoodKind, Observation, Quantizer, QuantizerConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use reference::Dense;
use support::{BACKENDS, assert_close, build_from, initial, numbers, state_of, train};

fn normal(shape: (usize, usize), rng: &mut ChaCha8Rng) -> Tensor {
    let values: Vec<f32> = (0..shape.0 * shape.1).map(|_| StandardNormal.sample(rng)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn nearest_f64(x: &[f64], w: &[f64], dim: usize) -> Vec<usize> {
    let distance = |x: &[f64], w: &[f64]| -> f64 { x.iter().zip(w).map(|(x, w)| (x - w).powi(2)).sum() };
    let nearest = |x: &[f64]| {
        let distances: Vec<f64> = w.chunks(dim).map(|w| distance(x, w)).collect();
        (0..distances.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap()
    };
    x.chunks(dim).map(nearest).collect()
}

/// Four steps, each of batches of `rows`, compared with the dense computation.
fn check(config: &QuantizerConfig, rows: &[usize], backend: Backend) {
    let what = format!("{config:?} {backend:?}");
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut quantizer = build_from(config, &initial(config, 107), backend).unwrap();
    let state = |name| numbers(&state_of(quantizer.as_ref(), name));
    let (w, m, c) = (state("_w"), state("_ema_w"), state("_ema_cluster_size"));
    let mut dense = Dense { config: config.clone(), w, m, c, t: 0 };
    for step in 0..4 {
        let (mut all_x, mut all_codes) = (Vec::new(), Vec::new());
        let mut observed: Option<Observation> = None;
        for &n in rows {
            let x = normal((n, config.dim), &mut rng);
            let codes = quantizer.forward(&x).unwrap().codes;
            let part = quantizer.observe(&x, &codes).unwrap();
            observed = Some(match observed {
                Some(before) => before.and(part).unwrap(),
                None => part,
            });
            let expected = nearest_f64(&numbers(&x), &numbers(quantizer.codebook()), config.dim);
            let codes: Vec<usize> = codes.to_vec1::<u32>().unwrap().into_iter().map(|code| code as usize).collect();
            assert_eq!(codes, expected, "{what}: codes of step {step}");
            all_x.extend(numbers(&x));
            all_codes.extend(codes);
        }
        quantizer.step(observed.unwrap()).unwrap();
        dense.step(&all_x, &all_codes);
        let close = |name, expected: &[f64]| {
            let found = state_of(quantizer.as_ref(), name);
            let expected = Tensor::from_slice(expected, found.dims(), &Device::Cpu).unwrap();
            assert_close(&found, &expected, &format!("{what}: {name} after step {step}"));
        };
        close("_w", &dense.w);
        close("_ema_w", &dense.m);
        close("_ema_cluster_size", &dense.c);
    }
    assert_eq!(quantizer.steps().unwrap(), 4);
}

#[test]
fn updates_agree_with_the_dense_computation() {
    for backend in BACKENDS {
        for neighborhood in [NeighborhoodKind::Hard, NeighborhoodKind::Gaussian, NeighborhoodKind::None] {
            for (skip_unused, counter_init) in [(false, 0.0), (false, 1.0), (true, 0.0), (true, 1.0)] {
                for grid in [vec![60], vec![10, 6], vec![5, 3, 4], vec![5, 1, 2, 3, 2]] {
                    let config = QuantizerConfig {
                        neighborhood,
                        skip_unused,
                        counter_init,
                        grid,
                        decay: 0.9,
                        ..QuantizerConfig::ksom(60, 5)
                    };
                    // Two micro-batches are one update.
                    check(&config, &[150, 31], backend);
                }
            }
        }
    }
}

/// EMA-VQ as arXiv 1711.00937 (appendix A.1) has it, in f64 and without any neighborhood, beside KSOM's update.
#[test]
fn ema_vq_is_the_case_without_neighbors() {
    let (decay, epsilon, k, dim, n) = (0.99, 1e-5, 64, 16, 2000);
    for (backend, counter_init) in BACKENDS.iter().flat_map(|&backend| [(backend, 0.0), (backend, 1.0)]) {
        let config = QuantizerConfig { counter_init, ..QuantizerConfig::ema_vq(k, dim) };
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut quantizer = build_from(&config, &initial(&config, 111), backend).unwrap();
        let mut w = numbers(quantizer.codebook());
        let (mut sums, mut counts) = (w.clone(), vec![counter_init; k]);
        let mut worst: f64 = 0.0;
        for step in 0..50 {
            let x = normal((n, dim), &mut rng);
            let codes = quantizer.forward(&x).unwrap().codes;
            train(quantizer.as_mut(), &x, &codes);
            let x = numbers(&x);
            let mut chosen = vec![0.0; k];
            let mut totals = vec![0.0; k * dim];
            for (x, code) in x.chunks(dim).zip(numbers(&codes)) {
                let code = code as usize;
                chosen[code] += 1.0;
                totals[code * dim..][..dim].iter_mut().zip(x).for_each(|(total, x)| *total += x);
            }
            let all: f64 = counts.iter().zip(&chosen).map(|(count, new)| decay * count + (1.0 - decay) * new).sum();
            for code in 0..k {
                let count = decay * counts[code] + (1.0 - decay) * chosen[code];
                counts[code] = (count + epsilon) / (all + k as f64 * epsilon) * all;
                for at in code * dim..(code + 1) * dim {
                    sums[at] = decay * sums[at] + (1.0 - decay) * totals[at];
                    w[at] = sums[at] / counts[code];
                }
            }
            let expected = Tensor::from_slice(&w, (k, dim), &Device::Cpu).unwrap();
            let what = format!("EMA-VQ, {backend:?}, counts from {counter_init}: codebook after step {step}");
            worst = worst.max(assert_close(quantizer.codebook(), &expected, &what));
        }
        println!("EMA-VQ, {backend:?}, counts from {counter_init}: {worst:.4} of the tolerance after 50 steps");
    }
}

#[test]
fn the_smallest_shapes_work() {
    for backend in BACKENDS {
        for neighborhood in [NeighborhoodKind::Hard, NeighborhoodKind::Gaussian, NeighborhoodKind::None] {
            for (num_codes, dim, rows) in [(1, 1, 1), (1, 3, 5), (7, 1, 9), (2, 2, 1), (8, 3, 1)] {
                for grid in [vec![num_codes], vec![num_codes, 1], vec![1, num_codes]] {
                    check(
                        &QuantizerConfig { neighborhood, grid, ..QuantizerConfig::ksom(num_codes, dim) },
                        &[rows],
                        backend,
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_changes_between_steps_and_everything_changes_in_them() {
    let config = QuantizerConfig::ksom(12, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for backend in BACKENDS {
        let mut quantizer = build_from(&config, &initial(&config, 101), backend).unwrap();
        let mut other = build_from(&config, &initial(&config, 101), backend).unwrap();
        let x = normal((40, 4), &mut rng);
        let before = numbers(quantizer.codebook());
        let codes = quantizer.forward(&x).unwrap().codes;
        // What was observed of a batch that was then given up counts for nothing.
        let given_up = quantizer.observe(&normal((40, 4), &mut rng), &codes).unwrap();
        let observation = quantizer.observe(&x, &codes).unwrap();
        assert_eq!((numbers(quantizer.codebook()), quantizer.steps().unwrap()), (before.clone(), 0));
        drop(given_up);
        quantizer.step(observation).unwrap();
        assert!(numbers(quantizer.codebook()) != before && quantizer.steps().unwrap() == 1);
        train(other.as_mut(), &x, &codes);
        assert_eq!(bits(quantizer.as_ref()), bits(other.as_ref()));
    }
}

/// The bits of all numbers of a quantizer's state.
fn bits(quantizer: &dyn Quantizer) -> Vec<(&'static str, Vec<u32>)> {
    let bits = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    quantizer.state().into_iter().map(|(name, tensor)| (name, bits(tensor))).collect()
}

#[test]
fn a_saved_state_goes_on_bit_for_bit() {
    for config in [QuantizerConfig::ksom(12, 4), QuantizerConfig::gd_som(12, 4)] {
        for backend in BACKENDS {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let mut one = build_from(&config, &initial(&config, 102), backend).unwrap();
            let batches: Vec<Tensor> = (0..4).map(|_| normal((33, 4), &mut rng)).collect();
            let train_on = |quantizer: &mut dyn Quantizer, batches: &[Tensor]| {
                for x in batches {
                    let codes = quantizer.assign(x).unwrap();
                    train(quantizer, x, &codes);
                }
            };
            train_on(one.as_mut(), &batches[..2]);
            let mut other = build_from(&config, &one.state(), backend).unwrap();
            train_on(one.as_mut(), &batches[2..]);
            train_on(other.as_mut(), &batches[2..]);
            assert_eq!(bits(one.as_ref()), bits(other.as_ref()));
            assert_eq!(other.steps().unwrap(), 4);
        }
    }
}

#[test]
fn half_precision_inputs_are_quantized_in_f32() {
    let config = QuantizerConfig::ksom(12, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let initial = initial(&config, 103);
    let x = normal((40, 4), &mut rng);
    for dtype in [DType::F16, DType::BF16, DType::F64] {
        let quantizer = build_from(&config, &initial, Backend::Portable).unwrap();
        let x = x.to_dtype(dtype).unwrap();
        let exact = quantizer.forward(&x.to_dtype(DType::F32).unwrap()).unwrap();
        let found = quantizer.forward(&x).unwrap();
        assert_eq!((found.output.dtype(), found.loss.dtype()), (dtype, DType::F32));
        assert_eq!(numbers(&found.codes), numbers(&exact.codes));
        assert_eq!(numbers(&found.output), numbers(&exact.output.to_dtype(dtype).unwrap()));
    }
}

#[test]
fn codes_do_not_depend_on_the_rest_of_the_batch() {
    let config = QuantizerConfig::ksom(512, 64);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let initial = initial(&config, 104);
    // Enough rows for several tiles.
    let x = normal((20_000, 64), &mut rng);
    for backend in BACKENDS {
        let quantizer = build_from(&config, &initial, backend).unwrap();
        let together = quantizer.assign_two(&x).unwrap().to_vec2::<u32>().unwrap();
        for (start, len) in [(0, 1), (8191, 3), (19_999, 1), (5, 1000)] {
            let alone = quantizer.assign_two(&x.narrow(0, start, len).unwrap()).unwrap().to_vec2::<u32>().unwrap();
            assert_eq!(alone, together[start..start + len], "{backend:?} rows from {start}");
        }
        let first: Vec<u32> = together.iter().map(|two| two[0]).collect();
        assert_eq!(quantizer.assign(&x).unwrap().to_vec1::<u32>().unwrap(), first, "{backend:?}");
    }
}
