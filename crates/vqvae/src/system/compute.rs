//! Where and in which type a model computes.

use candle_core::{DType, Device};
use ksom_kernels::Backend;

use crate::error::{Error, Result};
use crate::system::pool;

/// Device, element type and computing path of a model.
#[derive(Clone, Debug)]
pub struct Compute {
    /// The device that holds the weights.
    pub device: Device,
    /// The type of weights and activations; quantizers always compute in f32.
    pub dtype: DType,
    /// The computing path.
    pub backend: Backend,
}

impl Compute {
    /// Runs `work` where its operations are shared out best.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.device.is_cpu() { pool::enter(work) } else { work() }
    }

    /// f32 on the CPU, by the fast path.
    pub fn cpu() -> Self {
        Self::new(Device::Cpu, DType::F32)
    }

    /// The best path for a device and type.
    pub fn new(device: Device, dtype: DType) -> Self {
        let backend = Backend::best_for(&device, dtype);
        Self { device, dtype, backend }
    }

    /// The same by candle's own operations only, as on CUDA and Metal.
    pub fn portable(self) -> Self {
        Self { backend: Backend::Portable, ..self }
    }
}

/// Finds a device by name: `auto` (CUDA or Metal where this program was built for it and one is there, else the CPU),
/// `cpu`, `cuda`, `cuda:N` or `metal`.
///
/// # Errors
/// The name is none of these, the program was built without the device's feature, or the device does not start.
pub fn parse_device(name: &str) -> Result<Device> {
    let refused = |message: String| Error::Device { device: name.to_string(), message };
    let left_out = |kind: &str| {
        let feature = kind.to_lowercase();
        refused(format!("this ksom was built without {kind}: build it with `--features {feature}`"))
    };
    let cuda = |ordinal| {
        if !cfg!(feature = "cuda") {
            return Err(left_out("CUDA"));
        }
        Device::new_cuda(ordinal).map_err(|error| refused(format!("cannot start CUDA device {ordinal}: {error}")))
    };
    match name {
        "cpu" => Ok(Device::Cpu),
        "cuda" => cuda(0),
        "metal" if !cfg!(feature = "metal") => Err(left_out("Metal")),
        "metal" => Device::new_metal(0).map_err(|error| refused(format!("cannot start Metal: {error}"))),
        "auto" => Ok(best_device()),
        other => match other.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(ordinal)) => cuda(ordinal),
            _ => Err(refused(format!("device must be auto, cpu, cuda, cuda:N or metal, found {other:?}"))),
        },
    }
}

fn best_device() -> Device {
    if cfg!(feature = "cuda")
        && let Ok(device) = Device::new_cuda(0)
    {
        return device;
    }
    if cfg!(feature = "metal")
        && let Ok(device) = Device::new_metal(0)
    {
        return device;
    }
    Device::Cpu
}
