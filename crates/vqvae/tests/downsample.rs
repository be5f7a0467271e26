//! Networks with 8×8 or 16×16 pixels a code.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::model::Architecture;
use ksom_vqvae::{Backend, Compute, Model, ModelConfig, Recipe};

fn config(downsample: usize) -> ModelConfig {
    let architecture = Architecture { hidden: 8, residual_hidden: 4, downsample, ..Architecture::vqvae() };
    ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4))
}

fn pixels(side: usize) -> Tensor {
    let values: Vec<f32> = (0..2 * 3 * side * side).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
    Tensor::from_vec(values, (2, 3, side, side), &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradients of both paths on the tape, against candle's graph in f64.
#[test]
fn gradients_are_those_of_float64() {
    for downsample in [4, 8, 16] {
        let config = config(downsample);
        let pixels = pixels(2 * downsample);
        let weights = Model::init(&config, 3, &Compute::cpu()).unwrap().state().unwrap();
        let load = |compute: &Compute, trainable| {
            Model::from_tensors(&config, weights.clone(), "weights", compute, trainable).unwrap()
        };
        let exact = load(&Compute::new(Device::Cpu, DType::F64), true);
        let pixels_f64 = pixels.to_dtype(DType::F64).unwrap();
        let codes = exact.encode(&pixels_f64).unwrap();
        assert_eq!(codes[0].dims(), [2, 2, 2]);
        let output = exact.forward_with_codes(&pixels_f64, &codes).unwrap();
        let error = (&output.reconstruction - &pixels_f64).unwrap().sqr().unwrap().mean_all().unwrap();
        let loss = (error + output.quantizer_loss.to_dtype(DType::F64).unwrap()).unwrap();
        let store = loss.backward().unwrap();
        let expected: BTreeMap<String, Vec<f64>> =
            exact.vars().iter().map(|(name, var)| (name.clone(), numbers(store.get(var).unwrap()))).collect();
        let further = downsample.ilog2() as usize - 2;
        assert_eq!(expected.len(), 22 + 4 * further, "{:?}", expected.keys());
        for backend in [Backend::Fast, Backend::Portable] {
            let model = load(&Compute { backend, ..Compute::cpu() }, true);
            let found = model.backpropagate(&pixels, Some(&codes), 1.0).unwrap().gradients;
            assert!(found.keys().eq(expected.keys()));
            for (name, expected) in &expected {
                let scale = expected.iter().fold(1e-6f64, |most, g| most.max(g.abs()));
                for (found, expected) in numbers(&found[name]).iter().zip(expected) {
                    let error = (found - expected).abs() / scale;
                    assert!(error < 1e-4, "{downsample}, {backend:?}, {name}: {found}, expected {expected}");
                }
            }
        }
    }
}

#[test]
fn further_stages_continue_the_papers_numbers() {
    let names = |downsample| -> Vec<String> {
        let state = Model::init(&config(downsample), 1, &Compute::cpu()).unwrap().state().unwrap();
        state.into_keys().collect()
    };
    let of_four = names(4);
    for (downsample, further) in [
        (8, &["_encoder._conv_4", "_decoder._conv_trans_3"][..]),
        (16, &["_encoder._conv_4", "_encoder._conv_5", "_decoder._conv_trans_3", "_decoder._conv_trans_4"]),
    ] {
        let mut expected = of_four.clone();
        expected.extend(further.iter().flat_map(|name| [format!("{name}.bias"), format!("{name}.weight")]));
        expected.sort();
        assert_eq!(names(downsample), expected);
    }
}

#[test]
fn configurations_say_it_where_it_is_not_four() {
    let path = Path::new("config.json");
    for downsample in [4, 8, 16] {
        let text = config(downsample).to_json();
        assert_eq!(text.contains("downsample"), downsample != 4);
        assert_eq!(ModelConfig::parse(&text, path).unwrap(), config(downsample));
    }
    for downsample in [0, 2, 5, 12, 32] {
        let message = config(downsample).validate().unwrap_err();
        assert!(message.contains("4, 8 or 16") && message.contains(&downsample.to_string()), "{message}");
    }
    let mut two_levels = config(8);
    two_levels.architecture.kind = Architecture::vqvae2().kind;
    assert!(two_levels.validate().unwrap_err().contains("4 for a vqvae2"));
    let set = ["downsample=16".to_string()];
    assert_eq!(Recipe::find("photos", &set).unwrap().architecture.downsample, 16);
    let recipe = Recipe::find("photos-f8", &[]).unwrap();
    assert_eq!((recipe.architecture.downsample, recipe.quantizer.num_codes), (8, 16_384));
    // Bits per pixel: log₂ 16,384 / 64.
    assert_eq!(recipe.architecture.stride(), 8);
}

/// Codes of one model are refused by another that differs in nothing but the pixels that a code spans.
#[test]
fn fingerprints_tell_strides_apart() {
    let [four, eight] = [4, 8].map(|downsample| Model::init(&config(downsample), 1, &Compute::cpu()).unwrap());
    assert_eq!(numbers(four.quantizers()[0].codebook()), numbers(eight.quantizers()[0].codebook()));
    assert_ne!(four.fingerprint().unwrap(), eight.fingerprint().unwrap());
}
