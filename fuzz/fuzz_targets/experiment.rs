//! Experiment files: refused, or an experiment whose runs have recipes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::experiment(bytes));
