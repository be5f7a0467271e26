//! Numbers at their limits: pictures of one color, the smallest sizes, a learning rate that ruins the model.

use image::{Rgb, RgbImage};

use crate::support::{TINY, Workspace, pixels};

/// The bytes of every tensor in a safetensors file hold finite f32 numbers.
fn assert_finite(space: &Workspace, file: &str) {
    let bytes = std::fs::read(space.path(file)).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let values = bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    assert!(values.into_iter().all(f32::is_finite), "{file}");
}

/// Trains a tiny model with some settings changed, encodes pictures with it and decodes them.
fn trains_and_encodes(space: &Workspace, run: &str, data: &str, set: &[&str]) {
    let set: Vec<&str> = set.iter().flat_map(|entry| ["--set", entry]).collect();
    let args = [&["train", "--data", data, "--out", run, "--steps", "4"], &TINY[..], &set].concat();
    space.ok(&args);
    assert_finite(space, &format!("{run}/model.safetensors"));
    let (codes, out) = (format!("{run}.codes.safetensors"), format!("{run}.decoded"));
    space.ok(&["encode", data, "-o", &codes, "--model", run]);
    space.ok(&["decode", &codes, "-o", &out, "--model", run]);
    space.ok(&["eval", "--data", data, "--model", run]);
    space.ok(&["info", run]);
}

#[test]
fn pictures_of_one_color() {
    let space = Workspace::new();
    std::fs::create_dir(space.path("mixed")).unwrap();
    for (name, color) in [("black", [0; 3]), ("white", [255; 3]), ("red", [255, 0, 0])] {
        let picture = RgbImage::from_pixel(32, 32, Rgb(color));
        std::fs::create_dir(space.path(name)).unwrap();
        for number in 0..6 {
            picture.save(space.path(name).join(format!("{number}.png"))).unwrap();
        }
        picture.save(space.path("mixed").join(format!("{name}.png"))).unwrap();
        // Measured on these pictures alone, the deviation is 0.
        trains_and_encodes(&space, &format!("{name}-run"), name, &[]);
    }
    // The built-in model, on sizes from a single pixel.
    for (width, height) in [(1, 1), (1, 70), (3, 2)] {
        RgbImage::new(width, height).save(space.path("mixed").join(format!("{width}x{height}.png"))).unwrap();
    }
    space.ok(&["reconstruct", "mixed", "-o", "out"]);
    assert_eq!(pixels(&space.path("out/1x70.png")).dimensions(), (1, 70));
    let black = pixels(&space.path("out/black.png"));
    assert!(black.as_raw().iter().all(|&value| value < 40), "black stays dark");
}

#[test]
fn the_smallest_models() {
    let space = Workspace::new();
    let data = space.data(6);
    for (run, set) in [
        ("batch", &["batch_size=1"][..]),
        ("one-code", &["num_codes=1"]),
        ("one-value", &["dim=1"]),
        ("one-of-each", &["num_codes=1", "dim=1", "hidden=2", "residual_hidden=1", "residual_layers=0"]),
        ("row", &["grid=[1,16]"]),
        ("line", &["grid=[16]"]),
        ("gaussian", &["num_codes=1", "neighborhood=gaussian"]),
        ("gradient", &["num_codes=1", "dim=1", "quantizer.kind=gd_som"]),
        ("two-levels", &["architecture.kind=vqvae2", "num_codes=1", "dim=1"]),
    ] {
        trains_and_encodes(&space, run, data, set);
    }
}

#[test]
fn codes_that_are_never_used_stay_finite() {
    let space = Workspace::new();
    let data = space.data(6);
    for counter in ["0", "1"] {
        for skip in ["false", "true"] {
            let run = format!("run-{counter}-{skip}");
            // Far more codes than a batch of four pictures has places, and no neighbors to pull them along.
            let (counter, skip) = (format!("counter_init={counter}"), format!("skip_unused={skip}"));
            let set = ["num_codes=2048", "neighborhood=none", &counter, &skip, "decay=0.5"];
            trains_and_encodes(&space, &run, data, &set);
        }
    }
}

#[test]
fn a_learning_rate_that_ruins_the_model_leaves_the_last_good_one() {
    let space = Workspace::new();
    let data = space.data(12);
    for (run, lr) in [("high", "1"), ("absurd", "1e6")] {
        let lr = format!("lr={lr}");
        let args =
            ["train", "--data", data, "--out", run, "--steps", "1000", "--set", &lr, "--set", "checkpoint_every=20"];
        let finished = space.run(&[&args[..], &TINY, &["--set", "validate_every=25"]].concat());
        // Either the numbers stay finite to the end, or the error names what did not and what is left.
        if finished.code != 0 {
            assert_eq!(finished.code, 1, "{}", finished.stderr);
            let says = ["not a finite number", "last good checkpoint", "training.safetensors", "smaller learning rate"];
            assert!(says.iter().all(|text| finished.stderr.contains(text)), "{}", finished.stderr);
        }
        for file in ["model.safetensors", "training.safetensors"] {
            assert_finite(&space, &format!("{run}/{file}"));
        }
        space.ok(&["info", run]);
    }
}
