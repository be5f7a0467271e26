//! `model.safetensors`: refused, or a model that encodes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::checkpoint(bytes));
