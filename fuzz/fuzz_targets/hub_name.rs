//! Names on the Hub: refused, or one that is written as it is read and whose parts stay where they are put.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::hub_name(bytes));
