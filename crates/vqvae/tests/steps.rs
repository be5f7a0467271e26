//! Training steps through the library: what is refused, what an error leaves behind, and that ways of taking the same
//! steps come to the same bits.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use image::{Rgb, RgbImage};
use ksom_datasets::{DataSet, DatasetError, ImageSource};
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::model::Architecture;
use ksom_vqvae::training::{AdamW, Base, Optimizer, train_step, train_step_with};
use ksom_vqvae::{Compute, Error, Flow, Model, ModelConfig, Recipe, Trainer};

fn config() -> ModelConfig {
    let architecture = Architecture { hidden: 8, residual_hidden: 4, ..Architecture::vqvae() };
    ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4))
}

fn model() -> Model {
    Model::init(&config(), 3, &Compute::cpu()).unwrap()
}

fn optimizer(model: &Model) -> Optimizer {
    Optimizer::new(model.vars(), AdamW::default(), 1.0, model.compute().backend).unwrap()
}

fn pixels(count: usize) -> Tensor {
    let values: Vec<f32> = (0..count * 3 * 8 * 8).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
    Tensor::from_vec(values, (count, 3, 8, 8), &Device::Cpu).unwrap()
}

fn bits(model: &Model) -> BTreeMap<String, Vec<u32>> {
    let of = |tensor: &Tensor| {
        let values: Vec<f32> = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    model.state().unwrap().iter().map(|(name, tensor)| (name.clone(), of(tensor))).collect()
}

fn mse(output: &Tensor, pixels: &Tensor) -> Tensor {
    (output - pixels).unwrap().sqr().unwrap().mean_all().unwrap()
}

#[test]
fn a_batch_cannot_be_cut_into_no_parts_or_too_many() {
    let mut model = model();
    let (mut optimizer, before) = (optimizer(&model), bits(&model));
    for parts in [0, 4] {
        let error = train_step(&mut model, &mut optimizer, &pixels(3), parts).unwrap_err().to_string();
        assert!(error.contains("1 to 3 parts") && error.contains(&parts.to_string()), "{error}");
    }
    assert!(bits(&model) == before);
}

#[test]
fn unequal_parts_count_by_their_size() {
    let one_step = |parts| {
        let mut model = model();
        let mut optimizer = optimizer(&model);
        let outcome = train_step(&mut model, &mut optimizer, &pixels(5), parts).unwrap();
        (outcome.reconstruction, outcome.grad_norm, model.state().unwrap())
    };
    let (loss, norm, state) = one_step(1);
    // Parts of 3 and 2 pictures.
    let (cut_loss, cut_norm, cut_state) = one_step(2);
    assert!((loss - cut_loss).abs() < 1e-6 * loss, "{loss} {cut_loss}");
    assert!((norm - cut_norm).abs() < 1e-5 * norm, "{norm} {cut_norm}");
    for name in ["_vq_vae._w", "_vq_vae._ema_w"].iter().filter(|name| state.contains_key(**name)) {
        let difference = (&state[*name] - &cut_state[*name]).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{name}");
    }
}

#[test]
fn a_step_that_ends_in_an_error_leaves_nothing_behind() {
    let (mut disturbed, mut undisturbed) = (model(), model());
    let (mut its_optimizer, mut other_optimizer) = (optimizer(&disturbed), optimizer(&undisturbed));
    let mut parts = 0;
    let failed = train_step_with(&mut disturbed, &mut its_optimizer, &pixels(4), 2, &mut |output, pixels| {
        parts += 1;
        if parts == 2 {
            return Err(Error::Invalid("the second part fails".into()));
        }
        Ok((mse(&output.reconstruction, pixels) + &output.quantizer_loss)?)
    });
    assert!(failed.unwrap_err().to_string().contains("the second part fails"));
    assert!(bits(&disturbed) == bits(&undisturbed));

    train_step(&mut disturbed, &mut its_optimizer, &pixels(4), 2).unwrap();
    train_step(&mut undisturbed, &mut other_optimizer, &pixels(4), 2).unwrap();
    assert!(bits(&disturbed) == bits(&undisturbed));
}

#[test]
fn the_mean_squared_error_as_a_loss_of_ones_own_gives_the_same_gradients() {
    let (mut taped, mut own) = (model(), model());
    let (mut its_optimizer, mut other_optimizer) = (optimizer(&taped), optimizer(&own));
    let ours = train_step(&mut taped, &mut its_optimizer, &pixels(4), 1).unwrap();
    let theirs = train_step_with(&mut own, &mut other_optimizer, &pixels(4), 1, &mut |output, pixels| {
        Ok((mse(&output.reconstruction, pixels) + &output.quantizer_loss)?)
    })
    .unwrap();
    assert!((ours.grad_norm - theirs.grad_norm).abs() < 1e-5 * ours.grad_norm, "{ours:?} {theirs:?}");
    assert!((ours.reconstruction - theirs.reconstruction).abs() < 1e-6 * ours.reconstruction);
}

/// A file of half the size holds what training on needs, in 2/3 of the codebook's bytes: the next steps are those from the
/// whole state, up to the roundings of weights to 16 bits and of m to w · c.
#[test]
fn training_goes_on_from_a_file_of_half_the_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = model();
    let mut its_optimizer = optimizer(&whole);
    for _ in 0..3 {
        train_step(&mut whole, &mut its_optimizer, &pixels(4), 1).unwrap();
    }
    whole.save(folder.path(), DType::F16).unwrap();
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let stored = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    assert!(!stored.contains_key("_vq_vae._ema_w") && stored["_vq_vae._ema_cluster_size"].dtype() == DType::F32);

    let mut half = Model::load_trainable(folder.path(), &Compute::cpu()).unwrap();
    let furthest = |one: &Model, other: &Model, name: &str| {
        let of = |model: &Model| model.state().unwrap()[name].flatten_all().unwrap();
        let far = (of(one) - of(other)).unwrap().abs().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        far / of(other).abs().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
    };
    assert_eq!(furthest(&half, &whole, "_vq_vae._w"), 0.0);
    assert!(furthest(&half, &whole, "_vq_vae._ema_w") < 1e-6);
    let mut other_optimizer = optimizer(&half);
    let mut its_optimizer = optimizer(&whole);
    for _ in 0..3 {
        train_step(&mut whole, &mut its_optimizer, &pixels(4), 1).unwrap();
        train_step(&mut half, &mut other_optimizer, &pixels(4), 1).unwrap();
    }
    for name in ["_vq_vae._w", "_vq_vae._ema_w", "_vq_vae._ema_cluster_size"] {
        assert!(furthest(&half, &whole, name) < 1e-2, "{name}: {}", furthest(&half, &whole, name));
    }
    assert_eq!(half.quantizers()[0].steps().unwrap(), 6);
}

#[test]
fn gradients_without_a_variable_are_refused() {
    let model = model();
    let mut optimizer = optimizer(&model);
    let unknown = BTreeMap::from([("encoder.nothing".to_string(), pixels(1))]);
    let error = optimizer.step(&unknown, 1.0).unwrap_err().to_string();
    assert!(error.contains("encoder.nothing"), "{error}");
    assert_eq!(optimizer.step_count(), 0);
}

#[test]
fn a_model_from_a_var_builder_is_saved_with_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (original, compute) = (model(), Compute::cpu());
    let tensors: HashMap<String, Tensor> = original.state().unwrap().into_iter().collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    Model::new(&config(), &compute, vb).unwrap().save(folder.path(), DType::F32).unwrap();
    let loaded = Model::load(folder.path(), &compute).unwrap();
    assert!(bits(&loaded) == bits(&original));
}

/// Plain pictures, each of its own color.
struct Plain;

impl ImageSource for Plain {
    fn len(&self) -> usize {
        24
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        Ok(RgbImage::from_pixel(16, 16, Rgb([index as u8 * 10, 255 - index as u8 * 10, index as u8])))
    }

    fn name(&self, index: usize) -> String {
        index.to_string()
    }
}

fn data() -> DataSet {
    let valid = vec![("plain".to_string(), Arc::new(Plain) as Arc<dyn ImageSource>)];
    DataSet {
        description: "plain pictures".into(),
        train: Arc::new(Plain),
        valid,
        test: Vec::new(),
        unreadable: Vec::new(),
        left_out: Vec::new(),
        passed_over: Default::default(),
        remarks: Default::default(),
    }
}

fn recipe(more: &[&str]) -> Recipe {
    let small = ["hidden=8", "residual_hidden=4", "num_codes=16", "dim=4", "batch_size=4", "validate_every=3"];
    let set: Vec<String> = small.iter().chain(more).map(ToString::to_string).collect();
    Recipe::find("cifar10", &set).unwrap()
}

fn start(recipe: Recipe, run: &Path, base: Option<Base>) -> Trainer {
    Trainer::start_on(recipe, "plain", data(), run, &Compute::cpu(), base).unwrap()
}

#[test]
fn steps_one_by_one_come_to_the_bits_of_a_run_and_of_a_resumed_one() {
    let folder = tempfile::tempdir().unwrap();
    let set = ["steps=6", "schedule=cosine", "warmup_steps=2", "accumulate=2"];

    let mut whole = start(recipe(&set), &folder.path().join("whole"), None);
    whole.run(&mut |_| Flow::Continue).unwrap();

    let mut piecewise = start(recipe(&set), &folder.path().join("piecewise"), None);
    let mut reports = Vec::new();
    for _ in 0..2 {
        reports.push(piecewise.next_step().unwrap().unwrap());
    }
    piecewise.checkpoint().unwrap();
    drop(piecewise);
    let mut resumed = Trainer::resume_on(&folder.path().join("piecewise"), data(), &Compute::cpu()).unwrap();
    while let Some(report) = resumed.next_step().unwrap() {
        reports.push(report);
    }
    assert_eq!(reports.iter().map(|report| report.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(bits(resumed.model()) == bits(whole.model()));
    assert!(resumed.validate().unwrap().mse.is_finite());

    let error = resumed.train_to(9).unwrap_err().to_string();
    assert!(error.contains("falls to step 6"), "{error}");
}

#[test]
fn a_base_model_for_inference_is_trained_whole() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("base");
    model().save(&saved, DType::F32).unwrap();
    let inference = || Model::load(&saved, &Compute::cpu()).unwrap();

    let mut alone = inference();
    let mut nothing = optimizer(&alone);
    assert!(matches!(train_step(&mut alone, &mut nothing, &pixels(2), 1), Err(Error::NotTrainable)));

    let base = Base { model: inference(), name: "base".into(), revision: None };
    let mut trainer = start(recipe(&["steps=2"]), &folder.path().join("run"), Some(base));
    trainer.next_step().unwrap().unwrap();
    let (before, after) = (bits(&inference()), bits(trainer.model()));
    let still: Vec<&String> = before.keys().filter(|name| before[*name] == after[*name]).collect();
    assert!(still.is_empty(), "{still:?} did not move");
}

#[test]
fn a_training_that_began_without_a_size_goes_on_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let base = Base { model: model(), name: "base".into(), revision: None };
    let started = start(recipe(&["steps=2"]), &run, Some(base));
    assert_eq!(started.recipe().data.size, Some([16, 16]));
    drop(started);
    // As earlier versions wrote it.
    let mut old = Recipe::read(&run.join("recipe.toml"), &[]).unwrap();
    old.data.size = None;
    std::fs::write(run.join("recipe.toml"), old.to_toml()).unwrap();
    let resumed = Trainer::resume_on(&run, data(), &Compute::cpu()).unwrap();
    assert_eq!(resumed.recipe().data.size, None);
}

#[test]
fn no_training_is_longer_than_a_quantizer_counts() {
    let refused = Recipe::find("cifar10", &["steps=16777217".to_string()]).unwrap_err().to_string();
    assert!(refused.contains("16777216") && refused.contains("16777217"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let base = Base { model: model(), name: "base".into(), revision: None };
    let mut trainer = start(recipe(&["steps=2"]), &folder.path().join("run"), Some(base));
    assert!(trainer.train_to(16_777_217).unwrap_err().to_string().contains("16777216"));
}

#[test]
fn errors_can_be_matched_and_become_candles() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    drop(start(recipe(&["steps=1"]), &run, None));
    let again = Trainer::start_on(recipe(&["steps=1"]), "plain", data(), &run, &Compute::cpu(), None);
    assert!(matches!(again.err().unwrap(), Error::TrainingExists { .. }));
    let nothing = Trainer::resume_on(folder.path(), data(), &Compute::cpu());
    let error = nothing.err().unwrap();
    assert!(matches!(error, Error::NoTraining { .. }));
    let message = error.to_string();
    assert!(candle_core::Error::from(error).to_string().contains(&message));
    assert!(matches!(Model::load(folder.path(), &Compute::cpu()).err().unwrap(), Error::NoModel { .. }));
}
