//! How much memory a device has left, where its driver tells it.

use candle_core::{CudaDevice, Device, MetalDevice};

use crate::error::Result;
use crate::system::device::device_name;
use crate::system::memory;

/// Bytes that can still be allocated where `device` computes. `None` where nobody says.
pub(crate) fn available(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu => memory::available(),
        Device::Cuda(device) => of_cuda(device),
        Device::Metal(device) => of_metal(device),
    }
}

/// As [`memory::check`], of the memory of `device`.
///
/// # Errors
/// Less is available. Where nobody says how much that is, nothing is refused.
pub(crate) fn require(
    device: &Device,
    bytes: u64,
    what: impl FnOnce() -> String,
    in_parts: impl FnOnce(u64) -> Option<usize>,
) -> Result<()> {
    let own = (!device.is_cpu()).then(|| device_name(device));
    memory::check(available(device), own, bytes, what, in_parts)
}

#[cfg(feature = "cuda")]
fn of_cuda(device: &CudaDevice) -> Option<u64> {
    let (free, _) = device.cuda_stream().context().mem_get_info().ok()?;
    Some(free as u64)
}

#[cfg(not(feature = "cuda"))]
fn of_cuda(_: &CudaDevice) -> Option<u64> {
    None
}

/// What the system recommends to stay below, which leaves room for other programs, less what is taken.
#[cfg(feature = "metal")]
fn of_metal(device: &MetalDevice) -> Option<u64> {
    let device = device.metal_device();
    Some(device.recommended_max_working_set_size().saturating_sub(device.current_allocated_size()) as u64)
}

#[cfg(not(feature = "metal"))]
fn of_metal(_: &MetalDevice) -> Option<u64> {
    None
}
