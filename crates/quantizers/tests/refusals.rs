//! What quantizers refuse, and what they say then.

mod support;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use ksom_quantizers::{
    Backend, GdSom, Ksom, MAX_STEPS, NeighborhoodKind, QuantizerConfig, QuantizerKind, build_seeded,
};
use support::{BACKENDS, build_from, initial};

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
        assert!(build_seeded(&config, 0, &Device::Cpu).is_err());
    }
    QuantizerConfig::ksom(0, 4).validate().unwrap_err();
}

#[test]
fn states_of_another_form_are_refused() {
    let config = QuantizerConfig::ksom(12, 4);
    let with = |name: &'static str, tensor: Tensor| {
        let mut state = initial(&config, 0);
        state.iter_mut().find(|(found, _)| *found == name).unwrap().1 = tensor;
        build_from(&config, &state, Backend::Portable).err().unwrap().to_string()
    };
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    assert_says(&with("_w", zeros(&[4, 12], DType::F32)), &["_w", "[12, 4]", "[4, 12]"]);
    for counter in [-1.0, 0.5, f32::NAN, 1e9] {
        assert_says(&with("counter", Tensor::new(counter, &Device::Cpu).unwrap()), &["counter", "whole number"]);
    }
    // What is missing is named.
    let error = build_from(&config, &initial(&config, 0)[1..], Backend::Portable).err().unwrap();
    assert_says(&error.to_string(), &["_w"]);
    // A variable of another type, which no builder converts.
    let variables = VarMap::new();
    let half = VarBuilder::from_varmap(&variables, DType::F16, &Device::Cpu);
    half.get((12, 4), "_w").unwrap();
    assert_says(&Ksom::new(&config, half).err().unwrap().to_string(), &["_w", "F32", "F16"]);
}

#[test]
fn a_configuration_of_another_kind_is_refused() {
    let vb = || VarBuilder::zeros(DType::F32, &Device::Cpu);
    assert_says(&Ksom::new(&QuantizerConfig::gd_som(12, 4), vb()).err().unwrap().to_string(), &["kind", "GdSom"]);
    assert_says(&GdSom::new(&QuantizerConfig::ksom(12, 4), vb()).err().unwrap().to_string(), &["kind", "Ksom"]);
}

#[test]
fn inputs_of_another_form_are_refused() {
    for config in [QuantizerConfig::ksom(12, 4), QuantizerConfig::gd_som(12, 4)] {
        for backend in BACKENDS {
            let quantizer = build_from(&config, &initial(&config, 0), backend).unwrap();
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
    let quantizer = build_from(&config, &initial(&config, 0), Backend::Portable).unwrap();
    let (x, codes) =
        (Tensor::zeros((1, 4), DType::F32, &Device::Cpu).unwrap(), Tensor::new(&[12u32], &Device::Cpu).unwrap());
    assert!(quantizer.observe(&x, &codes).is_err());
}

#[test]
fn observations_of_another_quantizer_are_refused() {
    let observe = |config: &QuantizerConfig| {
        let quantizer = build_from(config, &initial(config, 0), Backend::Portable).unwrap();
        let x = Tensor::zeros((1, config.dim), DType::F32, &Device::Cpu).unwrap();
        quantizer.observe(&x, &Tensor::new(&[0u32], &Device::Cpu).unwrap()).unwrap()
    };
    let config = QuantizerConfig::ksom(12, 4);
    let others = [QuantizerConfig::ksom(12, 5), QuantizerConfig::ksom(10, 4), QuantizerConfig::gd_som(12, 4)];
    for other in others {
        let both = observe(&config).and(observe(&other));
        assert_says(&both.err().unwrap().to_string(), &["add observations", "[12, 4]"]);
        let mut quantizer = build_from(&config, &initial(&config, 0), Backend::Portable).unwrap();
        assert_says(&quantizer.step(observe(&other)).unwrap_err().to_string(), &["step", "[12, 4]"]);
        assert_eq!(quantizer.steps().unwrap(), 0);
    }
}

#[test]
fn steps_beyond_what_a_checkpoint_can_count_are_refused() {
    for config in [QuantizerConfig::gd_som(12, 4), QuantizerConfig::ksom(12, 4)] {
        let mut state = initial(&config, 0);
        let counter = Tensor::new((MAX_STEPS - 1) as f32, &Device::Cpu).unwrap();
        state.iter_mut().find(|(name, _)| *name == "counter").unwrap().1 = counter;
        let mut quantizer = build_from(&config, &state, Backend::Portable).unwrap();
        let x = Tensor::zeros((1, 4), DType::F32, &Device::Cpu).unwrap();
        let observation = quantizer.observe(&x, &quantizer.assign(&x).unwrap()).unwrap();
        quantizer.step(observation.clone()).unwrap();
        assert_eq!(quantizer.steps().unwrap(), MAX_STEPS);
        let before = support::numbers(quantizer.codebook());
        assert_says(&quantizer.step(observation).unwrap_err().to_string(), &["16777216"]);
        assert_eq!(support::numbers(quantizer.codebook()), before);
    }
}
