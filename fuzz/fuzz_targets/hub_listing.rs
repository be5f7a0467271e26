//! What the Hub lists: refused, or two files of ours within their bounds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::hub_listing(bytes));
