//! Shards that several processes share out, and processes that are ended.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::shards::{report, shard, three_shards};
use crate::support::Workspace;

const MODEL: [&str; 2] = ["--model", "cifar10-ksom"];

/// The files of a folder but reports, whose seconds differ: their names and contents.
fn tokens(space: &Workspace, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(space.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_string();
    files
        .filter(|path| !name(path).ends_with(".json"))
        .map(|path| (name(&path), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn a_rerun_does_what_is_missing() {
    let space = Workspace::new();
    three_shards(&space);
    let args = [&["encode", "shards", "-o", "out"], &MODEL[..]].concat();
    space.ok(&args);
    let first = tokens(&space, "out");
    std::fs::remove_file(space.path("out/001.parquet")).unwrap();
    // What a process that was ended leaves behind.
    std::fs::write(space.path("out/.001.parquet.abc.part"), "half").unwrap();
    std::fs::write(space.path("out/.001.parquet.lock"), "").unwrap();
    let untouched = std::fs::metadata(space.path("out/000.parquet")).unwrap().modified().unwrap();
    let told = space.json(&args);
    assert_eq!((&told["made"], &told["there"]), (&json!(1), &json!(2)), "{told}");
    assert!(tokens(&space, "out").keys().eq(first.keys()), "something is left behind");
    assert!(tokens(&space, "out") == first, "tokens differ");
    assert_eq!(std::fs::metadata(space.path("out/000.parquet")).unwrap().modified().unwrap(), untouched);
}

#[test]
fn tokens_of_another_model_are_refused() {
    let space = Workspace::new();
    three_shards(&space);
    space.ok(&[&["encode", "shards", "-o", "out"], &MODEL[..]].concat());
    let error = space.fails(&["encode", "shards", "-o", "out", "--model", "cifar10-ema"]);
    assert!(error.contains("another model (cifar10-ksom") && error.contains("manifest.json"), "{error}");
    for input in ["out", "out/000.parquet"] {
        let error = space.fails(&["decode", input, "-o", "pictures", "--model", "cifar10-ema"]);
        assert!(error.contains("made by another model (cifar10-ksom"), "{error}");
    }
    let error = space.fails(&["encode", "shards", "-o", "out", "--form", "tar", "--model", "cifar10-ksom"]);
    assert!(error.contains("in another way"), "{error}");
    // Parquet files that hold something else.
    std::fs::write(space.path("x.parquet"), b"PAR1").unwrap();
    space.fails(&["decode", "x.parquet", "-o", "pictures"]);
    // Codes that were changed to what the codebook has not, and a shard that says nothing of its model.
    space.ok(&[&["encode", "shards", "-o", "tar", "--form", "tar"], &MODEL[..]].concat());
    let plain = std::fs::read(space.path("tar/000.tar")).unwrap();
    let mut high = plain.clone();
    let at = high.windows(6).position(|bytes| bytes == b"\x93NUMPY").unwrap() + 128;
    high[at..at + 2].copy_from_slice(&[0xFF, 0xFF]);
    std::fs::write(space.path("high.tar"), high).unwrap();
    assert!(space.fails(&["decode", "high.tar", "-o", "pictures"]).contains("found 65535"), "a code of −1");
    std::fs::write(
        space.path("bare.tar"),
        &plain[1024
            + plain[124..136]
                .iter()
                .fold(
                    0usize,
                    |size, digit| if digit.is_ascii_digit() { 8 * size + usize::from(digit - b'0') } else { size },
                )
                .next_multiple_of(512)
            - 512..],
    )
    .unwrap();
    assert!(space.fails(&["decode", "bare.tar", "-o", "pictures"]).contains("which model"), "no note");
}

#[test]
fn parts_share_shards_out() {
    let mut space = Workspace::new();
    three_shards(&space);
    let args = [&["encode", "shards", "-o", "out"], &MODEL[..]].concat();
    let told = space.json(&[&args[..], &["--part", "1/2"]].concat());
    assert_eq!((&told["part"], &told["shards"], &told["made"]), (&json!("1/2"), &json!(1), &json!(1)));
    assert!(space.path("out/001.parquet").is_file() && !space.path("out/000.parquet").exists());
    for (name, value) in [
        ("SLURM_ARRAY_TASK_ID", "11"),
        ("SLURM_ARRAY_TASK_COUNT", "2"),
        ("SLURM_ARRAY_TASK_MIN", "10"),
        ("SLURM_ARRAY_TASK_MAX", "11"),
    ] {
        space.set(name, value);
    }
    let finished = space.ok(&args);
    assert!(
        finished.stderr.contains("part 1/2") && finished.stderr.contains("SLURM_ARRAY_TASK_ID"),
        "{}",
        finished.stderr
    );
    space.set("SLURM_ARRAY_TASK_ID", "10");
    let told = space.json(&args);
    assert_eq!((&told["shards"], &told["made"]), (&json!(2), &json!(2)));
    // What is asked for counts more.
    assert_eq!(space.json(&[&args[..], &["--part", "0/1"]].concat())["shards"], 3);
    space.set("SLURM_ARRAY_TASK_MAX", "15");
    let finished = space.run(&args);
    assert!(finished.code == 2 && finished.stderr.contains("without gaps"), "{}", finished.stderr);
    assert_eq!(space.run(&[&args[..], &["--part", "3/3"]].concat()).code, 2);
    assert_eq!(space.run(&["encode", "a.png", "-o", "x.safetensors", "--part", "0/2"]).code, 2);
}

#[test]
fn processes_that_are_killed_lose_nothing() {
    const SHARDS: u32 = 12;
    let space = Workspace::new();
    std::fs::create_dir(space.path("in")).unwrap();
    for number in 0..SHARDS {
        std::fs::write(space.path(&format!("in/{number:03}.tar")), shard(40 * number..40 * number + 40)).unwrap();
    }
    let args = |out: &'static str| [&["encode", "in", "-o", out], &MODEL[..]].concat();
    let begun = Instant::now();
    space.ok(&args("alone"));
    // Less in all than the work takes, however fast the machine is.
    let pause = begun.elapsed() / 80;
    // Four at a time in one folder, without parts: each takes what nobody is at.
    let start = || space.command(&args("shared")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut running: Vec<Child> = (0..4).map(|_| start()).collect();
    let mut killed = 0;
    for round in 0..16usize {
        std::thread::sleep(pause * (1 + round as u32 % 5));
        let victim = &mut running[round % 4];
        if victim.try_wait().unwrap().is_none() {
            victim.kill().unwrap();
            killed += 1;
        }
        victim.wait().unwrap();
        *victim = start();
    }
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    assert!(killed > 4, "only {killed} were still at work");
    space.ok(&args("shared"));
    let (shared, alone) = (tokens(&space, "shared"), tokens(&space, "alone"));
    assert!(shared.keys().eq(alone.keys()), "{:?}", shared.keys());
    assert!(shared == alone, "tokens differ");
    for number in 0..SHARDS {
        assert_eq!(report(&space, &format!("shared/{number:03}.json"))["pictures"], 40);
    }
}

#[test]
fn training_streams_from_shards_and_goes_on_within_them() {
    let space = Workspace::new();
    three_shards(&space);
    for number in 3..7 {
        std::fs::write(space.path(&format!("shards/{number:03}.tar")), shard(4 * number..4 * number + 4)).unwrap();
    }
    std::fs::create_dir(space.path("parts")).unwrap();
    for (name, numbers) in [("train-0", 0..12), ("train-1", 12..20), ("val-0", 20..24)] {
        std::fs::write(space.path(&format!("parts/{name}.tar")), shard(numbers)).unwrap();
    }
    let train = |data: &'static str, out: &'static str, steps: &'static str| {
        [&["train", "--data", data, "--out", out, "--steps", steps], &crate::support::TINY[..]].concat()
    };
    // Without what the file says of the data set's name.
    let weights = |out: &str| {
        let bytes = std::fs::read(space.path(out).join("training.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        tensors.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect::<BTreeMap<_, _>>()
    };
    // 28 pictures in batches of 4: the sixth step is well within the second epoch.
    space.ok(&train("wds:shards", "whole", "9"));
    space.ok(&train("wds:shards", "halves", "4"));
    space.ok(&["train", "--out", "halves", "--resume", "--steps", "9"]);
    assert!(weights("whole") == weights("halves"), "a resumed training learned from other pictures");
    // A pattern is the same data set, a bare one too; another seed reads another order.
    space.ok(&train("shards/*.tar*", "pattern", "9"));
    assert!(weights("whole") == weights("pattern"));
    // Shards say their part by their names.
    let parts = train("wds:parts/{train-0,train-1,val-0}.tar", "parts", "3");
    let finished = space.ok(&[&parts[..], &["--set", "validation=own"]].concat());
    assert!(finished.stderr.contains("20 images to train on, 4 to validate on"), "{}", finished.stderr);
    let labels = space.json(&["eval", "--data", "wds:parts", "--model", "parts", "--part", "valid"]);
    assert!(labels["pictures"].as_str().unwrap_or_default().starts_with('4'), "{labels}");
    // A cut shard is refused when it is opened, not in the middle of an epoch.
    let whole = std::fs::read(space.path("shards/004.tar")).unwrap();
    std::fs::write(space.path("shards/004.tar"), &whole[..whole.len() / 2]).unwrap();
    assert!(space.fails(&train("wds:shards", "cut", "3")).contains("cut short"));
}

#[test]
fn a_folder_of_many_files_lists_in_seconds() {
    const FILES: usize = 20_000;
    let space = Workspace::new();
    let one = crate::shards::png(&crate::support::picture(4, 4, 1));
    std::fs::create_dir(space.path("many")).unwrap();
    for number in 0..FILES {
        std::fs::write(space.path(&format!("many/{number:06}.png")), &one).unwrap();
    }
    let begun = Instant::now();
    // Listed, and then refused: the crop is larger than the first picture.
    let error = space.fails(&["encode", "many", "-o", "x.safetensors", "--crop", "8x8", "--model", "cifar10-ksom"]);
    assert!(error.contains("too small"), "{error}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{FILES} files took {took:?}");
}
