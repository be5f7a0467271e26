//! PyTorch checkpoints: refused, or inert values and tensors within the file's bounds.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use ksom_vqvae::pth::{PthFile, PthValue};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| tempfile::tempdir().unwrap().keep().join("fuzz.pth"));

fn visit(file: &PthFile, value: &PthValue) {
    if let Some(tensor) = value.as_tensor() {
        let _ = file.tensor(tensor);
    }
    value.as_list().into_iter().flatten().for_each(|item| visit(file, item));
    value.as_dict().into_iter().flatten().for_each(|(_, item)| visit(file, item));
}

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    if let Ok(file) = PthFile::open(&*FILE) {
        visit(&file, file.value());
    }
});
