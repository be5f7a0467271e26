//! Pictures of models: map, usage, shifted codes, neighborhoods, curves.

use crate::support::{TINY, Workspace, pixels};

fn assert_svg(space: &Workspace, name: &str, width: u32, height: u32) -> String {
    let text = std::fs::read_to_string(space.path(name)).unwrap();
    assert!(text.starts_with(&format!("<svg width=\"{width}\" height=\"{height}\"")), "{}", &text[..100]);
    assert!(text.trim_end().ends_with("</svg>"));
    text
}

#[test]
fn maps_and_usage_have_a_cell_for_each_code() {
    let space = Workspace::new();
    space.train("run", 0);
    // 4 × 4 codes of 2 × 2 steps of stride 4.
    let report = space.json(&["map", "run", "-o", "map.png", "--enlarge", "1"]);
    assert_eq!((&report["cell"], &report["fixed"]), (&8.into(), &serde_json::Value::Null));
    assert_eq!((&report["width"], &report["height"]), (&32.into(), &32.into()));
    // The map is the last thing on a labelled picture; what it shows is the same at any scale.
    let at = |report: &serde_json::Value, side: &str| report[side].as_u64().unwrap() as u32;
    let map = pixels(&space.path("map.png"));
    assert_eq!(map.height(), at(&report, "top") + 32 + 8);
    let large = space.json(&["map", "run", "-o", "large.png", "--enlarge", "3"]);
    let pixel = |x: u32, y: u32| *map.get_pixel(at(&report, "left") + x, at(&report, "top") + y);
    let enlarged = pixels(&space.path("large.png"));
    for (x, y) in [(0, 0), (31, 0), (13, 30), (31, 31)] {
        assert_eq!(pixel(x, y), *enlarged.get_pixel(at(&large, "left") + 3 * x + 1, at(&large, "top") + 3 * y + 1));
    }
    let ink = map.enumerate_pixels().filter(|(_, y, pixel)| *y < at(&report, "top") && pixel.0[0] < 100).count();
    assert!(ink > 100, "{ink}");
    let report = space.json(&["usage", "run", "--data", "data", "-o", "new/usage.png", "--cell", "5"]);
    let usage = pixels(&space.path("new/usage.png"));
    assert!(usage.width() > 20 && usage.height() > 20);
    // Never used, and used most: both on the grid.
    let shown = |color: [u8; 3]| usage.pixels().any(|pixel| pixel.0 == color);
    assert!(shown([190; 3]) && shown([50, 0, 30]));
    let counts = report["levels"][0]["counts"].as_array().unwrap();
    assert_eq!(counts.len(), 16);
    assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 10 * 64);
    for args in [&["map", "run", "-o", "map.svg"][..], &["map", "run", "-o", "x.png", "--level", "top"]] {
        assert_eq!(space.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn a_level_of_two_is_shown_at_a_code_of_the_other() {
    let space = Workspace::new();
    let args = [&["train", "--data", space.data(5), "--out", "run", "--steps", "2"], &TINY[..]].concat();
    space.ok(&[&args[..], &["--set", "architecture.kind=vqvae2"]].concat());
    // The finer one, unless the other is asked for.
    assert_eq!(space.json(&["map", "run", "-o", "map.png"])["level"], "codes_bottom");
    let report = space.json(&["map", "run", "-o", "top.png", "--enlarge", "1", "--level", "top"]);
    assert_eq!((&report["level"], &report["width"]), (&"codes_top".into(), &64.into()));
    assert!(report["fixed"].is_number());
    let report = space.json(&["map", "run", "-o", "bottom.png", "--level", "bottom", "--fixed", "3"]);
    assert_eq!(
        (&report["level"], &report["fixed"], &report["width"]),
        (&"codes_bottom".into(), &3.into(), &128.into())
    );
    let error = space.fails(&["map", "run", "-o", "bottom.png", "--level", "bottom", "--fixed", "16"]);
    assert!(error.contains("below 16, found 16"), "{error}");
    space.ok(&["usage", "run", "--data", "data", "-o", "usage.png", "--cell", "2"]);
    // Two levels beside each other, with room for what they are called.
    assert!(pixels(&space.path("usage.png")).width() > 2 * 100);
}

#[test]
fn shifted_codes_are_shown_and_measured() {
    let space = Workspace::new();
    space.train("one", 0);
    let line = ["train", "--data", "data", "--out", "two", "--steps", "3", "--set", "grid=[16]"];
    space.ok(&[&line[..], &TINY].concat());
    for seed in 0..5 {
        space.picture(&format!("p/{seed}.png"), 32, 16, seed);
    }
    let report = space.json(&["perturb", "one", "p", "--with", "two", "-k", "2", "-o", "out.png"]);
    // The first 4 of 5 pictures, each with two rows of the first model's axes and one of the other's.
    let sheet = pixels(&space.path("out.png"));
    assert_eq!(sheet.width(), 6 * 128 + 7 * 8);
    assert!(sheet.height() > 12 * 64);
    assert_eq!(report["pictures"], 5);
    let [one, two] = &report["models"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((one["errors"].as_array().unwrap().len(), two["errors"].as_array().unwrap().len()), (10, 5));
    let error_at = |at: usize| one["errors"][at]["mse"].as_f64().unwrap();
    assert_eq!(error_at(2), error_at(7), "without an offset the axis makes no difference");
    let reconstructed = space.json(&["reconstruct", "p", "-o", "out", "--model", "one"]);
    let expected = reconstructed["mean"]["mse"].as_f64().unwrap();
    assert!((error_at(2) - expected).abs() < 1e-9 * expected);
    let times = |at: usize| one["errors"][at]["times"].as_f64().unwrap();
    assert_eq!(times(2), 1.0);
    assert!((times(3) - error_at(3) / error_at(2)).abs() < 1e-12);
    let error = space.fails(&["perturb", "one", "p/0.png", "-o", "p/0.png"]);
    assert!(error.contains("one of the files to read"), "{error}");
    assert_eq!(space.run(&["perturb", "one", "p/0.png", "-k", "0", "-o", "x.png"]).code, 2);
}

#[test]
fn neighborhoods_are_drawn_for_recipes_and_models() {
    let space = Workspace::new();
    space.ok(&["neighborhood", "-o", "shapes.svg", "--set", "shrink_step=0.5", "--steps", "0,7"]);
    let text = assert_svg(&space, "shapes.svg", 960, 840);
    assert!(text.contains("step 7") && text.contains("0.5"));
    space.ok(&["neighborhood", "--model", "cifar10-ksom", "-o", "shapes.png"]);
    // 32 × 16 codes of 8 pixels at four steps, two kinds, and their labels.
    let shapes = pixels(&space.path("shapes.png"));
    assert_eq!(shapes.width(), 4 * 256 + 5 * 8);
    assert!(shapes.height() > 2 * 128);
    assert!(space.fails(&["neighborhood", "--recipe", "none", "-o", "x.svg"]).contains("\"none\""));
    assert_eq!(space.run(&["neighborhood", "-o", "x.txt"]).code, 2);
}

#[test]
fn curves_of_trainings_are_drawn() {
    let space = Workspace::new();
    space.train("one", 0);
    space.train("two", 1);
    space.ok(&["plot", "one", "two", "-o", "curves.svg"]);
    let text = assert_svg(&space, "curves.svg", 960, 3 * 420);
    assert!(["Training loss", "Validation loss", "Perplexity", "two"].iter().all(|title| text.contains(title)));
    let error = space.fails(&["plot", "one", "nowhere", "-o", "curves.svg"]);
    assert!(error.contains("nowhere") && error.contains("metrics.jsonl"), "{error}");
    std::fs::write(space.path("two/metrics.jsonl"), "{\"kind\":\"train\"}\n").unwrap();
    let error = space.fails(&["plot", "two", "-o", "curves.svg"]);
    assert!(error.contains("line 1"), "{error}");
    space.ok(&["plot", "one", "-o", "curves.png"]);
    let curves = pixels(&space.path("curves.png"));
    assert_eq!(curves.dimensions(), (960, 3 * 420));
    assert!(curves.pixels().filter(|pixel| pixel.0 == [0, 114, 178]).count() > 100);
    assert_eq!(space.run(&["plot", "one", "-o", "curves.txt"]).code, 2);
}

#[test]
fn pictures_are_compared_in_aligned_rows_at_the_scale_that_is_asked_for() {
    let space = Workspace::new();
    space.train("one", 0);
    space.picture("p/a.png", 300, 200, 1);
    space.picture("p/b.png", 40, 60, 2);
    let sheet = |more: &[&str]| {
        space.ok(&[&["compare", "p", "--model", "one", "-o", "out.png"][..], more].concat());
        pixels(&space.path("out.png"))
    };
    // Columns are as wide as their widest picture or label: 256 brought to size, or what was asked for.
    assert_eq!(sheet(&[]).width(), 2 * 256 + 3 * 8);
    let full = sheet(&["--full-size"]);
    assert_eq!(full.width(), 2 * 300 + 3 * 8);
    assert!(full.height() > 200 + 60);
    let closely = sheet(&["--crop", "250x50"]);
    assert_eq!(closely.width(), 2 * 250 + 3 * 8);
    // The original is there pixel by pixel, at its column's left edge.
    let original = pixels(&space.path("p/a.png"));
    let row = |y: u32| (0..250).all(|x| closely.get_pixel(8 + x, y) == original.get_pixel(25 + x, 75));
    assert!((0..closely.height()).any(row));
    assert_eq!(space.run(&["compare", "p", "-o", "x.png", "--crop", "3x3", "--full-size"]).code, 2);
}
