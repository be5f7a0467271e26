//! Golden files and comparisons, for the tests of this crate.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use ksom_quantizers::{Backend, Quantizer, QuantizerConfig, Result, build, build_seeded};

pub const BACKENDS: [Backend; 2] = [Backend::Portable, Backend::Fast];

/// Where the golden files are computed: on the CPU, or on what `$KSOM_TEST_DEVICE` names: `cuda`, `metal`, or `portable`,
/// which is the CPU by candle's own operations alone.
pub fn golden_device() -> Device {
    static DEVICE: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
    let open = || match std::env::var("KSOM_TEST_DEVICE").as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("cpu" | "portable") => Device::Cpu,
        Ok("cuda") => Device::new_cuda(0).unwrap(),
        Ok("metal") => Device::new_metal(0).unwrap(),
        other => panic!("KSOM_TEST_DEVICE should be cpu, portable, cuda or metal, found {other:?}"),
    };
    DEVICE.get_or_init(open).clone()
}

/// The computing paths that this device has.
pub fn golden_backends() -> &'static [Backend] {
    let portable = std::env::var("KSOM_TEST_DEVICE").is_ok_and(|device| device == "portable");
    if golden_device().is_cpu() && !portable { &BACKENDS } else { &BACKENDS[..1] }
}

/// The folder to look for golden files in: `$KSOM_GOLDEN`, or the copy in the repository. A packaged crate has neither.
pub fn golden_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("KSOM_GOLDEN") {
        let dir = PathBuf::from(dir);
        assert!(dir.is_dir(), "KSOM_GOLDEN names {}, which is not a folder", dir.display());
        return Some(dir);
    }
    own_golden_dir()
}

/// The copy in the repository, for tests of files that they know by name; where a test was taken elsewhere,
/// `$KSOM_GOLDEN`. A packaged crate has neither.
pub fn own_golden_dir() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let elsewhere = std::env::var_os("KSOM_GOLDEN").map(PathBuf::from).filter(|_| !repository.is_dir());
    let dir = elsewhere.unwrap_or(repository);
    if !dir.is_dir() {
        println!("SKIPPED: no golden files at {}", dir.display());
        return None;
    }
    Some(dir)
}

/// The files under `dir` whose extension is `safetensors`, sorted.
pub fn golden_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    files
}

/// A golden file: its settings and arrays.
pub struct Golden {
    pub name: String,
    pub config: serde_json::Value,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    pub fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let config = &header.metadata().as_ref().unwrap_or_else(|| panic!("{name}: no metadata"))["config"];
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
        let on_device = |tensor: Tensor| {
            // Codes are u32 wherever they are computed with.
            let codes = tensor.dtype() == DType::I64;
            let tensor = if codes { tensor.to_dtype(DType::U32).unwrap() } else { tensor };
            tensor.to_device(&golden_device()).unwrap()
        };
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, on_device(tensor))).collect();
        Self { config: serde_json::from_str(config).unwrap(), tensors, name }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{} has no {name:?}", self.name))
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    pub fn number(&self, key: &str) -> f64 {
        self.config[key].as_f64().unwrap_or_else(|| panic!("{}: {key:?} is not a number", self.name))
    }

    pub fn text(&self, key: &str) -> &str {
        self.config[key].as_str().unwrap_or_else(|| panic!("{}: {key:?} is not a string", self.name))
    }

    pub fn shape(&self, key: &str) -> Vec<usize> {
        serde_json::from_value(self.config[key].clone()).unwrap()
    }
}

/// Numbers of any tensor, in order, in f64.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    // Not every device has f64.
    let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Compares within 1e-4 relative + 1e-5 absolute, and gives the largest share of that tolerance that was used.
pub fn assert_close(found: &Tensor, expected: &Tensor, what: &str) -> f64 {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let mut worst: f64 = 0.0;
    for (i, (found, expected)) in numbers(found).into_iter().zip(numbers(expected)).enumerate() {
        let share = (found - expected).abs() / (1e-4 * expected.abs() + 1e-5);
        assert!(share <= 1.0, "{what}[{i}]: expected {expected}, found {found}, {share:.2} × the tolerance");
        worst = worst.max(share);
    }
    worst
}

/// Compares codes with those expected. One may differ only where both distances agree to 1e-5 relative in f64. Gives
/// how many differ so.
pub fn assert_codes(found: &Tensor, expected: &Tensor, x: &Tensor, w: &Tensor, what: &str) -> usize {
    let (dim, x, w) = (w.dim(1).unwrap(), numbers(x), numbers(w));
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{what}: number of codes");
    let distance = |n: usize, code: f64| -> f64 {
        let (x, w) = (&x[n * dim..][..dim], &w[code as usize * dim..][..dim]);
        x.iter().zip(w).map(|(x, w)| (x - w).powi(2)).sum()
    };
    let mut ties = 0;
    for (n, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
        if found != expected {
            let (a, b) = (distance(n, found), distance(n, expected));
            let tie = (a - b).abs() <= 1e-5 * a.max(b);
            assert!(tie, "{what}[{n}]: expected code {expected} at {b}, found {found} at {a}");
            ties += 1;
        }
    }
    ties
}

/// A quantizer from named tensors.
pub fn build_from(
    config: &QuantizerConfig,
    state: &[(&'static str, Tensor)],
    backend: Backend,
) -> Result<Box<dyn Quantizer>> {
    let device = state[0].1.device().clone();
    let state: HashMap<String, Tensor> =
        state.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
    let mut quantizer = build(config, VarBuilder::from_tensors(state, DType::F32, &device))?;
    quantizer.set_backend(backend)?;
    Ok(quantizer)
}

/// A new quantizer's state.
pub fn initial(config: &QuantizerConfig, seed: u64) -> Vec<(&'static str, Tensor)> {
    build_seeded(config, seed, &Device::Cpu).unwrap().state()
}

/// One training step on one batch.
pub fn train(quantizer: &mut dyn Quantizer, x: &Tensor, codes: &Tensor) {
    let observation = quantizer.observe(x, codes).unwrap();
    quantizer.step(observation).unwrap();
}

/// One tensor of a quantizer's state.
pub fn state_of(quantizer: &dyn Quantizer, name: &str) -> Tensor {
    let state = quantizer.state();
    state.into_iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("no state {name:?}")).1
}
