//! The differentiable ends of a quantizer as single operations on the CPU, where candle's own would pass over the rows
//! several times. Both take inputs and chosen vectors, f32 and contiguous, and have a gradient for the inputs only.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// The chosen vectors; the gradient goes to the inputs unchanged.
pub(crate) struct StraightThrough;

impl CustomOp2 for StraightThrough {
    fn name(&self) -> &'static str {
        "straight-through"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, chosen: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(elements(self.name(), chosen, l)?.to_vec()), l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), None))
    }
}

/// The mean squared difference: a scalar.
pub(crate) struct MeanSquaredError;

impl CustomOp2 for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean squared error"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, chosen: &CpuStorage, lc: &Layout) -> Result<(CpuStorage, Shape)> {
        // Chunks of fixed length, added in order: the same bits on any number of threads.
        const CHUNK: usize = 1 << 14;
        let x = elements(self.name(), x, lx)?;
        let chosen = elements(self.name(), chosen, lc)?;
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        let chunks = x.par_chunks(CHUNK).zip(chosen.par_chunks(CHUNK));
        let sums: Vec<f64> = chunks.map(|(x, chosen)| x.iter().zip(chosen).map(square).sum()).collect();
        let mean = sums.iter().sum::<f64>() / x.len() as f64;
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, chosen: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let scale = 2.0 * f64::from(grad.to_scalar::<f32>()?) / x.elem_count() as f64;
        Ok((Some((x.detach() - chosen.detach())?.affine(scale, 0.0)?), None))
    }
}

fn elements<'a>(operation: &'static str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| Error::RequiresContiguous { op: operation }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}
