//! Where and in which type a model computes.

use candle_core::{DType, Device};
use ksom_kernels::Backend;

use crate::system::pool;
use crate::team::members::Team;

/// Device, element type and computing path of a model, and who trains it together.
#[derive(Clone, Debug)]
pub struct Compute {
    /// The device that holds the weights.
    pub device: Device,
    /// The type of weights and activations; quantizers always compute in f32.
    pub dtype: DType,
    /// The computing path.
    pub backend: Backend,
    /// The type in which the portable path takes matrix products, where it is not `dtype`.
    pub products: Option<DType>,
    /// The processes that train the model together: this one alone, unless it is said otherwise.
    pub team: Team,
}

impl Compute {
    /// Runs `work` where its operations are shared out best.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.device.is_cpu() { pool::enter(work) } else { self.run_here(work) }
    }

    /// Runs `work` on this thread. What it leaves to Metal to be released is released when it is done.
    pub(crate) fn run_here<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.device.is_metal() { pooled(work) } else { work() }
    }

    /// f32 on the CPU, by the fast path.
    pub fn cpu() -> Self {
        Self::new(Device::Cpu, DType::F32)
    }

    /// The best path for a device and type.
    pub fn new(device: Device, dtype: DType) -> Self {
        let backend = Backend::best_for(&device, dtype);
        Self { device, dtype, backend, products: None, team: Team::default() }
    }

    /// The same together with the other processes of a team.
    pub fn with_team(self, team: Team) -> Self {
        Self { team, ..self }
    }

    /// The same by candle's own operations only, as on CUDA and Metal.
    pub fn portable(self) -> Self {
        Self { backend: Backend::Portable, ..self }
    }

    /// The same with matrix products in `products`, such as bf16, by the portable path: weights, activations, codebooks,
    /// losses and the optimizer stay in f32 (PyTorch calls it autocast).
    pub fn autocast(self, products: DType) -> Self {
        Self { products: Some(products), ..self.portable() }
    }

    /// The same for training: a type other than f32 is that of the matrix products alone.
    pub fn for_training(self) -> Self {
        match self.dtype {
            DType::F32 => self,
            products => Self { dtype: DType::F32, ..self }.autocast(products),
        }
    }
}

/// Runs `work` within an autorelease pool: a thread without a run loop has no other.
#[cfg(all(feature = "metal", target_os = "macos"))]
fn pooled<R>(work: impl FnOnce() -> R) -> R {
    objc2::rc::autoreleasepool(|_| work())
}

#[cfg(not(all(feature = "metal", target_os = "macos")))]
fn pooled<R>(work: impl FnOnce() -> R) -> R {
    work()
}
