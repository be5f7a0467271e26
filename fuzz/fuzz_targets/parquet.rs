//! Parquet data sets: refused, or pictures.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::parquet(bytes));
