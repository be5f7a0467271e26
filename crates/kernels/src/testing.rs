//! What the tests of several kernels share.

use candle_core::{Device, Result, Tensor};
use rand::{Rng, SeedableRng};

/// Uniform values in [−1, 1).
pub(crate) fn random(seed: u64, shape: Vec<usize>) -> Result<Tensor> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// All elements.
pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).unwrap()
}

/// Runs `f` on a thread pool of its own; in WebAssembly on the one thread that there is.
pub(crate) fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    if cfg!(target_family = "wasm") {
        return f();
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Panics where two differ by more than `tolerance`, or by more than 10⁻⁵ of the expected value if that is more.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of elements");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(
            difference <= tolerance.max(1e-5 * expected.abs()),
            "{what}: element {i} is {found}, expected {expected}"
        );
    }
}
