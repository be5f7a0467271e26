//! Measures of codebooks whose values are known.

mod support;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::measures::{CodebookUsage, topology};
use ksom_quantizers::{Backend, Grid, Quantizer, QuantizerConfig};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use support::{BACKENDS, build_from};

/// A quantizer on a `width` × `height` grid whose codebook vectors are `place(coordinates)`.
fn placed(width: usize, height: usize, backend: Backend, place: impl Fn(&[usize]) -> [f32; 2]) -> Box<dyn Quantizer> {
    let k = width * height;
    let config = QuantizerConfig { grid: vec![width, height], ..QuantizerConfig::ksom(k, 2) };
    let grid = Grid::new(config.grid.clone()).unwrap();
    let w: Vec<f32> = (0..k).flat_map(|code| place(&grid.coordinates(code).unwrap())).collect();
    let w = Tensor::from_vec(w, (k, 2), &Device::Cpu).unwrap();
    let counts = Tensor::ones(k, DType::F32, &Device::Cpu).unwrap();
    let counter = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
    build_from(
        &config,
        &[("_w", w.clone()), ("_ema_w", w), ("_ema_cluster_size", counts), ("counter", counter)],
        backend,
    )
    .unwrap()
}

fn at_coordinates(coordinates: &[usize]) -> [f32; 2] {
    [coordinates[0] as f32, coordinates[1] as f32]
}

#[test]
fn usage_over_batches_has_known_values() {
    for backend in BACKENDS {
        let quantizer = placed(3, 2, backend, at_coordinates);
        let mut usage = CodebookUsage::new(quantizer.grid());
        // Codes 0, 0, 1 and 5, at distances 0, 0.3, 0.4 and 0.
        for batch in [vec![0.0f32, 0.0, 0.3, 0.0], vec![1.4, 0.0, 2.0, 1.0]] {
            let x = Tensor::from_vec(batch, (2, 2), &Device::Cpu).unwrap();
            usage.observe(quantizer.as_ref(), &x, &quantizer.assign(&x).unwrap()).unwrap();
        }
        assert_eq!(usage.counts(), [2, 1, 0, 0, 0, 1]);
        let report = usage.report(quantizer.codebook(), 10, 0).unwrap();
        assert_eq!((report.num_codes, report.inputs, report.codes_in_use), (6, 4, 3));
        // Frequencies 1/2, 1/4, 1/4: entropy 1.5 bits.
        assert!((report.perplexity - 2f64.powf(1.5)).abs() < 1e-6, "{}", report.perplexity);
        assert!((report.quantization_error - 0.7 / 4.0).abs() < 1e-6, "{}", report.quantization_error);
        assert_eq!(report.topographic_error, 0.0);
        // Cells (0,0), (1,0), (2,1) at their own coordinates: both distances have the same order.
        assert!((report.topology.unwrap().correlation - 1.0).abs() < 1e-6);
    }
}

#[test]
fn torn_maps_have_topographic_errors() {
    for backend in BACKENDS {
        // A row of four cells whose vectors lie at 0, 2, 1, 3: an input near 0.4 is between cells 0 and 2.
        let order = [0.0, 2.0, 1.0, 3.0];
        let quantizer = placed(4, 1, backend, |coordinates| [order[coordinates[0]], 0.0]);
        let x = Tensor::new(&[[0.4f32, 0.0], [1.4, 0.0], [2.6, 0.0], [2.4, 0.0]], &Device::Cpu).unwrap();
        let two = quantizer.assign_two(&x).unwrap().to_vec2::<u32>().unwrap();
        assert_eq!(two, [[0, 2], [2, 1], [3, 1], [1, 3]]);
        let mut usage = CodebookUsage::new(quantizer.grid());
        usage.observe(quantizer.as_ref(), &x, &quantizer.assign(&x).unwrap()).unwrap();
        assert_eq!(usage.report(quantizer.codebook(), 0, 0).unwrap().topographic_error, 0.75);
    }
}

#[test]
fn a_map_in_order_is_significant_and_a_shuffled_one_is_not() {
    let quantizer = placed(8, 8, Backend::Portable, at_coordinates);
    let all: Vec<usize> = (0..64).collect();
    let ordered = topology(quantizer.grid(), quantizer.codebook(), &all, 199, 5).unwrap().unwrap();
    assert!((ordered.correlation - 1.0).abs() < 1e-6, "{ordered:?}");
    assert_eq!((ordered.p_value, ordered.compared_codes), (1.0 / 200.0, 64));
    assert_eq!(topology(quantizer.grid(), quantizer.codebook(), &all, 199, 5).unwrap().unwrap(), ordered);

    let mut places: Vec<u32> = (0..64).collect();
    places.shuffle(&mut ChaCha8Rng::seed_from_u64(11));
    let shuffled = quantizer.lookup(&Tensor::new(places, &Device::Cpu).unwrap()).unwrap();
    let shuffled = topology(quantizer.grid(), &shuffled, &all, 199, 5).unwrap().unwrap();
    assert!(shuffled.correlation.abs() < 0.1 && shuffled.p_value > 0.05, "{shuffled:?}");
}

/// ρ of four codes in a row at 0, 1, 3, 4, computed by hand.
#[test]
fn correlation_has_the_value_computed_by_hand() {
    let positions = [0.0, 1.0, 3.0, 4.0];
    let quantizer = placed(4, 1, Backend::Portable, |coordinates| [positions[coordinates[0]], 0.0]);
    let found = topology(quantizer.grid(), quantizer.codebook(), &[0, 1, 2, 3], 0, 0).unwrap().unwrap();
    // Pairs 01 02 03 12 13 23: on the grid 1 2 3 1 2 1, in space 1 3 4 2 3 1. Centered ranks: on the grid
    // −1.5 1 2.5 −1.5 1 −1.5, in space −2 1 2.5 −0.5 1 −2. Σ = 15; Σ² = 15 and 16.5.
    assert!((found.correlation - 15.0 / (15.0f64 * 16.5).sqrt()).abs() < 1e-6, "{found:?}");
    assert_eq!((found.p_value, found.permutations), (1.0, 0));
}

#[test]
fn unused_codes_far_away_do_not_count() {
    // Code 4 of a row of five is unused and lies at 3e5, as after training with c₀ = 0.
    let far = |coordinates: &[usize]| [if coordinates[0] == 4 { -3e5 } else { coordinates[0] as f32 }, 0.0];
    for backend in BACKENDS {
        let quantizer = placed(5, 1, backend, far);
        let x = Tensor::new(&[[0.1f32, 0.0], [1.1, 0.0], [2.1, 0.0], [2.9, 0.0]], &Device::Cpu).unwrap();
        let mut usage = CodebookUsage::new(quantizer.grid());
        usage.observe(quantizer.as_ref(), &x, &quantizer.assign(&x).unwrap()).unwrap();
        let report = usage.report(quantizer.codebook(), 0, 0).unwrap();
        assert_eq!(report.codes_in_use, 4);
        assert!((report.topology.unwrap().correlation - 1.0).abs() < 1e-6);
    }
}

#[test]
fn undefined_measures_are_refused_or_absent() {
    let quantizer = placed(2, 1, Backend::Portable, at_coordinates);
    let mut usage = CodebookUsage::new(quantizer.grid());
    assert!(usage.report(quantizer.codebook(), 0, 0).unwrap_err().to_string().contains("at least one input"));
    assert_eq!(usage.perplexity(), 1.0);
    let x = Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap();
    usage.observe(quantizer.as_ref(), &x, &quantizer.assign(&x).unwrap()).unwrap();
    assert_eq!(usage.report(quantizer.codebook(), 0, 0).unwrap().topology, None);
    // All vectors equal: no order to correlate.
    let same = placed(4, 1, Backend::Portable, |_| [1.0, 1.0]);
    assert_eq!(topology(same.grid(), same.codebook(), &[0, 1, 2, 3], 9, 0).unwrap(), None);
    // Another grid, a code out of range, another codebook.
    assert!(usage.observe(same.as_ref(), &x, &same.assign(&x).unwrap()).is_err());
    let out_of_range = Tensor::new(&[2u32], &Device::Cpu).unwrap();
    assert!(usage.observe(quantizer.as_ref(), &x, &out_of_range).is_err());
    assert_eq!(usage.inputs(), 1);
    assert!(topology(same.grid(), same.codebook(), &[4], 0, 0).is_err());
    assert!(topology(same.grid(), quantizer.codebook(), &[0], 0, 0).is_err());
}

#[test]
fn one_code_is_its_own_neighbor() {
    for backend in BACKENDS {
        let quantizer = placed(1, 1, backend, |_| [0.0, 0.0]);
        let x = Tensor::ones((3, 2), DType::F32, &Device::Cpu).unwrap();
        let mut usage = CodebookUsage::new(quantizer.grid());
        usage.observe(quantizer.as_ref(), &x, &quantizer.assign(&x).unwrap()).unwrap();
        let report = usage.report(quantizer.codebook(), 5, 0).unwrap();
        assert_eq!((report.topographic_error, report.codes_in_use, report.topology), (0.0, 1, None));
        assert!((report.perplexity - 1.0).abs() < 1e-6);
    }
}
