//! Slices of f32 CPU tensors: reading, and writing in place.

use crate::error::Error;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor, WithDType};
use std::cell::Cell;

/// Calls `f` with the elements of a contiguous CPU tensor.
pub(crate) fn with_slice<T, R>(operation: &'static str, tensor: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R>
where
    T: WithDType,
{
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(contiguous(operation, storage, layout)?),
        _ => Err(Error::Device { operation, found: tensor.device().location() }.into()),
    }
}

/// As [`with_slice`], if there is a tensor.
pub(crate) fn with_optional_slice<R>(
    operation: &'static str,
    tensor: Option<&Tensor>,
    f: impl FnOnce(Option<&[f32]>) -> Result<R>,
) -> Result<R> {
    match tensor {
        Some(tensor) => with_slice(operation, tensor, |values| f(Some(values))),
        None => f(None),
    }
}

/// The elements of a contiguous storage.
pub(crate) fn contiguous<'a, T: WithDType>(
    operation: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [T]> {
    if storage.dtype() != T::DTYPE {
        return Err(Error::DType { operation, expected: T::DTYPE, found: storage.dtype() }.into());
    }
    let Some((start, end)) = layout.contiguous_offsets() else {
        let (shape, strides) = (layout.shape().clone(), layout.stride().to_vec());
        return Err(Error::Strides { operation, shape, strides }.into());
    };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// Refuses a tensor that is not f32 on the CPU.
pub(crate) fn check(operation: &'static str, tensor: &Tensor) -> Result<()> {
    if !tensor.device().is_cpu() {
        return Err(Error::Device { operation, found: tensor.device().location() }.into());
    }
    if tensor.dtype() != DType::F32 {
        return Err(Error::DType { operation, expected: DType::F32, found: tensor.dtype() }.into());
    }
    Ok(())
}

/// Refuses a tensor of another shape.
pub(crate) fn check_shape(
    operation: &'static str,
    name: &'static str,
    tensor: &Tensor,
    expected: impl Into<Shape>,
) -> Result<()> {
    let expected = expected.into();
    if tensor.shape() == &expected {
        return Ok(());
    }
    Err(Error::Shape { operation, name, expected: format!("{expected:?}"), found: tensor.shape().clone() }.into())
}

/// A CPU tensor of its own, outside any graph.
pub(crate) fn tensor<T: WithDType>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// Calls `f` with the elements of a contiguous f32 CPU tensor to change them in place. `f` must not touch the same
/// storage again: candle's lock on it is held.
pub(crate) fn with_slice_mut<F>(operation: &'static str, tensor: &Tensor, f: F) -> Result<()>
where
    F: FnOnce(&mut [f32]) -> Result<()>,
{
    tensor.inplace_op1(&Once { operation, f: Cell::new(Some(f)) })
}

/// An in-place operation that is applied once.
struct Once<F> {
    operation: &'static str,
    f: Cell<Option<F>>,
}

impl<F: FnOnce(&mut [f32]) -> Result<()>> InplaceOp1 for Once<F> {
    fn name(&self) -> &'static str {
        self.operation
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let start = layout.start_offset();
        let len = contiguous::<f32>(self.operation, storage, layout)?.len();
        match (storage, self.f.take()) {
            (CpuStorage::F32(values), Some(f)) => f(&mut values[start..start + len]),
            (other, _) => {
                Err(Error::DType { operation: self.operation, expected: DType::F32, found: other.dtype() }.into())
            }
        }
    }
}
