//! Pictures: refused, or pixels within the bound.
#![no_main]

// Panics of decoders are caught, and become errors: the fuzzer's hook would end the program before that.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| ())), |bytes: &[u8]| ksom_fuzz::picture(bytes));
