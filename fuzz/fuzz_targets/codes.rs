//! Codes files: refused, or pictures of the sizes that they state.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::codes(bytes));
