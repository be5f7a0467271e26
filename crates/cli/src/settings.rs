//! The global options, settled.

use anyhow::{Result, bail};
use candle_core::{DType, Device, Tensor};
use ksom_vqvae::Compute;
use ksom_vqvae::system::{parse_device, threads};

use crate::arguments::{GlobalArgs, Precision};
use crate::console::Console;
use crate::failure::Usage;

/// What the global options amount to.
pub struct Settings {
    device: String,
    dtype: DType,
    portable: bool,
    pub json: bool,
    pub console: Console,
}

impl Settings {
    pub fn new(args: GlobalArgs) -> Self {
        let dtype = match args.dtype {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::Bf16 => DType::BF16,
        };
        let console = Console::new(args.quiet);
        start_threads(&console);
        Self { device: args.device, dtype, portable: args.portable, json: args.json, console }
    }

    /// The type that was asked for.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where and in which type to compute.
    pub fn compute(&self) -> Result<Compute> {
        let device = parse_device(&self.device)?;
        if !computes_in(&device, self.dtype) {
            bail!(
                "{} does not compute convolutions in {}: choose another --dtype (f32 works everywhere)",
                describe(&device),
                self.dtype.as_str()
            );
        }
        let compute = Compute::new(device, self.dtype);
        Ok(if self.portable { compute.portable() } else { compute })
    }

    /// The same for training, which is done in f32.
    pub fn compute_for_training(&self) -> Result<Compute> {
        if self.dtype != DType::F32 {
            bail!(Usage(format!("training is done in f32, not in {}: leave out --dtype", self.dtype.as_str())));
        }
        self.compute()
    }
}

/// Starts the threads that compute, and says where these are not those that were asked for.
fn start_threads(console: &Console) {
    let threads = threads();
    if let Some(fewer) = &threads.fewer {
        console.warn(fewer, None);
        // candle shares its products out by this variable.
        // SAFETY: the only other threads are those of the pool, which wait for their first work and read no variables.
        unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.count.to_string()) };
    }
}

/// Whether `device` has the operations that models are made of in this type.
fn computes_in(device: &Device, dtype: DType) -> bool {
    let try_all = || {
        let pixels = Tensor::ones((1, 4, 8, 8), dtype, device)?;
        let kernel = Tensor::ones((4, 4, 4, 4), dtype, device)?;
        let halved = pixels.conv2d(&kernel, 1, 2, 1, 1)?;
        let pointwise = halved.conv2d(&Tensor::ones((4, 4, 1, 1), dtype, device)?, 0, 1, 1, 1)?;
        let doubled = pointwise.conv_transpose2d(&kernel, 1, 0, 2, 1)?;
        doubled.relu()?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()
    };
    try_all().is_ok()
}

/// A device's name for people.
pub fn describe(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "the CPU",
        Device::Cuda(_) => "the CUDA device",
        Device::Metal(_) => "the Metal device",
    }
}
