//! What quantizers refuse, and what they say then.

mod support;

use candle_core::{DType, Device, Tensor, Var};
use ksom_kernels::Backend;
use ksom_quantizers::{NeighborhoodKind, QuantizerConfig, QuantizerKind, build, initial_state};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use support::{BACKENDS, build_from};

fn initial(config: &QuantizerConfig) -> Vec<(&'static str, Tensor)> {
    initial_state(config, &mut ChaCha8Rng::seed_from_u64(0)).unwrap()
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "expected {part:?} in {message:?}");
    }
}

#[test]
fn configurations_are_written_whole_and_read_strictly() {
    let config = QuantizerConfig::ksom(512, 64);
    config.validate().unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_says(&text, &[r#""kind":"ksom""#, r#""neighborhood":"hard""#, r#""grid":[32,16]"#]);
    assert_eq!(serde_json::from_str::<QuantizerConfig>(&text).unwrap(), config);
    assert!(serde_json::from_str::<QuantizerConfig>(&text.replace("decay", "dekay")).is_err());
    let short = r#"{"kind":"gd_som","num_codes":6,"dim":2,"neighborhood":"none","grid":[2,3]}"#;
    let short: QuantizerConfig = serde_json::from_str(short).unwrap();
    assert_eq!(short, QuantizerConfig { neighborhood: NeighborhoodKind::None, ..QuantizerConfig::gd_som(6, 2) });
    assert_eq!(QuantizerConfig::ema_vq(6, 2), QuantizerConfig { kind: QuantizerKind::Ksom, ..short });
}

#[test]
fn values_out_of_bounds_are_named() {
    let good = QuantizerConfig::ksom(12, 4);
    type Change = fn(&mut QuantizerConfig);
    let cases: [(Change, &[&str]); 14] = [
        (|c| c.num_codes = 0, &["num_codes", "1 to 1048576", "found 0"]),
        (|c| c.num_codes = (1 << 20) + 1, &["num_codes", "1048577"]),
        (|c| c.dim = 0, &["dim"]),
        (|c| c.dim = 65_537, &["dim", "65536", "65537"]),
        (|c| (c.num_codes, c.dim, c.grid) = (1 << 20, 65_536, vec![1 << 20]), &["dim", "1048576 × 65536"]),
        (|c| c.grid = vec![3, 3], &["grid", "12 cells", "9 cells"]),
        (|c| c.grid = vec![], &["grid", "axes"]),
        (|c| c.grid = vec![usize::MAX, 4], &["grid"]),
        (|c| c.decay = 1.0, &["decay", "less than 1", "found 1"]),
        (|c| c.decay = f64::NAN, &["decay", "NaN"]),
        (|c| c.epsilon = 0.0, &["epsilon"]),
        (|c| c.gaussian_base = 0.0, &["gaussian_base"]),
        (|c| c.shrink_step = f64::INFINITY, &["shrink_step", "inf"]),
        (|c| c.commitment = -1.0, &["commitment", "-1"]),
    ];
    for (change, parts) in cases {
        let mut config = good.clone();
        change(&mut config);
        assert_says(&config.validate().unwrap_err().to_string(), parts);
        assert!(initial_state(&config, &mut ChaCha8Rng::seed_from_u64(0)).is_err());
    }
    QuantizerConfig::ksom(0, 4).validate().unwrap_err();
}

#[test]
fn states_of_another_form_are_refused() {
    let config = QuantizerConfig::ksom(12, 4);
    let with = |name: &'static str, tensor: Tensor| {
        let mut state = initial(&config);
        state.iter_mut().find(|(found, _)| *found == name).unwrap().1 = tensor;
        build_from(&config, &state, Backend::Portable).err().unwrap().to_string()
    };
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    assert_says(&with("_w", zeros(&[4, 12], DType::F32)), &["_w", "[12, 4]", "[4, 12]"]);
    assert_says(&with("_ema_cluster_size", zeros(&[12], DType::F64)), &["_ema_cluster_size", "F32", "F64"]);
    for counter in [-1.0, 0.5, f32::NAN, 1e9] {
        assert_says(&with("counter", Tensor::new(counter, &Device::Cpu).unwrap()), &["counter", "whole number"]);
    }
    // The caller's own complaint comes through.
    let mut missing = |name: &str, _: &[usize]| Err(candle_core::Error::msg(format!("no tensor {name}")).into());
    let error = build(&config, &mut missing, &Device::Cpu, Backend::Fast).err().unwrap();
    assert_says(&error.to_string(), &["no tensor _w"]);
}

#[test]
fn inputs_of_another_form_are_refused() {
    for config in [QuantizerConfig::ksom(12, 4), QuantizerConfig::gd_som(12, 4)] {
        for backend in BACKENDS {
            let mut quantizer = build_from(&config, &initial(&config), backend).unwrap();
            let x = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            for bad in [x(&[3, 5]), x(&[12]), x(&[0, 4]), x(&[2, 3, 4])] {
                let shape = format!("{:?}", bad.dims());
                assert_says(&quantizer.assign(&bad).unwrap_err().to_string(), &["[N, 4]", &shape]);
                assert!(quantizer.forward(&bad).is_err() && quantizer.assign_two(&bad).is_err());
            }
            let codes = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
            assert_says(&quantizer.observe(&x(&[3, 4]), &codes).unwrap_err().to_string(), &["[3]", "[2]"]);
            let too_large = Tensor::new(&[0u32, 12], &Device::Cpu).unwrap();
            assert_says(&quantizer.lookup(&too_large).unwrap_err().to_string(), &["less than 12", "code 12"]);
            assert!(quantizer.forward_with(&x(&[2, 4]), &too_large).is_err());
            let signed = Tensor::new(&[0i64], &Device::Cpu).unwrap();
            assert_says(&quantizer.lookup(&signed).unwrap_err().to_string(), &["u32", "I64"]);
            // Codes of any shape.
            let cube = Tensor::zeros((2, 3, 5), DType::U32, &Device::Cpu).unwrap();
            assert_eq!(quantizer.lookup(&cube).unwrap().dims(), [2, 3, 5, 4]);
            let one = Tensor::new(3u32, &Device::Cpu).unwrap();
            assert_eq!(quantizer.lookup(&one).unwrap().dims(), [4]);
        }
    }
    let config = QuantizerConfig::ksom(12, 4);
    let mut quantizer = build_from(&config, &initial(&config), Backend::Portable).unwrap();
    let (x, codes) =
        (Tensor::zeros((1, 4), DType::F32, &Device::Cpu).unwrap(), Tensor::new(&[12u32], &Device::Cpu).unwrap());
    assert!(quantizer.observe(&x, &codes).is_err());
}

#[test]
fn only_gd_som_has_variables_and_uses_the_callers() {
    let ksom = QuantizerConfig::ksom(12, 4);
    let var = Var::from_tensor(&initial(&ksom)[0].1).unwrap();
    let mut state = initial(&ksom);
    state[0].1 = var.as_tensor().clone();
    let quantizer = build_from(&ksom, &state, Backend::Portable).unwrap();
    assert!(quantizer.vars().is_empty() && !quantizer.codebook().is_variable());

    let gd_som = QuantizerConfig::gd_som(12, 4);
    let mut state = initial(&gd_som);
    let var = Var::from_tensor(&state[0].1).unwrap();
    state[0].1 = var.as_tensor().clone();
    let quantizer = build_from(&gd_som, &state, Backend::Portable).unwrap();
    let vars = quantizer.vars();
    assert_eq!((vars.len(), vars[0].0, vars[0].1.id()), (1, "w", var.id()));
    // Without a variable of the caller's, the quantizer makes one.
    let quantizer = build_from(&gd_som, &initial(&gd_som), Backend::Portable).unwrap();
    assert!(quantizer.vars()[0].1.is_variable());
}

#[test]
fn steps_beyond_what_a_checkpoint_can_count_are_refused() {
    let config = QuantizerConfig::gd_som(12, 4);
    let mut state = initial(&config);
    state[1].1 = Tensor::new((1 << 24) as f32, &Device::Cpu).unwrap();
    let mut quantizer = build_from(&config, &state, Backend::Portable).unwrap();
    assert_says(&quantizer.step().unwrap_err().to_string(), &["16777216"]);
}
