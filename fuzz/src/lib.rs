//! What is done with bytes from strangers. The fuzz targets call these with bytes of their own making, `cargo test` with
//! the files in `fuzz/seeds`: each is refused with an error, or is sound; nothing panics.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ksom_datasets::decode::decode_bytes;
use ksom_datasets::sets::DataKind;
use ksom_datasets::{DataOptions, DataSpec, DecodeOptions, RgbImage, open};
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::checkpoint::pth::{PthFile, PthValue};
use ksom_vqvae::checkpoint::weights_path;
use ksom_vqvae::codes::{GivenCodes, GivenSizes};
use ksom_vqvae::experiment::Experiment;
use ksom_vqvae::hub::{HubName, Listing};
use ksom_vqvae::model::Architecture;
use ksom_vqvae::record::RecordedMetrics;
use ksom_vqvae::training::DataAccess;
use ksom_vqvae::{Compute, Flow, Model, ModelConfig, Recipe, Trainer};

/// A parser of bytes, under the name of its fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 15] = [
    ("checkpoint", checkpoint),
    ("cifar10", cifar10),
    ("codes", codes),
    ("config", config),
    ("data_spec", data_spec),
    ("encode_decode", encode_decode),
    ("experiment", experiment),
    ("hub_listing", hub_listing),
    ("hub_name", hub_name),
    ("metrics", metrics),
    ("parquet", parquet),
    ("picture", picture),
    ("pth", pth),
    ("recipe", recipe),
    ("training", training),
];

/// The most pixels of a picture that is decoded.
const MAX_PIXELS: u64 = 1 << 16;

/// A folder that lives as long as the program.
fn folder() -> PathBuf {
    tempfile::tempdir().unwrap().keep()
}

fn decode_options() -> DecodeOptions {
    DecodeOptions { max_pixels: MAX_PIXELS, ..DecodeOptions::default() }
}

/// The smallest model.
pub fn smallest() -> ModelConfig {
    let architecture = Architecture { hidden: 2, residual_hidden: 1, residual_layers: 0, ..Architecture::vqvae() };
    ModelConfig::new(architecture, QuantizerConfig::ksom(2, 1))
}

/// `model.safetensors`: refused, or a model that encodes.
pub fn checkpoint(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = folder();
        std::fs::write(folder.join("config.json"), smallest().to_json()).unwrap();
        folder
    });
    std::fs::write(weights_path(&FOLDER), bytes).unwrap();
    if let Ok(model) = Model::load(&*FOLDER, &Compute::cpu()) {
        model.encode_images(&[RgbImage::new(5, 3)]).unwrap();
    }
}

/// The model that codes files are checked against.
pub static CODES_MODEL: LazyLock<Model> = LazyLock::new(|| {
    let architecture = Architecture { hidden: 4, residual_hidden: 2, residual_layers: 1, ..Architecture::vqvae() };
    Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4)), 3, &Compute::cpu()).unwrap()
});

/// Codes files and bare arrays: refused, or pictures of the sizes that they state.
pub fn codes(bytes: &[u8]) {
    let path = Path::new("codes.safetensors");
    let file = match GivenCodes::from_bytes(bytes.to_vec(), path) {
        Ok(GivenCodes::File(mut file)) => {
            // No fuzzer guesses a hash.
            file.fingerprint = CODES_MODEL.fingerprint().unwrap();
            file
        }
        Ok(GivenCodes::Bare(bare)) => {
            let sizes = match bytes.len() % 3 {
                0 => GivenSizes::Covered,
                1 => GivenSizes::One([8, 4]),
                _ => GivenSizes::Each(vec![[8, 4], [5, 9]]),
            };
            let Ok(file) = bare.describe(&CODES_MODEL, "any", &sizes) else { return };
            file
        }
        Err(_) => return,
    };
    if file.check(&CODES_MODEL, path).is_ok() {
        for (picture, codes) in CODES_MODEL.decode_images(&file.images).unwrap().iter().zip(&file.images) {
            assert_eq!(picture.dimensions(), (codes.width, codes.height));
        }
    }
}

/// CIFAR-10's batches for Python: refused, or pictures of 32×32 and their labels.
pub fn cifar10(bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(folder);
    let training = (1..=5).map(|number| format!("data_batch_{number}"));
    for name in training.chain(["test_batch".to_string()]) {
        std::fs::write(FOLDER.join(name), bytes).unwrap();
    }
    let spec = DataSpec::of(DataKind::Cifar10, &*FOLDER).unwrap();
    if let Ok(data) = open(&spec, &DataOptions::default()) {
        assert_eq!(data.train.image(0).unwrap().dimensions(), (32, 32));
        assert!(data.train.label(0).is_some());
    }
}

/// `config.json`: refused, or a configuration that is written and read back as it is.
pub fn config(bytes: &[u8]) {
    let (Ok(text), path) = (std::str::from_utf8(bytes), Path::new("config.json")) else { return };
    if let Ok(config) = ModelConfig::parse(text, path) {
        assert_eq!(ModelConfig::parse(&config.to_json(), path).unwrap(), config);
    }
}

/// Names of data sets: refused, or one that is written and read back as it is.
pub fn data_spec(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(spec) = text.parse::<DataSpec>() {
        assert_eq!(spec.to_string().parse::<DataSpec>().unwrap(), spec);
    }
}

/// Pictures of arbitrary sizes and pixels: codes and a picture of the same size, alone and among others.
pub fn encode_decode(bytes: &[u8]) {
    static MODELS: LazyLock<[Model; 2]> = LazyLock::new(|| {
        [Architecture::vqvae(), Architecture::vqvae2()].map(|architecture| {
            let architecture = Architecture { hidden: 6, residual_hidden: 3, residual_layers: 1, ..architecture };
            Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(7, 3)), 3, &Compute::cpu()).unwrap()
        })
    });
    let Some((two_levels, sizes)) = bytes.split_first() else { return };
    let model = &MODELS[usize::from(two_levels % 2)];
    let make = |&[width, height, seed]: &[u8; 3]| {
        let (width, height) = (u32::from(width % 67) + 1, u32::from(height % 67) + 1);
        RgbImage::from_fn(width, height, |x, y| [x as u8 ^ seed, y as u8, seed].into())
    };
    let pictures: Vec<RgbImage> = sizes.as_chunks().0.iter().take(4).map(make).collect();
    let codes = model.encode_images(&pictures).unwrap();
    let decoded = model.decode_images(&codes).unwrap();
    for ((picture, codes), decoded) in pictures.iter().zip(&codes).zip(&decoded) {
        assert_eq!(decoded.dimensions(), picture.dimensions());
        assert_eq!(&model.encode_images(std::slice::from_ref(picture)).unwrap()[0], codes);
    }
}

/// What the Hub lists: refused, or two files of ours within their bounds.
pub fn hub_listing(bytes: &[u8]) {
    let Ok(listing) = serde_json::from_slice::<Listing>(bytes) else { return };
    if let Ok(files) = listing.model_files() {
        assert_eq!(files.each_ref().map(|file| file.path.as_str()), ["config.json", "model.safetensors"]);
        for file in files {
            assert!(file.bytes <= 8 << 30);
            let plain = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!([40, 64].contains(&file.contents().len()) && file.contents().chars().all(plain));
        }
    }
}

/// Names on the Hub: refused, or one that is written as it is read and whose parts stay where they are put.
pub fn hub_name(bytes: &[u8]) {
    use std::path::Component;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<HubName>() {
        assert_eq!(name.to_string(), text);
        for part in [name.owner(), name.name(), name.revision()] {
            assert!(Path::new(part).components().all(|part| matches!(part, Component::Normal(_))), "{text}");
        }
        assert_eq!(name.at(name.revision()).unwrap().revision(), name.revision());
    }
}

/// `metrics.jsonl`: figures, as far as there are any.
pub fn metrics(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for step in [None, Some(0), Some(5)] {
        let found = RecordedMetrics::parse(&text, step);
        assert!(step.is_some() || found == RecordedMetrics::default());
        serde_json::to_string(&found).unwrap();
    }
}

/// Parquet data sets: refused, or pictures.
pub fn parquet(bytes: &[u8]) {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| folder().join("fuzz.parquet"));
    std::fs::write(&*FILE, bytes).unwrap();
    let spec = DataSpec::of(DataKind::Parquet, &*FILE).unwrap();
    if let Ok(data) = open(&spec, &DataOptions { decode: decode_options(), ..DataOptions::default() }) {
        for index in 0..data.train.len().min(4) {
            let _ = data.train.image(index);
        }
    }
}

/// Pictures: refused, or pixels within the bound.
pub fn picture(bytes: &[u8]) {
    if let Ok(decoded) = decode_bytes(bytes, "fuzz", &decode_options()) {
        let picture = decoded.pixels;
        assert!(u64::from(picture.width()) * u64::from(picture.height()) <= MAX_PIXELS);
    }
}

/// PyTorch checkpoints: refused, or inert values and tensors within the file's bounds.
pub fn pth(bytes: &[u8]) {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| folder().join("fuzz.pth"));
    fn visit(file: &PthFile, value: &PthValue) {
        if let Some(tensor) = value.as_tensor() {
            let _ = file.tensor(tensor);
        }
        value.as_list().into_iter().flatten().for_each(|item| visit(file, item));
        value.as_dict().into_iter().flatten().for_each(|(_, item)| visit(file, item));
    }
    std::fs::write(&*FILE, bytes).unwrap();
    if let Ok(file) = PthFile::open(&*FILE) {
        visit(&file, file.value());
    }
}

/// Recipes and overrides: refused, or a recipe that is written and read back as it is.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, set) = text.split_once('\0').unwrap_or((text, ""));
    for recipe in [Recipe::parse(text, "fuzz", &[]), Recipe::find("cifar10", &[set.to_string()])].into_iter().flatten()
    {
        assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap(), recipe);
    }
}

/// Experiment files: refused, or an experiment whose runs have recipes.
pub fn experiment(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(experiment) = Experiment::parse(text, Path::new("fuzz.toml"), None) else { return };
    assert!(experiment.runs() > 0);
    for run in experiment.run_names() {
        assert_eq!(experiment.recipe_of(run).training.seed, experiment.seeds[run.seed]);
    }
}

/// A run directory of the smallest model, after no step.
pub fn start_training(run: &Path) -> Trainer {
    let pictures = run.with_extension("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    for number in 0..4 {
        let picture = RgbImage::from_fn(8, 8, |x, y| [(x * 30) as u8, (y * 30) as u8, 60 * number as u8].into());
        picture.save(pictures.join(format!("{number}.png"))).unwrap();
    }
    let set = [
        "hidden=2",
        "residual_hidden=1",
        "residual_layers=0",
        "num_codes=2",
        "dim=1",
        "batch_size=2",
        "steps=3",
        "validate_every=3",
        "checkpoint_every=3",
        "normalization=half",
    ];
    let recipe = Recipe::find("cifar10", &set.map(String::from)).unwrap();
    let spec = DataSpec::of(DataKind::Folder, &pictures).unwrap();
    Trainer::start(recipe, &spec, &DataAccess::default(), run, &Compute::cpu(), None).unwrap()
}

/// `training.safetensors`: refused, or a training that goes on until it is asked to stop, or names what is not finite.
pub fn training(bytes: &[u8]) {
    static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
        let run = folder().join("run");
        drop(start_training(&run));
        run
    });
    std::fs::write(RUN.join("training.safetensors"), bytes).unwrap();
    let spec = DataSpec::of(DataKind::Folder, RUN.with_extension("pictures")).unwrap();
    if let Ok(mut trainer) = Trainer::resume(&RUN, Some(&spec), &DataAccess::default(), &Compute::cpu()) {
        let _ = trainer.run(&mut |_| Flow::Stop);
    }
}
