//! Parquet data sets: refused, or pictures.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use ksom_datasets::{DataKind, DataOptions, DataSpec, DecodeOptions, open};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| tempfile::tempdir().unwrap().keep().join("fuzz.parquet"));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let spec = DataSpec::of(DataKind::Parquet, &*FILE).unwrap();
    let decode = DecodeOptions { max_pixels: 1 << 16, ..DecodeOptions::default() };
    if let Ok(data) = open(&spec, &DataOptions { decode, ..DataOptions::default() }) {
        for index in 0..data.train.len().min(4) {
            let _ = data.train.image(index);
        }
    }
});
