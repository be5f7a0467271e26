//! Written files are read back by the same messages, and computed node by node with candle's operations.

mod interpreter;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use ksom_datasets::Normalization;
use ksom_quantizers::{QuantizerConfig, Similarity};
use prost::Message;

use super::layers::CODES_AT_A_TIME;
use super::proto::{FLOAT, FLOAT16, INT64, ModelProto, TensorProto, ValueInfoProto};
use super::*;
use crate::model::Architecture;
use crate::{Compute, ModelConfig};
use interpreter::compute;

fn model(architecture: Architecture, num_codes: usize) -> Model {
    let architecture = Architecture { hidden: 12, residual_hidden: 6, ..architecture };
    let mut config = ModelConfig::new(architecture, QuantizerConfig::ksom(num_codes, 10));
    config.preprocessing.normalization = Normalization { mean: [0.1, 0.5, 0.7], std: [0.3, 0.25, 1.5] };
    Model::init(&config, 5, &Compute::cpu()).unwrap()
}

fn models() -> [Model; 4] {
    let coarse = Architecture { downsample: 16, ..Architecture::vqvae() };
    let deep = Architecture { residual_layers: 3, ..Architecture::vqvae2() };
    [
        model(Architecture::vqvae(), 32),
        model(coarse, 32),
        model(deep, 16),
        model(Architecture::vqvae2(), CODES_AT_A_TIME + 100),
    ]
}

/// Every kind of quantizer, and stages of them.
fn kinds() -> Vec<Model> {
    let cosine = QuantizerConfig { similarity: Similarity::Cosine, ..QuantizerConfig::ksom(20, 10) };
    let fsq = QuantizerConfig::fsq(&[8, 5, 4]);
    let kinds = [(cosine.clone(), 1), (cosine, 2), (fsq.clone(), 1), (fsq, 3), (QuantizerConfig::sim_vq(20, 10), 1)];
    let both = [Architecture::vqvae(), Architecture::vqvae2()];
    let all = kinds.into_iter().chain([(QuantizerConfig::ksom(CODES_AT_A_TIME + 9, 10), 3)]);
    all.flat_map(|(quantizer, stages)| {
        both.clone().map(|architecture| {
            let architecture = Architecture { hidden: 12, residual_hidden: 6, stages, ..architecture };
            Model::init(&ModelConfig::new(architecture, quantizer.clone()), 5, &Compute::cpu()).unwrap()
        })
    })
    .collect()
}

fn exported(model: &Model, options: &ExportOptions) -> [ModelProto; 2] {
    files(model, options).unwrap().map(|file| ModelProto::decode(&file.contents[..]).unwrap())
}

fn pixels(model: &Model, sides: (usize, usize), count: usize) -> Tensor {
    let (height, width) = sides;
    let values: Vec<f32> =
        (0..count * 3 * height * width).map(|i| ((i * 7919 + i / 31) % 256) as f32 / 255.0).collect();
    assert!(height % model.stride() == 0 && width % model.stride() == 0);
    Tensor::from_vec(values, (count, 3, height, width), &Device::Cpu).unwrap()
}

fn normalized(model: &Model, pixels: &Tensor) -> Tensor {
    let Normalization { mean, std } = &model.config().preprocessing.normalization;
    let channel = |values: &[f32; 3]| Tensor::new(values, &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
    pixels.broadcast_sub(&channel(mean)).unwrap().broadcast_div(&channel(std)).unwrap()
}

fn furthest(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

fn whole(tensor: &Tensor) -> Vec<i64> {
    tensor.to_dtype(DType::I64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// What the graphs compute is what the model computes.
#[test]
fn graphs_give_the_models_codes_and_pixels() {
    for model in models().into_iter().chain(kinds()) {
        let levels = model.config().architecture.levels();
        for normalization in [true, false] {
            let options = ExportOptions { normalization, ..ExportOptions::default() };
            let [encoder, decoder] = exported(&model, &options);
            let side = model.stride();
            for (sides, count) in [((2 * side, 3 * side), 1), ((side, side), 3)] {
                let given = pixels(&model, sides, count);
                let own = normalized(&model, &given);
                let expected = model.encode(&own).unwrap();
                let given = if normalization { given } else { own };
                let codes = compute(&encoder, &BTreeMap::from([("pixels".to_string(), given)]));
                for (level, expected) in levels.iter().zip(&expected) {
                    assert_eq!(codes[level.name].dims(), expected.dims());
                    assert_eq!(whole(&codes[level.name]), whole(expected), "{}", level.name);
                }
                assert_eq!(codes.len(), levels.len());

                let decoded = compute(&decoder, &codes);
                let expected = model.decode(&expected).unwrap();
                let Normalization { mean, std } = &model.config().preprocessing.normalization;
                let channel = |v: &[f32; 3]| Tensor::new(v, &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
                let expected = match normalization {
                    false => expected,
                    true => {
                        let scaled = expected.broadcast_mul(&channel(std)).unwrap();
                        scaled.broadcast_add(&channel(mean)).unwrap().clamp(0f32, 1f32).unwrap()
                    }
                };
                let far = furthest(&decoded["pixels"], &expected);
                assert!(far < 1e-5, "pixels differ by {far}");
            }
        }
    }
}

/// Weights in f16 give the codes of the model whose weights are stored so.
#[test]
fn half_weights_are_those_of_a_model_stored_at_half_the_size() {
    for model in models() {
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path(), DType::F16).unwrap();
        let stored = Model::load(folder.path(), &Compute::cpu()).unwrap();
        let options = ExportOptions { precision: Precision::HalfWeights, ..ExportOptions::default() };
        let [encoder, _] = exported(&model, &options);
        let given = pixels(&model, (16, 3 * model.stride()), 2);
        let expected = stored.encode(&normalized(&model, &given)).unwrap();
        let codes = compute(&encoder, &BTreeMap::from([("pixels".to_string(), given)]));
        for (level, expected) in model.config().architecture.levels().iter().zip(&expected) {
            assert_eq!(whole(&codes[level.name]), whole(expected), "{}", level.name);
        }
        // Computing in f16 is near, too.
        let half = exported(&model, &ExportOptions { precision: Precision::Half, ..options.clone() });
        let decoded = [exported(&model, &options)[1].clone(), half[1].clone()].map(|decoder| compute(&decoder, &codes));
        let far = furthest(&decoded[0]["pixels"], &decoded[1]["pixels"]);
        assert!(far > 0.0 && far < 0.02, "computing in f16 moves pixels by {far}");
    }
}

/// The first of equal vectors wins, wherever the others lie.
#[test]
fn the_first_of_equals_wins() {
    let num_codes = 2 * CODES_AT_A_TIME + 3;
    for num_codes in [16, num_codes] {
        let model = model(Architecture::vqvae(), num_codes);
        let mut state = model.state().unwrap();
        let prefix = model.config().architecture.levels()[0].prefix;
        let ones = state[&format!("{prefix}._w")].zeros_like().unwrap();
        state.insert(format!("{prefix}._w"), ones);
        let model = Model::from_tensors(model.config(), state, "equals", &Compute::cpu(), false).unwrap();
        let [encoder, _] = exported(&model, &ExportOptions::default());
        let codes = compute(&encoder, &BTreeMap::from([("pixels".to_string(), pixels(&model, (8, 8), 1))]));
        assert_eq!(whole(&codes["codes"]), [0; 4]);
    }
}

fn described(value: &ValueInfoProto) -> (String, i32, Vec<String>) {
    let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
    let side = |dim: &super::proto::DimensionProto| match (dim.dim_value, &dim.dim_param) {
        (Some(side), None) => side.to_string(),
        (None, Some(name)) => name.clone(),
        other => panic!("a side is a number or a name, found {other:?}"),
    };
    let sides = tensor.shape.unwrap().dim.iter().map(side).collect();
    (value.name.clone().unwrap(), tensor.elem_type.unwrap(), sides)
}

fn text(sides: &[&str]) -> Vec<String> {
    sides.iter().map(ToString::to_string).collect()
}

#[test]
fn inputs_and_outputs_are_as_documented() {
    let [single, _, double, _] = models();
    let options = ExportOptions { name: "mine".into(), ..ExportOptions::default() };
    let pixels = || ("pixels".to_string(), FLOAT, text(&["batch", "3", "height", "width"]));
    let codes = |name: &str, sides: [&str; 3]| (name.to_string(), INT64, text(&sides));
    let of_single = vec![codes("codes", ["batch", "rows", "columns"])];
    let of_double = vec![
        codes("codes_top", ["batch", "top_rows", "top_columns"]),
        codes("codes_bottom", ["batch", "rows", "columns"]),
    ];
    for (model, levels, downsample) in [(single, of_single, "4"), (double, of_double, "8")] {
        let written = exported(&model, &options);
        for (file, part) in written.iter().zip(["encoder", "decoder"]) {
            assert_eq!((file.ir_version, file.opset_import.len()), (Some(IR_VERSION), 1));
            assert_eq!(file.opset_import[0].version, Some(OPSET));
            assert_eq!(file.producer_name.as_deref(), Some("ksom"));
            let graph = file.graph.as_ref().unwrap();
            assert_eq!(graph.name.as_deref(), Some(part));
            let found = [&graph.input, &graph.output].map(|values| values.iter().map(described).collect::<Vec<_>>());
            let pixels = vec![pixels()];
            let expected = if part == "encoder" { [&pixels, &levels] } else { [&levels, &pixels] };
            assert_eq!(found.each_ref(), expected);

            let metadata: BTreeMap<&str, &str> = file
                .metadata_props
                .iter()
                .map(|entry| (entry.key.as_deref().unwrap(), entry.value.as_deref().unwrap()))
                .collect();
            assert_eq!(metadata.len(), file.metadata_props.len());
            let config = model.config();
            for (key, value) in [
                ("ksom_onnx", "1".to_string()),
                ("model", "mine".to_string()),
                ("fingerprint", model.fingerprint().unwrap()),
                ("num_codes", config.quantizer.num_codes.to_string()),
                ("grid", serde_json::to_string(&config.quantizer.grid).unwrap()),
                ("downsample", downsample.to_string()),
                ("mean", "[0.1,0.5,0.7]".to_string()),
                ("std", "[0.3,0.25,1.5]".to_string()),
                ("weights", "f32".to_string()),
                ("computes_in", "f32".to_string()),
            ] {
                assert_eq!(metadata.get(key), Some(&value.as_str()), "{key}");
            }
            assert!(metadata["normalization"].starts_with("inside"));
            assert!(metadata["padding"].contains(&format!("multiples of {downsample}")));
        }
    }
}

/// Every value is made once, before it is used, and none in vain; weights are those of the checkpoint.
#[test]
fn graphs_are_whole() {
    for model in models().into_iter().chain(kinds()) {
        for precision in [Precision::F32, Precision::HalfWeights, Precision::Half] {
            let options = ExportOptions { precision, ..ExportOptions::default() };
            let state = model.state().unwrap();
            let mut weights = BTreeSet::new();
            for file in exported(&model, &options) {
                let graph = file.graph.unwrap();
                let mut known: BTreeSet<String> = graph.input.iter().map(|value| value.name.clone().unwrap()).collect();
                let mut used = BTreeSet::new();
                for constant in &graph.initializer {
                    let name = constant.name.clone().unwrap();
                    check_constant(constant);
                    if let Some(tensor) = state.get(&name) {
                        let expected = if precision == Precision::F32 { FLOAT } else { FLOAT16 };
                        assert_eq!(constant.data_type, Some(expected), "{name}");
                        let dims: Vec<i64> = tensor.dims().iter().map(|&side| side as i64).collect();
                        assert_eq!(constant.dims, dims, "{name}");
                        weights.insert(name.clone());
                    }
                    assert!(known.insert(name.clone()), "{name} is there twice");
                }
                for node in &graph.node {
                    for input in &node.input {
                        assert!(known.contains(input), "{input} is used before it is made");
                        used.insert(input.clone());
                    }
                    for output in &node.output {
                        assert!(known.insert(output.clone()), "{output} is made twice");
                    }
                }
                let outputs: BTreeSet<String> = graph.output.iter().map(|value| value.name.clone().unwrap()).collect();
                let in_vain: BTreeSet<String> =
                    known.difference(&used).filter(|name| !outputs.contains(*name)).cloned().collect();
                assert_eq!(in_vain, BTreeSet::new());
                assert!(outputs.is_subset(&known));
            }
            let expected: BTreeSet<String> =
                state.keys().filter(|name| name.ends_with("weight") || name.ends_with("bias")).cloned().collect();
            assert_eq!(weights, expected);
        }
    }
}

fn check_constant(constant: &TensorProto) {
    let size = match constant.data_type {
        Some(FLOAT) => 4,
        Some(FLOAT16) => 2,
        Some(INT64) => 8,
        other => panic!("{other:?}"),
    };
    let count = constant.dims.iter().product::<i64>() as usize;
    assert_eq!(constant.raw_data.as_ref().unwrap().len(), count * size, "{:?}", constant.name);
}

#[test]
fn weights_that_are_too_large_for_f16_are_refused() {
    let [model, ..] = models();
    let mut state = model.state().unwrap();
    let name = "_encoder._conv_1.bias".to_string();
    let huge = (state[&name].ones_like().unwrap() * 1e6).unwrap();
    state.insert(name.clone(), huge);
    let model = Model::from_tensors(model.config(), state, "huge", &Compute::cpu(), false).unwrap();
    assert!(files(&model, &ExportOptions::default()).is_ok());
    let options = ExportOptions { precision: Precision::HalfWeights, ..ExportOptions::default() };
    let error = files(&model, &options).err().unwrap().to_string();
    assert!(error.contains(&name) && error.contains("f16"), "{error}");
}

/// The same model gives the same bytes; an old file stays where the other cannot be written.
#[test]
fn files_are_written_whole_or_not_at_all() {
    let [model, ..] = models();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b");
    let written = export(&model, &dir, &ExportOptions::default()).unwrap();
    for file in &written {
        assert!(std::fs::read(dir.join(file.name)).unwrap() == file.contents, "{}", file.name);
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);

    let blocked = folder.path().join("blocked");
    std::fs::create_dir_all(blocked.join("decoder.onnx")).unwrap();
    let error = export(&model, &blocked, &ExportOptions::default()).err().unwrap().to_string();
    assert!(error.contains("decoder.onnx"), "{error}");
    assert!(!blocked.join("encoder.onnx").exists());
}
