//! The files in `fuzz/seeds`, which are sound, nearly so, or once did harm: read as the fuzz targets read them.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

use ksom_vqvae::CodesFile;
use ksom_vqvae::codes::Packing;

fn seeds() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds")
}

#[test]
fn no_seed_does_harm() {
    for (name, target) in targets::TARGETS {
        let mut read = 0;
        for entry in std::fs::read_dir(seeds().join(name)).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            target(&bytes);
            // Cut short and with a byte changed, here and there.
            for at in (0..bytes.len()).step_by(bytes.len() / 8 + 1) {
                target(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 0x81;
                target(&changed);
            }
            read += 1;
        }
        assert!(read > 0, "{name} has no seeds");
    }
}

/// Writes those seeds that are our own files: run this after their format has changed.
#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let write = |target: &str, file: &str, bytes: &[u8]| {
        std::fs::create_dir_all(seeds().join(target)).unwrap();
        std::fs::write(seeds().join(target).join(file), bytes).unwrap();
    };
    let run = folder.path().join("run");
    let mut trainer = targets::start_training(&run);
    trainer.run(&mut |_| ksom_vqvae::Flow::Stop).unwrap();
    for (target, file) in [
        ("training", "training.safetensors"),
        ("checkpoint", "model.safetensors"),
        ("config", "config.json"),
        ("recipe", "recipe.toml"),
    ] {
        write(target, file, &std::fs::read(run.join(file)).unwrap());
    }
    let model = &*targets::CODES_MODEL;
    for (name, sizes) in [("one-size", [(8, 4), (8, 4)]), ("two-sizes", [(8, 4), (5, 9)])] {
        let pictures = sizes.map(|(width, height)| image::RgbImage::new(width, height));
        let codes = model.encode_images(&pictures).unwrap();
        let file = folder.path().join("codes.safetensors");
        let codes = CodesFile::new(model, "any", vec!["a.png".into(), "b.png".into()], codes).unwrap();
        for (packing, suffix) in [(Packing::Plain, ""), (Packing::Compressed, "-compressed")] {
            codes.write(&file, packing).unwrap();
            write("codes", &format!("{name}{suffix}"), &std::fs::read(&file).unwrap());
        }
        let array = folder.path().join("codes.npy");
        codes.write_npy(&array, true).unwrap();
        write("codes", &format!("{name}.npy"), &std::fs::read(&array).unwrap());
    }
}
