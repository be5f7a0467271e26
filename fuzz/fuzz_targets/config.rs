//! `config.json`: refused, or a configuration that is written and read back as it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::config(bytes));
