//! `metrics.jsonl`: figures, as far as there are any.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::metrics(bytes));
