//! Slices of f32 CPU tensors: reading, and writing in place.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};
use std::cell::Cell;

/// Calls `f` with the elements of a contiguous f32 CPU tensor.
pub(crate) fn with_slice<R>(operation: &str, tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(contiguous(operation, storage, layout)?),
        _ => bail!("{operation}: expected a tensor on the CPU, found one on {:?}", tensor.device().location()),
    }
}

/// The elements of a contiguous f32 storage.
pub(crate) fn contiguous<'a>(operation: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        (CpuStorage::F32(_), None) => bail!(
            "{operation}: expected a contiguous tensor, found shape {:?} with strides {:?}; call contiguous() first",
            layout.shape(),
            layout.stride()
        ),
        (other, _) => {
            bail!("{operation}: expected f32, found {:?}", candle_core::backend::BackendStorage::dtype(other))
        }
    }
}

/// Calls `f` with the elements of a contiguous f32 CPU tensor to change them in place. `f` must not touch the same
/// storage again: candle's lock on it is held.
pub(crate) fn with_slice_mut<F>(operation: &'static str, tensor: &Tensor, f: F) -> Result<()>
where
    F: FnOnce(&mut [f32]) -> Result<()>,
{
    struct Once<F> {
        operation: &'static str,
        f: Cell<Option<F>>,
    }
    impl<F: FnOnce(&mut [f32]) -> Result<()>> InplaceOp1 for Once<F> {
        fn name(&self) -> &'static str {
            self.operation
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let (start, end) = {
                let values = contiguous(self.operation, storage, layout)?;
                (layout.start_offset(), layout.start_offset() + values.len())
            };
            match (storage, self.f.take()) {
                (CpuStorage::F32(values), Some(f)) => f(&mut values[start..end]),
                _ => bail!("{}: expected f32", self.operation),
            }
        }
    }
    tensor.inplace_op1(&Once { operation, f: Cell::new(Some(f)) })
}
