//! `training.safetensors`: refused, or a training that goes on until it is asked to stop, or names what is not finite.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::training(bytes));
