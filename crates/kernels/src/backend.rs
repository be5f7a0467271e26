//! The two ways to compute.

use candle_core::{DType, Device};

/// Which implementation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// candle's own operations in NCHW: CUDA, Metal and any floating-point type; selectable on the CPU too.
    Portable,
    /// The kernels of this crate: CPU and f32 only, NHWC.
    Fast,
}

impl Backend {
    /// The faster of the two that `device` and `dtype` allow: [`Backend::Fast`] for f32 on the CPU, otherwise
    /// [`Backend::Portable`].
    pub fn best_for(device: &Device, dtype: DType) -> Self {
        if device.is_cpu() && dtype == DType::F32 { Self::Fast } else { Self::Portable }
    }
}
