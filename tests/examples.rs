//! Every example does what it says.

#[path = "../examples/encode_folder.rs"]
mod encode_folder;
#[path = "../examples/encode_image.rs"]
mod encode_image;
#[path = "../examples/finetune.rs"]
mod finetune;
#[path = "../examples/quantize_tensors.rs"]
mod quantize_tensors;
#[path = "../examples/shift_codes.rs"]
mod shift_codes;
#[path = "../examples/train_tiny.rs"]
mod train_tiny;
#[path = "../examples/training_loop.rs"]
mod training_loop;

use std::path::PathBuf;

fn images() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/images")
}

#[test]
fn quantize_tensors_learns_to_reconstruct() {
    let (first, last) = quantize_tensors::run().unwrap();
    assert!(last < first / 2.0, "{first} → {last}");
}

#[test]
fn encode_folder_writes_codes_of_all_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir_all(pictures.join("below")).unwrap();
    for name in ["a.png", "below/b.png"] {
        image::RgbImage::new(32, 32).save(pictures.join(name)).unwrap();
    }
    std::fs::write(pictures.join("broken.png"), "no picture").unwrap();
    std::fs::write(pictures.join("c.heic"), "another").unwrap();
    let output = folder.path().join("codes.safetensors");
    assert_eq!(encode_folder::run(&pictures, &output).unwrap(), 2);
    let file = ksom_vqvae::CodesFile::read(&output).unwrap();
    assert_eq!(file.names, ["a.png", "below/b.png"]);
    let model = ksom_vqvae::Model::builtin(ksom_vqvae::zoo::DEFAULT, &ksom_vqvae::Compute::cpu()).unwrap();
    let error = ksom_vqvae::CodesFile::new(&model, "any", vec!["a.png".into()], file.images).unwrap_err().to_string();
    assert!(error.contains("expected 2 pictures' names, found 1"), "{error}");
}

#[test]
fn encode_image_writes_a_picture_of_the_same_size() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.png");
    let input = images().join("chelsea.png");
    let psnr = encode_image::run(&input, &output).unwrap();
    assert!(psnr.is_finite());
    assert_eq!(image::image_dimensions(&output).unwrap(), image::image_dimensions(&input).unwrap());
}

#[test]
fn train_tiny_learns_and_leaves_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let summary = train_tiny::run(&images().display().to_string(), &run, 12).unwrap();
    assert_eq!(summary.steps, 12);
    assert!(summary.best.unwrap().mse.is_finite());
    ksom_vqvae::Model::load(&run, &ksom_vqvae::Compute::cpu()).unwrap();
}

#[test]
fn finetune_goes_on_from_the_built_in_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let (first, best) = finetune::run(&images().display().to_string(), &run, 3, 4).unwrap();
    assert!(best <= first);
    let tuned = ksom_vqvae::Model::load(&run, &ksom_vqvae::Compute::cpu()).unwrap();
    assert_eq!(tuned.config().provenance.base_model.as_deref(), Some("cifar10-ksom"));
}

#[test]
fn training_loop_learns_disks() {
    let (first, last) = training_loop::run(40).unwrap();
    assert!(last < first / 2.0, "{first} → {last}");
}

#[test]
fn shifted_codes_are_further_from_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let shifted =
        |offset| shift_codes::run(&images().join("rocket.jpg"), &folder.path().join("out.png"), offset).unwrap();
    let (still, moved) = (shifted(0), shifted(1));
    assert!(moved < still && moved > 10.0, "{still} dB, shifted by a cell {moved} dB");
}
