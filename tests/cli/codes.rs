//! encode, decode, reconstruct.

use crate::support::{Workspace, picture, pixels};

/// Encoding and decoding gives what reconstructing gives, pixel for pixel.
fn decoding_equals_reconstructing(space: &Workspace, inputs: &[String], model: &[&str]) {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    space.ok(&[&["encode", "-o", "new/codes.safetensors"], model, &inputs].concat());
    space.ok(&[&["decode", "new/codes.safetensors", "-o", "new/decoded"], model].concat());
    space.ok(&[&["reconstruct", "-o", "new/reconstructed/"], model, &inputs].concat());
    for input in inputs {
        let original = pixels(&space.path(input));
        let name = std::path::Path::new(input).with_extension("png");
        let decoded = pixels(&space.path("new/decoded").join(&name));
        assert_eq!(decoded.dimensions(), original.dimensions());
        assert!(decoded == pixels(&space.path("new/reconstructed").join(&name)), "{input}");
    }
}

#[test]
fn decoded_codes_equal_the_reconstruction_at_any_size() {
    let space = Workspace::new();
    space.train("run", 0);
    let mut inputs: Vec<String> = [(1, 1), (31, 17), (640, 427), (32, 32)]
        .iter()
        .map(|&(width, height)| space.picture(&format!("p{width}x{height}.png"), width, height, width))
        .collect();
    let gray = image::DynamicImage::ImageRgb8(picture(45, 30, 9)).into_luma8();
    gray.save(space.path("gray.png")).unwrap();
    inputs.push("gray.png".to_string());
    decoding_equals_reconstructing(&space, &inputs, &["--model", "run"]);
}

#[test]
fn decoded_codes_of_the_built_in_model_equal_its_reconstruction() {
    let space = Workspace::new();
    let inputs = [space.picture("a.png", 31, 17, 1), space.picture("b.bmp", 64, 40, 2)];
    decoding_equals_reconstructing(&space, &inputs, &[]);
}

#[test]
fn codes_of_another_model_are_refused() {
    let space = Workspace::new();
    space.train("one", 1);
    space.train("two", 2);
    let input = space.picture("a.png", 20, 12, 0);
    space.ok(&["encode", &input, "-o", "codes.safetensors", "--model", "one"]);
    let error = space.fails(&["decode", "codes.safetensors", "-o", "out", "--model", "two"]);
    assert!(error.contains("another model (one") && error.contains("fingerprint"), "{error}");
    assert!(!space.path("out").exists());
    space.ok(&["decode", "codes.safetensors", "-o", "out", "--model", "one"]);
}

#[test]
fn folders_and_patterns_keep_apart_pictures_of_one_name() {
    let space = Workspace::new();
    space.picture("photos/a/x.png", 16, 16, 1);
    space.picture("photos/b/x.png", 16, 16, 2);
    space.picture("photos/y.png", 8, 8, 3);
    std::fs::write(space.path("photos/notes.txt"), "no picture").unwrap();
    let report = space.json(&["encode", "photos", "-o", "codes.safetensors"]);
    assert_eq!(report["pictures"], 3);
    let report = space.json(&["decode", "codes.safetensors", "-o", "out"]);
    let names: Vec<_> = report["pictures"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a/x.png", "b/x.png", "y.png"]);
    for name in names {
        assert!(space.path("out").join(name).is_file(), "{name}");
    }
    let report = space.json(&["reconstruct", "photos/*/x.png", "-o", "again"]);
    assert_eq!(report["pictures"].as_array().unwrap().len(), 2);
}

#[test]
fn pictures_side_by_side() {
    let space = Workspace::new();
    let input = space.picture("a.png", 33, 20, 4);
    space.ok(&["reconstruct", &input, "-o", "plain.png"]);
    let report = space.json(&["reconstruct", &input, "-o", "both.png", "--side-by-side"]);
    let (original, plain) = (picture(33, 20, 4), pixels(&space.path("plain.png")));
    let both = pixels(&space.path("both.png"));
    let gap = both.width() - 2 * 33;
    assert!((1..=8).contains(&gap) && both.height() == 20);
    let part = |x| image::imageops::crop_imm(&both, x, 0, 33, 20).to_image();
    assert!(part(0) == original && part(33 + gap) == plain);

    // The measures are those of the reconstruction.
    let squares = original.as_raw().iter().zip(plain.as_raw()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mse = squares.sum::<f64>() / original.as_raw().len() as f64;
    let measured = &report["pictures"][0];
    assert!((measured["mse"].as_f64().unwrap() - mse).abs() < 1e-6 * mse);
    let psnr = 10.0 * (255.0 * 255.0 / mse).log10();
    assert!((measured["psnr"].as_f64().unwrap() - psnr).abs() < 1e-6);
    assert!((-1.0..1.0).contains(&measured["ssim"].as_f64().unwrap()));
    assert!(measured["bits_per_pixel"].as_f64().unwrap() > 0.0);
}

#[test]
fn candles_own_operations_reconstruct_alike() {
    let space = Workspace::new();
    let input = space.picture("a.png", 40, 28, 4);
    let mse = |extra: &[&str]| {
        let report = space.json(&[&["reconstruct", &input, "-o", "out.png", "--device", "cpu"], extra].concat());
        report["mean"]["mse"].as_f64().unwrap()
    };
    let fast = mse(&[]);
    assert!((mse(&["--portable"]) - fast).abs() < 1e-2 * fast);
    assert!((mse(&["--dtype", "f16"]) - fast).abs() < 1e-1 * fast);
}
