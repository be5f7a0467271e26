//! What JavaScript calls, called from Rust.

use std::path::{Path, PathBuf};

use ksom_vqvae::codes::Packing;
use ksom_vqvae::ksom_datasets::{DecodeOptions, decode_image};
use ksom_vqvae::{CodesFile, Compute, Model as Network};
use ksom_web::codes::Codes;
use ksom_web::failure::Failure;
use ksom_web::model::Model;
use ksom_web::picture::{MAX_PIXELS, Picture};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(workspace().join(path)).unwrap()
}

fn model(name: &str) -> Model {
    let file = |file: &str| read(&format!("models/{name}/{file}"));
    Model::load(&file("config.json"), file("model.safetensors"), name.to_string()).unwrap()
}

fn encoded(model: &Model, example: &str) -> (Picture, Codes) {
    let picture = Picture::decode(&read(&format!("examples/images/{example}")), Some(example.to_string())).unwrap();
    let codes = model.encode_with(&picture, &mut |_, _| ()).unwrap();
    (picture, codes)
}

fn kind<T>(result: Result<T, Failure>) -> &'static str {
    result.err().map_or("no error", |failure| failure.kind)
}

#[test]
fn files_are_those_that_the_library_writes() {
    for name in ["cifar10-ksom", "photos-ksom-vqvae2"] {
        let model = model(name);
        let (_, codes) = encoded(&model, "coffee.png");
        let network = Network::load(workspace().join("models").join(name), &Compute::cpu()).unwrap();
        let path = workspace().join("examples/images/coffee.png");
        let pixels = decode_image(path, &DecodeOptions::default()).unwrap();
        let images = network.encode_images(&[pixels]).unwrap();
        let file = CodesFile::new(&network, name, vec!["coffee.png".to_string()], images).unwrap();
        assert_eq!(codes.safetensors().unwrap(), file.to_bytes(Packing::Plain).unwrap());

        let folder = std::env::temp_dir().join(format!("ksom-web-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        file.write(&folder.join("codes.safetensors"), Packing::Plain).unwrap();
        assert_eq!(codes.safetensors().unwrap(), std::fs::read(folder.join("codes.safetensors")).unwrap());
        for (level, path) in file.write_npy(&folder.join("codes.npy"), true).unwrap().iter().enumerate() {
            assert_eq!(codes.npy(level).unwrap(), std::fs::read(path).unwrap());
        }
        std::fs::remove_dir_all(&folder).unwrap();

        assert_eq!(model.fingerprint(), network.fingerprint().unwrap());
        let all: Vec<u8> =
            (0..codes.levels().len()).flat_map(|level| codes.get(level).unwrap()).flat_map(u32::to_le_bytes).collect();
        assert_eq!(codes.sha256(), ksom_vqvae::system::sha256(&all));
    }
}

#[test]
fn codes_are_painted_and_moved() {
    let model = model("cifar10-ksom");
    let (picture, mut codes) = encoded(&model, "chelsea.png");
    let (width, height) = (codes.width(0).unwrap(), codes.height(0).unwrap());
    assert_eq!((width, height), (picture.width().div_ceil(4) as usize, picture.height().div_ceil(4) as usize));
    let before = codes.copy();

    codes.paint(0, 5, 7, 100).unwrap();
    assert_eq!(codes.get(0).unwrap()[7 * width + 5], 100);
    let differ = before.get(0).unwrap().iter().zip(codes.get(0).unwrap()).filter(|(a, b)| **a != *b).count();
    assert!(differ <= 1);
    assert_eq!(kind(codes.paint(0, width, 0, 1)), "Codes");
    assert_eq!(kind(codes.paint(0, 0, height, 1)), "Codes");
    assert_eq!(kind(codes.paint(0, 0, 0, 512)), "Codes");
    assert_eq!(kind(codes.paint(1, 0, 0, 0)), "Invalid");

    // On a grid of 32 × 16 code 100 lies at (4, 3).
    let shifted = codes.shift(0, 0, 2).unwrap();
    assert_eq!((shifted.get(0).unwrap()[7 * width + 5], codes.get(0).unwrap()[7 * width + 5]), (102, 100));
    codes.shift_region(0, 5, 7, 6, 8, 1, -9).unwrap();
    assert_eq!(codes.get(0).unwrap()[7 * width + 5], 4);
    assert_eq!(kind(codes.shift(0, 2, 1)), "Invalid");

    assert_eq!(kind(codes.set(0, vec![0; 3])), "Codes");
    assert_eq!(kind(codes.set(0, vec![512; width * height])), "Codes");
    codes.set(0, before.get(0).unwrap()).unwrap();
    assert_eq!(codes.sha256(), before.sha256());
}

#[test]
fn pictures_come_back() {
    let model = model("photos-ksom-vqvae2");
    let (picture, codes) = encoded(&model, "chelsea.png");
    let mut told = Vec::new();
    let decoded = model.decode_with(&codes, &mut |done, total| told.push((done, total))).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (picture.width(), picture.height()));
    assert_eq!(told, [(1, 1)]);
    assert!(decoded.psnr(&picture).unwrap() > 20.0);
    assert_eq!(picture.mse(&picture), Ok(0.0));
    let part = model.decode_region(&codes, 100, 50, 30, 20).unwrap();
    assert_eq!((part.width(), part.height()), (30, 20));
    let (whole, part) = (decoded.rgba(), part.rgba());
    for (i, value) in part.iter().enumerate() {
        let (x, y, channel) = (100 + i / 4 % 30, 50 + i / 4 / 30, i % 4);
        assert!(value.abs_diff(whole[4 * (y * picture.width() as usize + x) + channel]) <= 1);
    }
    assert_eq!(kind(model.decode_region(&codes, picture.width(), 0, 1, 1)), "Invalid");

    let again = Picture::decode(&decoded.png().unwrap(), None).unwrap();
    assert_eq!(again.mse(&decoded), Ok(0.0));
    let again = Picture::from_rgba(&decoded.rgba(), decoded.width(), decoded.height()).unwrap();
    assert_eq!(again.mse(&decoded), Ok(0.0));
    // A quarter of 32 bits in one level, a sixteenth of them in the other.
    assert!((model.bits_per_pixel(&codes) - 9.0 / 16.0 * 1.25).abs() < 0.02);

    let other = self::model("cifar10-ksom");
    let error = other.decode_with(&codes, &mut |_, _| ()).err().unwrap();
    assert_eq!(error.kind, "WrongModel");
    assert!(error.message.contains("photos-ksom-vqvae2") && error.message.contains("cifar10-ksom"), "{error}");
}

#[test]
fn the_map_has_a_place_for_each_code() {
    for (name, levels) in [("cifar10-ema", 1), ("photos-ksom-vqvae2", 2)] {
        let model = model(name);
        let json: serde_json::Value = serde_json::from_str(&model.levels_json()).unwrap();
        assert_eq!(json.as_array().unwrap().len(), levels);
        assert_eq!(json[0]["downsample"], if levels == 2 { 8 } else { 4 });
        assert_eq!(json[0]["quantizer"], if levels == 2 { "KSOM, gaussian neighborhood" } else { "EMA-VQ" });
        for level in 0..levels {
            let (map, cell) = (model.code_picture(level, None).unwrap(), model.cell_size(level).unwrap());
            let places = model.places(level).unwrap();
            let distances = model.distances(level).unwrap();
            assert_eq!((places.len(), distances.len()), (2 * 512, 512));
            assert!(places.chunks(2).all(|place| place[0] + cell <= map.width() && place[1] + cell <= map.height()));
            assert!(distances.iter().all(|&distance| distance > 0.0));
        }
        assert_eq!(kind(model.code_picture(levels, None)), "Invalid");
        assert_eq!(kind(model.distances(levels)), "Invalid");
        assert_eq!(kind(model.places(levels)), "Invalid");
    }
}

#[test]
fn what_is_wrong_is_said_by_kind() {
    let (config, weights) = (read("models/cifar10-ksom/config.json"), read("models/cifar10-ksom/model.safetensors"));
    let load = |config: &[u8], weights: &[u8]| Model::load(config, weights.to_vec(), "mine".to_string()).err().unwrap();
    let error = load(b"{", &weights);
    assert!(error.kind == "Config" && error.message.starts_with("mine/config.json: "), "{error}");
    assert_eq!(load(&[0xFF; 9], &weights).kind, "Config");
    assert_eq!(load(&vec![b' '; 2 << 20], &weights).kind, "Config");
    let error = load(&config, &weights[..1000]);
    assert!(error.kind == "Weights" && error.message.starts_with("mine/model.safetensors: "), "{error}");
    let other = String::from_utf8(config.clone()).unwrap().replace("\"hidden\": 128", "\"hidden\": 64");
    assert!(other.contains("64"));
    assert_eq!(load(other.as_bytes(), &weights).kind, "Weights");

    let error = Picture::decode(b"no picture", Some("a.jpg".to_string())).err().unwrap();
    assert!(error.kind == "Picture" && error.message.contains("a.jpg"), "{error}");
    assert_eq!(kind(Picture::from_rgba(&[0; 8], 1, 1)), "Picture");
    assert_eq!(kind(Picture::from_rgba(&[], 0, 5)), "Picture");
    assert_eq!(kind(Picture::from_rgba(&[], u32::MAX, u32::MAX)), "Picture");
    // The head of a BMP that claims more pixels than are read.
    let mut huge = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    let side = (MAX_PIXELS as f64).sqrt() as i32 + 10;
    huge.extend([side.to_le_bytes(), side.to_le_bytes()].concat());
    huge.extend(b"\x01\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let error = Picture::decode(&huge, None).err().unwrap();
    assert!(error.message.contains("50000000") || error.message.contains("50,000,000"), "{error}");
}
