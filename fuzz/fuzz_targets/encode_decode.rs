//! Pictures of arbitrary sizes and pixels: codes and a picture of the same size, alone and among others.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::encode_decode(bytes));
