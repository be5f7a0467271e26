//! Pictures: refused, or pixels within the bound.
#![no_main]

use ksom_datasets::{DecodeOptions, decode_bytes};
use libfuzzer_sys::fuzz_target;

const MAX_PIXELS: u64 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions { max_pixels: MAX_PIXELS, ..DecodeOptions::default() };
    if let Ok(picture) = decode_bytes(bytes, "fuzz", &options) {
        assert!(u64::from(picture.width()) * u64::from(picture.height()) <= MAX_PIXELS);
    }
});
