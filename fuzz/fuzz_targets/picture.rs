//! Pictures: refused, or pixels within the bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::picture(bytes));
