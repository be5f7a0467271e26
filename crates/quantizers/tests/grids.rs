//! Properties of grids and neighborhoods.

mod support;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{Grid, MAX_CODES, Neighborhood, NeighborhoodKind, QuantizerConfig};
use proptest::prelude::*;
use support::assert_close;

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..7, 1..5)
}

proptest! {
    #[test]
    fn coordinates_name_each_code_once(shape in shapes()) {
        let grid = Grid::new(shape.clone()).unwrap();
        prop_assert_eq!(grid.len(), shape.iter().product::<usize>());
        for code in 0..grid.len() {
            let coordinates = grid.coordinates(code).unwrap();
            prop_assert!(coordinates.iter().zip(&shape).all(|(c, s)| c < s));
            prop_assert_eq!(grid.code_at(&coordinates).unwrap(), code);
        }
        // The first axis is the fastest.
        let mut second = vec![0; shape.len()];
        if shape[0] > 1 {
            second[0] = 1;
            prop_assert_eq!(grid.code_at(&second).unwrap(), 1);
        }
    }

    #[test]
    fn neighbors_are_the_codes_at_distance_under_1_5(shape in shapes(), pick in any::<prop::sample::Index>()) {
        let grid = Grid::new(shape).unwrap();
        let code = pick.index(grid.len());
        let near = |&other: &usize| other != code && grid.distance(code, other).unwrap() < 1.5;
        let expected: Vec<usize> = (0..grid.len()).filter(near).collect();
        prop_assert_eq!(grid.neighbors(code).unwrap(), expected);
    }

    #[test]
    fn automatic_grids_hold_every_code(num_codes in 1..=MAX_CODES, dims in 1usize..=8) {
        let grid = Grid::auto(num_codes, dims).unwrap();
        prop_assert_eq!(grid.len(), num_codes);
        prop_assert_eq!(grid.shape().len(), dims);
    }

    #[test]
    fn applying_a_neighborhood_is_multiplying_by_its_matrix(
        shape in shapes(),
        gaussian in any::<bool>(),
        t in 0u64..2000,
        columns in 1usize..4,
    ) {
        let k = shape.iter().product();
        let kind = if gaussian { NeighborhoodKind::Gaussian } else { NeighborhoodKind::Hard };
        let config = QuantizerConfig { neighborhood: kind, grid: shape, ..QuantizerConfig::ksom(k, 1) };
        let neighborhood = Neighborhood::new(&config).unwrap();
        let values: Vec<f32> = (0..k * columns).map(|i| (i as f32 * 0.7).sin()).collect();
        let x = Tensor::from_vec(values, (k, columns), &Device::Cpu).unwrap();
        let product = neighborhood.matrix(t, &Device::Cpu, DType::F32).unwrap().matmul(&x).unwrap();
        assert_close(&neighborhood.apply(t, &x).unwrap(), &product, "A x");
    }
}

/// The matrix of 16,384 codes would take 1 GiB: rows are checked one by one.
#[test]
fn large_neighborhoods_are_applied_in_tiles() {
    let k = 1 << 14;
    let values: Vec<f32> = (0..k).map(|i| (i as f32 * 0.37).sin()).collect();
    let x = Tensor::from_slice(&values, (k, 1), &Device::Cpu).unwrap();
    for kind in [NeighborhoodKind::Hard, NeighborhoodKind::Gaussian, NeighborhoodKind::None] {
        let config = QuantizerConfig { neighborhood: kind, ..QuantizerConfig::ksom(k, 1) };
        let neighborhood = Neighborhood::new(&config).unwrap();
        let found = neighborhood.apply(3, &x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let grid = neighborhood.grid();
        for code in [0, 1, 127, 128, 255, 256, 8191, 8192, k - 1] {
            let weight = |other| neighborhood.weight(grid.distance(code, other).unwrap(), 3);
            let expected: f64 = (0..k).map(|other| weight(other) * f64::from(values[other])).sum();
            let error = (f64::from(found[code]) - expected).abs();
            assert!(
                error < 1e-4 * expected.abs() + 1e-4,
                "{kind:?} {code}: expected {expected}, found {}",
                found[code]
            );
        }
    }
}

/// Odd grids of more codes than are applied by the matrix, against the sums in f64: of the quantizer's update, on both
/// paths, at all widths of the neighborhood.
#[test]
fn large_neighborhoods_on_odd_grids_agree_with_f64() {
    for (shape, t) in [
        (vec![1031], 0),
        (vec![37, 29], 0),
        (vec![37, 29], 40),
        (vec![37, 29], 1500),
        (vec![29, 37], 300),
        (vec![7, 13, 12], 0),
        (vec![12, 7, 13], 100),
        (vec![1, 41, 1, 26], 10),
        (vec![3, 5, 7, 11], 20),
        (vec![2; 11], 5),
    ] {
        for kind in [NeighborhoodKind::Hard, NeighborhoodKind::Gaussian] {
            check_sums(&shape, kind, t);
        }
    }
}

/// The sums after a step on 200 inputs.
fn check_sums(shape: &[usize], kind: NeighborhoodKind, t: u64) {
    let (k, dim) = (shape.iter().product::<usize>(), 3);
    let config = QuantizerConfig {
        neighborhood: kind,
        grid: shape.to_vec(),
        decay: 0.0,
        skip_unused: true,
        shrink_step: 0.1,
        ..QuantizerConfig::ksom(k, dim)
    };
    let neighborhood = Neighborhood::new(&config).unwrap();
    let grid = neighborhood.grid();
    let codes: Vec<u32> = (0..200).map(|i| (i * i * 31 + i) % k as u32).collect();
    let x: Vec<f32> = (0..200 * dim).map(|i| (i as f32 * 0.7).sin()).collect();
    // m after the step: with a decay of 0, the sums themselves.
    let (mut expected, mut sizes) = (vec![0.0; k * dim], vec![0.0; k * dim]);
    for (code, x) in codes.iter().zip(x.chunks(dim)) {
        for other in 0..k {
            let weight = neighborhood.weight(grid.distance(*code as usize, other).unwrap(), t);
            for (d, &x) in x.iter().enumerate() {
                expected[other * dim + d] += weight * f64::from(x);
                sizes[other * dim + d] += weight * f64::from(x).abs();
            }
        }
    }
    for backend in support::BACKENDS {
        let mut state = support::initial(&config, 5);
        let counter = state.iter_mut().find(|(name, _)| *name == "counter").unwrap();
        counter.1 = Tensor::new(t as f32, &Device::Cpu).unwrap();
        let mut quantizer = support::build_from(&config, &state, backend).unwrap();
        let x = Tensor::from_slice(&x, (200, dim), &Device::Cpu).unwrap();
        support::train(quantizer.as_mut(), &x, &Tensor::from_slice(&codes, 200, &Device::Cpu).unwrap());
        assert_eq!(quantizer.steps().unwrap(), t + 1);
        let found = support::numbers(&support::state_of(quantizer.as_ref(), "_ema_w"));
        let before = support::numbers(&support::state_of(
            support::build_from(&config, &state, backend).unwrap().as_ref(),
            "_ema_w",
        ));
        let counts = support::numbers(&support::state_of(quantizer.as_ref(), "_ema_cluster_size"));
        let largest = sizes.iter().fold(0f64, |most, &size| most.max(size));
        let mut kept = 0;
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // Codes that no sample reached keep what they had; what is too little to be told from rounding is zero.
            let untouched = counts[at / dim] == config.counter_init && *found == before[at];
            kept += usize::from(untouched);
            let nothing = (untouched || *found == 0.0) && expected.abs() < 8e-6 * largest;
            let error = (found - expected).abs();
            assert!(
                error < 2e-6 * largest || nothing,
                "{shape:?} {kind:?} {backend:?} t = {t}, {at}: expected {expected}, found {found}"
            );
        }
        assert!(kind == NeighborhoodKind::Hard || t > 200 || kept == 0, "{shape:?} {backend:?}: {kept} untouched");
    }
}

#[test]
fn a_grid_of_twelve_axes_has_its_neighbors() {
    let config = QuantizerConfig { grid: vec![2; 12], ..QuantizerConfig::ksom(1 << 12, 1) };
    let neighborhood = Neighborhood::new(&config).unwrap();
    let ones = Tensor::ones((1 << 12, 1), DType::F32, &Device::Cpu).unwrap();
    // 12 neighbors along one axis and 66 along two, each of weight 1 at t = 0, and the code itself.
    let sums = neighborhood.apply(0, &ones).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(sums.iter().all(|&sum| sum == 79.0));
    assert_eq!(neighborhood.grid().neighbors(5).unwrap().len(), 78);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let neighborhood = Neighborhood::new(&QuantizerConfig::ksom(12, 1)).unwrap();
    let x = Tensor::ones((11, 2), DType::F32, &Device::Cpu).unwrap();
    let message = neighborhood.apply(0, &x).unwrap_err().to_string();
    assert!(message.contains("[12, C]") && message.contains("[11, 2]"), "{message}");
    let config = QuantizerConfig { neighborhood: NeighborhoodKind::None, ..QuantizerConfig::ksom(1 << 15, 1) };
    assert!(Neighborhood::new(&config).unwrap().matrix(0, &Device::Cpu, DType::F32).is_err());
}
