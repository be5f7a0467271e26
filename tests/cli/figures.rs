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
    assert_eq!(pixels(&space.path("map.png")).dimensions(), (32, 32));
    let report = space.json(&["usage", "run", "--data", "data", "-o", "new/usage.png", "--cell", "5"]);
    assert_eq!(pixels(&space.path("new/usage.png")).dimensions(), (20, 20));
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
    let report = space.json(&["map", "run", "-o", "top.png", "--enlarge", "1"]);
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
    // Two levels of 4 × 4 codes and a gap between them.
    assert_eq!(pixels(&space.path("usage.png")).dimensions(), (8 + 4 + 8, 8));
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
    assert_eq!(pixels(&space.path("out.png")).dimensions(), (6 * 128 + 5 * 4, 12 * 64 + 11 * 4));
    assert_eq!(report["pictures"], 5);
    let [one, two] = &report["models"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((one["errors"].as_array().unwrap().len(), two["errors"].as_array().unwrap().len()), (10, 5));
    let error_at = |at: usize| one["errors"][at]["mse"].as_f64().unwrap();
    assert_eq!(error_at(2), error_at(7), "without an offset the axis makes no difference");
    let reconstructed = space.json(&["reconstruct", "p", "-o", "out", "--model", "one"]);
    let expected = reconstructed["mean"]["mse"].as_f64().unwrap();
    assert!((error_at(2) - expected).abs() < 1e-9 * expected);
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
    // 32 × 16 codes of 8 pixels at four steps, two kinds.
    assert_eq!(pixels(&space.path("shapes.png")).dimensions(), (4 * 256 + 3 * 16, 2 * 128 + 16));
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
    assert_eq!(space.run(&["plot", "one", "-o", "curves.png"]).code, 2);
}
