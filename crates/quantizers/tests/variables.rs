//! Quantizers made as candle-nn's layers are: from a `VarBuilder`, beside an optimizer that takes every variable.

mod support;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap};
use ksom_quantizers::{Backend, GdSom, Ksom, Quantizer, QuantizerConfig, build, build_seeded};
use support::{BACKENDS, numbers, train};

fn builder(variables: &VarMap) -> VarBuilder<'static> {
    VarBuilder::from_varmap(variables, DType::F32, &Device::Cpu)
}

fn state(quantizer: &dyn Quantizer) -> Vec<(&'static str, Vec<f64>)> {
    quantizer.state().iter().map(|(name, tensor)| (*name, numbers(tensor))).collect()
}

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

#[test]
fn a_variable_map_starts_a_quantizer_as_a_seed_does() {
    let config = QuantizerConfig { counter_init: 3.0, ..QuantizerConfig::ksom(64, 16) };
    let variables = VarMap::new();
    let from_map = Ksom::new(&config, builder(&variables).pp("a").pp("b")).unwrap();
    let seeded = build_seeded(&config, 5, &Device::Cpu).unwrap();
    for quantizer in [&from_map as &dyn Quantizer, seeded.as_ref()] {
        let state = state(quantizer);
        let (w, m) = (&state[0].1, &state[1].1);
        assert_eq!((state[0].0, state[1].0, w), ("_w", "_ema_w", m), "m = w");
        assert_eq!(state[2], ("_ema_cluster_size", vec![3.0; 64]));
        assert_eq!(state[3], ("counter", vec![0.0]));
        let mean = w.iter().sum::<f64>() / w.len() as f64;
        let variance = w.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / w.len() as f64;
        assert!(mean.abs() < 0.15 && (variance - 1.0).abs() < 0.25, "w ~ N(0, 1): mean {mean}, variance {variance}");
        assert_eq!((quantizer.backend(), quantizer.steps().unwrap()), (Backend::Fast, 0));
    }
    let mut names: Vec<String> = variables.data().lock().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["a.b._ema_cluster_size", "a.b._ema_w", "a.b._w", "a.b.counter"]);
    // A seed is all there is to it.
    assert_eq!(state(seeded.as_ref()), state(build_seeded(&config, 5, &Device::Cpu).unwrap().as_ref()));
    assert_ne!(state(seeded.as_ref()), state(build_seeded(&config, 6, &Device::Cpu).unwrap().as_ref()));
}

#[test]
fn an_optimizer_of_all_variables_leaves_buffers_alone() {
    for (config, trained) in [(QuantizerConfig::ksom(12, 4), false), (QuantizerConfig::gd_som(12, 4), true)] {
        for backend in BACKENDS {
            let variables = VarMap::new();
            let mut quantizer = build(&config, builder(&variables)).unwrap();
            quantizer.set_backend(backend).unwrap();
            let scale = Var::from_tensor(&random(&[4])).unwrap();
            let mut all = variables.all_vars();
            all.push(scale.clone());
            let params = ParamsAdamW { lr: 0.1, weight_decay: 0.5, ..ParamsAdamW::default() };
            let mut optimizer = AdamW::new(all, params).unwrap();
            let (before, scale_before) = (state(quantizer.as_ref()), numbers(&scale));
            let quantized = quantizer.forward(&random(&[40, 4]).broadcast_mul(&scale).unwrap()).unwrap();
            let loss = (quantized.output.sqr().unwrap().sum_all().unwrap() + quantized.loss).unwrap();
            optimizer.backward_step(&loss).unwrap();
            assert_ne!(numbers(&scale), scale_before, "the gradient goes straight through");
            let after = state(quantizer.as_ref());
            assert_eq!(after[0] != before[0], trained, "{config:?} {backend:?}: codebook");
            assert_eq!(after[1..], before[1..], "{config:?} {backend:?}: buffers");
            assert!(!quantizer.codebook().is_variable());
        }
    }
}

#[test]
fn a_variable_map_is_saved_and_loaded_with_what_was_learned() {
    for config in [QuantizerConfig::ksom(12, 4), QuantizerConfig::gd_som(12, 4)] {
        let variables = VarMap::new();
        let mut quantizer = build(&config, builder(&variables)).unwrap();
        let x = random(&[40, 4]);
        for _ in 0..3 {
            let codes = quantizer.assign(&x).unwrap();
            train(quantizer.as_mut(), &x, &codes);
        }
        let file = std::env::temp_dir().join(format!("ksom-{}-{:?}.safetensors", std::process::id(), config.kind));
        variables.save(&file).unwrap();
        let learned = state(quantizer.as_ref());

        // Into a quantizer that is there already.
        let mut others = VarMap::new();
        let mut loaded = build(&config, builder(&others)).unwrap();
        others.load(&file).unwrap();
        assert_eq!((state(loaded.as_ref()), loaded.steps().unwrap()), (learned.clone(), 3));

        // From the file's own tensors, which the quantizer then leaves as they are.
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        std::fs::remove_file(&file).unwrap();
        let vb = VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu);
        let mut other = build(&config, vb).unwrap();
        assert_eq!(state(other.as_ref()), learned);
        let codes = other.assign(&x).unwrap();
        train(other.as_mut(), &x, &codes);
        assert_eq!(numbers(&tensors["counter"]), [3.0]);
        assert_eq!(other.steps().unwrap(), 4);

        // What somebody else wrote into the map is checked before it is used.
        others.set_one("counter", Tensor::new(0.5f32, &Device::Cpu).unwrap()).unwrap();
        let observation = loaded.observe(&x, &codes).unwrap();
        for refused in [loaded.steps().map(drop), loaded.step(observation), build(&config, builder(&others)).map(drop)]
        {
            let message = refused.unwrap_err().to_string();
            assert!(message.contains("counter") && message.contains("0.5"), "{message}");
        }
    }
}

#[test]
fn maps_are_rows_at_each_position() {
    for config in [QuantizerConfig::ksom(12, 4), QuantizerConfig::gd_som(12, 4)] {
        for backend in BACKENDS {
            let quantizer = || {
                let mut quantizer = build_seeded(&config, 1, &Device::Cpu).unwrap();
                quantizer.set_backend(backend).unwrap();
                quantizer
            };
            let (mut one, mut other) = (quantizer(), quantizer());
            let maps = Var::from_tensor(&random(&[2, 4, 3, 5])).unwrap();
            let rows = maps.permute((0, 2, 3, 1)).unwrap().reshape((30, 4)).unwrap();
            let of_maps = one.forward(&maps).unwrap();
            let of_rows = other.forward(&Var::from_tensor(&rows).unwrap()).unwrap();
            assert_eq!((of_maps.codes.dims(), of_maps.output.dims()), (&[2usize, 3, 5][..], &[2usize, 4, 3, 5][..]));
            assert_eq!(numbers(&of_maps.codes), numbers(&of_rows.codes));
            assert_eq!(numbers(&of_maps.output.permute((0, 2, 3, 1)).unwrap()), numbers(&of_rows.output));
            assert_eq!(numbers(&of_maps.loss), numbers(&of_rows.loss));
            assert_eq!(numbers(&of_maps.perplexity), numbers(&of_rows.perplexity));
            assert_eq!(one.assign_two(&maps).unwrap().dims(), [30, 2]);
            assert_eq!(one.lookup(&of_maps.codes).unwrap().dims(), [2, 3, 5, 4]);
            // The gradient of the output goes straight through, to the place where it belongs.
            let upstream = random(&[2, 4, 3, 5]);
            let through = (&of_maps.output * &upstream).unwrap().sum_all().unwrap().backward().unwrap();
            assert_eq!(numbers(through.get(&maps).unwrap()), numbers(&upstream));

            train(one.as_mut(), &maps, &of_maps.codes);
            train(other.as_mut(), &rows, &of_rows.codes);
            assert_eq!(state(one.as_ref()), state(other.as_ref()));
            for bad in [&[2, 3, 4, 5][..], &[2, 4, 0, 5], &[0, 4, 3, 5], &[2, 4, 3]] {
                let x = Tensor::zeros(bad, DType::F32, &Device::Cpu).unwrap();
                assert!(one.forward(&x).unwrap_err().to_string().contains("[N, 4, H, W]"));
            }
            let flat = of_maps.codes.flatten_all().unwrap();
            assert!(one.observe(&maps, &flat).unwrap_err().to_string().contains("[2, 3, 5]"));
        }
    }
}

#[test]
fn a_builder_of_another_type_gives_a_quantizer_in_f32() {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F16, &Device::Cpu);
    let quantizer = GdSom::new(&QuantizerConfig::gd_som(12, 4), vb).unwrap();
    let x = random(&[40, 4]).to_dtype(DType::F16).unwrap();
    let quantized = quantizer.forward(&x).unwrap();
    assert_eq!((quantized.output.dtype(), quantized.loss.dtype()), (DType::F16, DType::F32));
    let vars = quantizer.vars();
    let map = variables.data().lock().unwrap();
    assert_eq!((vars.len(), vars[0].0, vars[0].1.id()), (1, "w", map["w"].id()));
}
