//! What a recipe may add to the mean squared error, against its definition in f64.

use candle_core::{D, DType, Device, Tensor};
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::model::Architecture;
use ksom_vqvae::{Backend, Compute, Model, ModelConfig, Recipe};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// mean(e²) + color · mean((e − ē)²) + coarse / 3 · Σ s² mean(ē_s²), of errors [N, 3, H, W].
fn loss(errors: &Tensor, color: f64, coarse: f64) -> Tensor {
    let mean = |t: &Tensor| t.sqr().unwrap().mean_all().unwrap();
    let of_color = errors.broadcast_sub(&errors.mean_keepdim(1).unwrap()).unwrap();
    let mut sum = (mean(errors) + (mean(&of_color) * color).unwrap()).unwrap();
    let (n, c, h, w) = errors.dims4().unwrap();
    for s in [2usize, 4, 8].into_iter().filter(|s| h % s == 0 && w % s == 0) {
        let blocks = errors.reshape((n * c * (h / s), s, w / s, s)).unwrap();
        let means = blocks.mean(D::Minus1).unwrap().mean(1).unwrap();
        sum = (sum + (mean(&means) * (coarse / 3.0 * (s * s) as f64)).unwrap()).unwrap();
    }
    sum
}

#[test]
fn gradients_are_those_of_the_definition_in_float64() {
    let architecture = Architecture { hidden: 8, residual_hidden: 4, ..Architecture::vqvae() };
    let config = ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4));
    let weights = Model::init(&config, 3, &Compute::cpu()).unwrap().state().unwrap();
    let load = |compute: &Compute| Model::from_tensors(&config, weights.clone(), "weights", compute, true).unwrap();
    for ((height, width), color, coarse) in
        [((8, 16), 0.7, 0.0), ((8, 16), 0.0, 0.5), ((12, 8), 2.0, 1.5), ((8, 8), 0.0, 0.0)]
    {
        let values: Vec<f32> = (0..2 * 3 * height * width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
        let pixels = Tensor::from_vec(values, (2, 3, height, width), &Device::Cpu).unwrap();
        let exact = load(&Compute::new(Device::Cpu, DType::F64));
        let pixels_f64 = pixels.to_dtype(DType::F64).unwrap();
        let codes = exact.encode(&pixels_f64).unwrap();
        let output = exact.forward_with_codes(&pixels_f64, &codes).unwrap();
        let error = loss(&(&output.reconstruction - &pixels_f64).unwrap(), color, coarse);
        let store = (error + output.quantizer_loss.to_dtype(DType::F64).unwrap()).unwrap().backward().unwrap();
        for backend in [Backend::Fast, Backend::Portable] {
            let mut model = load(&Compute { backend, ..Compute::cpu() });
            model.weigh_errors(color, coarse);
            let found = model.backpropagate(&pixels, Some(&codes), 1.0).unwrap();
            for (name, var) in exact.vars() {
                let expected = numbers(store.get(&var).unwrap());
                let scale = expected.iter().fold(1e-6f64, |most, g| most.max(g.abs()));
                for (found, expected) in numbers(&found.gradients[&name]).iter().zip(&expected) {
                    let far = (found - expected).abs() / scale;
                    assert!(far < 1e-4, "{backend:?}, {color}, {coarse}, {name}: {found}, expected {expected}");
                }
            }
            // What is reported and validated stays the mean squared error.
            let plain = load(&Compute { backend, ..Compute::cpu() }).backpropagate(&pixels, Some(&codes), 1.0).unwrap();
            assert_eq!(plain.reconstruction, found.reconstruction);
        }
    }
}

#[test]
fn recipes_say_them_where_they_count() {
    let set = ["loss_color=0.5", "loss_coarse=1"].map(String::from);
    let recipe = Recipe::find("photos", &set).unwrap();
    assert_eq!((recipe.training.loss_color, recipe.training.loss_coarse), (0.5, 1.0));
    assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap(), recipe);
    assert!(!Recipe::find("photos", &[]).unwrap().to_toml().contains("loss_"));
    assert!(Recipe::find("photos", &["loss_color=-1".to_string()]).is_err());
}
