//! Properties of codes files, checkpoints and pictures of any size, and of one model used by several threads.

use std::sync::LazyLock;

use candle_core::DType;
use image::RgbImage;
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::checkpoint::pth;
use ksom_vqvae::codes::{CodeGrid, Packing};
use ksom_vqvae::model::Architecture;
use ksom_vqvae::training::Optimizer;
use ksom_vqvae::{CodesFile, Compute, ImageCodes, Model, ModelConfig, Recipe, Trainer};
use proptest::prelude::*;

const CODES: usize = 16;

fn model(architecture: Architecture) -> Model {
    let architecture = Architecture { hidden: 8, residual_hidden: 4, ..architecture };
    Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(CODES, 4)), 3, &Compute::cpu()).unwrap()
}

static MODELS: LazyLock<[Model; 4]> = LazyLock::new(|| {
    let coarse = |downsample| Architecture { downsample, ..Architecture::vqvae() };
    [Architecture::vqvae(), Architecture::vqvae2(), coarse(8), coarse(16)].map(model)
});

fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let mix = (x * 31 + y * 17 + seed * 101).wrapping_mul(2_654_435_761);
        image::Rgb([(mix >> 8) as u8, (mix >> 16) as u8, (mix >> 24) as u8])
    })
}

/// Codes of pictures that the model could have made.
fn codes(model: usize) -> impl Strategy<Value = Vec<ImageCodes>> {
    let sizes = prop::collection::vec((1u32..40, 1u32..40, any::<u64>()), 0..5);
    (sizes, any::<bool>()).prop_map(move |(mut sizes, uniform)| {
        if uniform && let Some(&first) = sizes.first() {
            sizes.fill(first);
        }
        let architecture = &MODELS[model].config().architecture;
        let grid = |(width, height, seed): (u32, u32, u64), stride: usize| {
            let padded = |side: u32| (side as usize).next_multiple_of(architecture.stride()) / stride;
            let (height, width) = (padded(height), padded(width));
            let code = |i| (seed.wrapping_add(i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as u32;
            CodeGrid { height, width, codes: (0..height * width).map(code).collect() }
        };
        let image = |size: (u32, u32, u64)| ImageCodes {
            width: size.0,
            height: size.1,
            levels: architecture.levels().iter().map(|level| grid(size, level.stride)).collect(),
        };
        sizes.into_iter().map(image).collect()
    })
}

/// Cuts a file and flips bits of what is left.
fn damage(bytes: &mut Vec<u8>, cut: Option<prop::sample::Index>, flips: &[(prop::sample::Index, u8)]) {
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    for (at, value) in flips {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn codes_files_give_back_what_was_written(
        (which, images) in (0usize..MODELS.len()).prop_flat_map(|m| (Just(m), codes(m))),
        compressed in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.safetensors");
        let names = (0..images.len()).map(|i| format!("ä/{i}\"\\.png")).collect();
        let file = CodesFile::new(&MODELS[which], "any", names, images).unwrap();
        let packing = if compressed { Packing::Compressed } else { Packing::Plain };
        file.write(&path, packing).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = CodesFile::from_bytes(bytes.clone(), &path).unwrap();
        prop_assert_eq!(&read, &file);
        read.check(&MODELS[which], &path).unwrap();
        prop_assert!(read.check(&MODELS[(which + 1) % MODELS.len()], &path).is_err());
        // The bytes depend on nothing else.
        let packing = if compressed { Packing::Compressed } else { Packing::Plain };
        file.write(&path, packing).unwrap();
        prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn damaged_codes_files_are_refused_or_sound(
        images in codes(0),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        truncate in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.safetensors");
        let names = (0..images.len()).map(|i| i.to_string()).collect();
        CodesFile::new(&MODELS[0], "any", names, images).unwrap().write(&path, Packing::Plain).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes, truncate.then_some(cut), &flips);
        if let Ok(read) = CodesFile::from_bytes(bytes, &path) && read.check(&MODELS[0], &path).is_ok() {
            let decoded = MODELS[0].decode_images(&read.images).unwrap();
            for (picture, codes) in decoded.iter().zip(&read.images) {
                prop_assert_eq!(picture.dimensions(), (codes.width, codes.height));
            }
        }
    }

    #[test]
    fn any_size_is_padded_encoded_and_cropped_back(width in 1u32..70, height in 1u32..70, which in 0usize..MODELS.len()) {
        let model = &MODELS[which];
        let picture = picture(width, height, 0);
        let codes = model.encode_images(std::slice::from_ref(&picture)).unwrap();
        prop_assert_eq!((codes[0].width, codes[0].height), (width, height));
        for (level, grid) in model.config().architecture.levels().iter().zip(&codes[0].levels) {
            let stride = model.stride();
            let padded = [height, width].map(|side| (side as usize).next_multiple_of(stride) / level.stride);
            prop_assert_eq!([grid.height, grid.width], padded);
            prop_assert!(grid.codes.iter().all(|&code| (code as usize) < CODES));
        }
        prop_assert_eq!(model.decode_images(&codes).unwrap()[0].dimensions(), (width, height));
        // Padding repeats the edge: a picture that has been padded so already has the same codes.
        let [w, h] = [width, height].map(|side| side.next_multiple_of(model.stride() as u32));
        let padded = RgbImage::from_fn(w, h, |x, y| *picture.get_pixel(x.min(width - 1), y.min(height - 1)));
        prop_assert_eq!(&model.encode_images(&[padded]).unwrap()[0].levels, &codes[0].levels);
    }

    #[test]
    fn checkpoints_give_back_what_was_written_and_damaged_ones_do_no_harm(
        which in 0usize..2,
        seed in any::<u64>(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        of_config in any::<bool>(),
        truncate in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let written = Model::init(MODELS[which].config(), seed, &Compute::cpu()).unwrap();
        written.save(folder.path(), DType::F32).unwrap();
        let read = Model::load(folder.path(), &Compute::cpu()).unwrap();
        prop_assert_eq!(read.fingerprint().unwrap(), written.fingerprint().unwrap());
        for (name, tensor) in written.state().unwrap() {
            let values = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            prop_assert_eq!(values(&read.state().unwrap()[&name]), values(&tensor), "{}", name);
        }
        let path = folder.path().join(if of_config { "config.json" } else { "model.safetensors" });
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes, truncate.then_some(cut), &flips);
        std::fs::write(&path, bytes).unwrap();
        // Refused, or a model of finite weights.
        if let Ok(model) = Model::load(folder.path(), &Compute::cpu()) {
            for tensor in model.state().unwrap().values() {
                let sum = tensor.to_dtype(DType::F64).unwrap().abs().unwrap().sum_all().unwrap();
                prop_assert!(sum.to_scalar::<f64>().unwrap().is_finite());
            }
            model.encode_images(&[picture(9, 5, 1)]).unwrap();
        }
    }

    #[test]
    fn damaged_recipes_are_refused_or_in_bounds(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        set in "[a-z_.]{0,12}=[-a-z0-9.\\[\\]\"{}]{0,12}",
    ) {
        let recipe = Recipe::find("cifar10", &[]).unwrap();
        let mut text = recipe.to_toml().into_bytes();
        for (at, value) in flips {
            let at = at.index(text.len());
            text[at] ^= value;
        }
        let _ = Recipe::parse(&String::from_utf8_lossy(&text), "damaged", &[]);
        if let Ok(changed) = Recipe::find("cifar10", &[set]) {
            prop_assert_eq!(Recipe::parse(&changed.to_toml(), "again", &[]).unwrap(), changed);
        }
    }
}

#[test]
fn a_model_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Model>();
    shared::<CodesFile>();
    shared::<Recipe>();
    shared::<Optimizer>();
    shared::<pth::PthFile>();
    sent::<Trainer>();

    for model in MODELS.iter() {
        let pictures: Vec<RgbImage> = (0..24).map(|seed| picture(40 + seed % 5, 30, seed)).collect();
        let expected = model.encode_images(&pictures).unwrap();
        let decoded = model.decode_images(&expected).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4usize {
                let (pictures, expected, decoded) = (&pictures, &expected, &decoded);
                scope.spawn(move || {
                    // Each in an order of its own.
                    for i in (0..pictures.len()).map(|i| (i * 7 + thread * 5) % pictures.len()) {
                        let codes = model.encode_images(&pictures[i..=i]).unwrap();
                        assert_eq!(codes[0], expected[i]);
                        assert!(model.decode_images(&codes).unwrap()[0] == decoded[i], "picture {i}");
                    }
                });
            }
        });
    }
}

/// `cargo test --release -p ksom-vqvae --test properties -- --ignored --nocapture throughput`
#[test]
#[ignore = "measures"]
fn throughput_does_not_collapse_with_more_threads() {
    let model = Model::builtin("cifar10-ksom", &Compute::cpu()).unwrap();
    for (side, count) in [(32, 2048u32), (512, 24)] {
        let pictures: Vec<RgbImage> = (0..count).map(|seed| picture(side, side, seed)).collect();
        let mut alone = 0.0;
        for threads in [1, 2, 4, 8, 16] {
            let encode = &|first: usize| {
                for picture in pictures.iter().skip(first).step_by(threads) {
                    model.encode_images(std::slice::from_ref(picture)).unwrap();
                }
            };
            let seconds = (0..3).map(|_| {
                let started = std::time::Instant::now();
                std::thread::scope(|scope| (0..threads).for_each(|first| drop(scope.spawn(move || encode(first)))));
                started.elapsed().as_secs_f64()
            });
            let rate = f64::from(count) / seconds.fold(f64::INFINITY, f64::min);
            eprintln!("{side}×{side}, {threads} threads that encode: {rate:.1} pictures/s in all");
            alone = if threads == 1 { rate } else { alone };
            assert!(rate > 0.5 * alone, "{threads} threads do {rate:.1} pictures/s, one does {alone:.1}");
        }
    }
}
