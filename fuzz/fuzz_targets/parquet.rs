//! Parquet data sets: refused, or pictures.
#![no_main]

// Panics of the parquet crate are caught, and become errors: the fuzzer's hook would end the program before that.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| ())), |bytes: &[u8]| ksom_fuzz::parquet(bytes));
