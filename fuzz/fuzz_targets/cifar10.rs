//! CIFAR-10's batches for Python: refused, or pictures and labels.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::cifar10(bytes));
