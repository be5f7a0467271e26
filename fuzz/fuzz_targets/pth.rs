//! PyTorch checkpoints: refused, or inert values and tensors within the file's bounds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ksom_fuzz::pth(bytes));
