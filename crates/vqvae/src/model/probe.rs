//! Whether a device computes what models are made of, asked of a small one.

use candle_core::{DType, Device, Tensor};
use ksom_kernels::Backend;
use ksom_quantizers::QuantizerConfig;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{Architecture, ModelConfig};
use crate::system::compute::Compute;
use crate::system::device::device_name;
use crate::system::device_failure::{Kind, explain, telling_line};

/// Refuses a device that does not compute networks, or not in this type.
///
/// # Errors
/// The device does not compute in this type, but in f32 ([`Error::Type`]); it does not compute at all, which may be due to
/// its driver ([`Error::Device`]); it has no memory left ([`Error::OutOfMemory`]).
pub fn require_operations(compute: &Compute) -> Result<()> {
    // Nothing depends on the computer there.
    if compute.backend == Backend::Fast {
        return Ok(());
    }
    judge(compute, &|dtype| match compute.products {
        Some(_) => small_picture(&Compute { products: Some(dtype), ..compute.clone() }),
        None => small_picture(&Compute { dtype, ..compute.clone() }),
    })
}

/// Tells a type that a device lacks from a device that does not work.
fn judge(compute: &Compute, attempt: &dyn Fn(DType) -> Result<()>) -> Result<()> {
    let dtype = compute.products.unwrap_or(compute.dtype);
    let error = match attempt(dtype) {
        Err(error) if !matches!(error, Error::OutOfMemory { .. }) => error,
        outcome => return outcome,
    };
    let text = error.to_string();
    if dtype != DType::F32 && attempt(DType::F32).is_ok() {
        let cause = telling_line(&text).to_string();
        return Err(Error::Type { device: device_name(&compute.device), dtype: dtype.as_str(), cause });
    }
    let kind = match compute.device {
        Device::Cpu => return Err(error),
        Device::Cuda(_) => Kind::Cuda,
        Device::Metal(_) => Kind::Metal,
    };
    let device = kind.name().to_lowercase();
    Err(Error::Device { message: format!("{device}: {}", explain(kind, &text)), device })
}

/// A picture to codes and back.
fn small_picture(compute: &Compute) -> Result<()> {
    let architecture = Architecture { hidden: 4, residual_layers: 1, residual_hidden: 2, ..Architecture::vqvae() };
    let model = Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(4, 2)), 0, compute)?;
    let pixels = Tensor::zeros((1, 3, 8, 8), DType::F32, &Device::Cpu)?;
    let decoded = model.decode(&model.encode(&pixels)?)?;
    // Only what is read is sure to have been computed.
    decoded.sum_all()?.to_scalar::<f32>()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portable(dtype: DType) -> Compute {
        Compute::new(Device::Cpu, dtype).portable()
    }

    #[test]
    fn types_that_are_there_pass() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            require_operations(&portable(dtype)).unwrap();
        }
        require_operations(&Compute::cpu()).unwrap();
    }

    #[test]
    fn a_type_that_is_not_there_is_named_with_the_cause() {
        for dtype in [DType::I64, DType::U8] {
            let error = require_operations(&portable(dtype)).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::Type { dtype: name, .. } if name == dtype.as_str()), "{text}");
            assert!(text.contains("the CPU does not compute") && text.to_lowercase().contains("dtype"), "{text}");
        }
    }

    #[test]
    fn a_device_that_does_not_work_is_not_taken_for_a_type_that_lacks() {
        let broken = |code: &'static str| {
            move |_: DType| Err(candle_core::Error::Cuda(format!("DriverError({code}, \"…\")").into()).into())
        };
        let error = judge(&portable(DType::BF16), &broken("CUDA_ERROR_UNSUPPORTED_PTX_VERSION")).unwrap_err();
        assert!(matches!(error, Error::Tensor(_)) && error.to_string().contains("UNSUPPORTED_PTX"), "{error:?}");
        let error = judge(&portable(DType::BF16), &broken("CUDA_ERROR_OUT_OF_MEMORY")).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
        let only_f32 = |dtype| if dtype == DType::F32 { Ok(()) } else { broken("CUDA_ERROR_NOT_FOUND")(dtype) };
        let error = judge(&portable(DType::BF16), &only_f32).unwrap_err();
        assert!(matches!(&error, Error::Type { cause, .. } if cause.contains("CUDA_ERROR_NOT_FOUND")), "{error:?}");
    }
}
