//! What all kinds of quantizer do with rows of vectors and a codebook.

use candle_core::{DType, Tensor};
use ksom_kernels::Backend;

use crate::error::{QuantizerError, Result};
use crate::portable;

/// The nearest row of `w` [K, D] for each row of `x` [N, D] → u32 `[N]`, without gradient.
pub(crate) fn nearest(backend: Backend, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (x, w) = (x.detach().contiguous()?, w.detach());
    Ok(match backend {
        Backend::Fast => ksom_kernels::nearest(&x, &w)?,
        Backend::Portable => portable::nearest(&x, &w)?,
    })
}

/// The two nearest rows of `w` [K, D] for each row of `x` [N, D] → u32 [N, 2].
pub(crate) fn nearest_two(backend: Backend, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (x, w) = (x.detach().contiguous()?, w.detach());
    Ok(match backend {
        Backend::Fast => ksom_kernels::nearest_two(&x, &w)?,
        Backend::Portable => portable::nearest_two(&x, &w)?,
    })
}

/// Sums of the rows of `x` f32 [N, D] by code, and how many there are of each: ([K, D], `[K]`), without gradient.
pub(crate) fn code_sums(backend: Backend, x: &Tensor, codes: &Tensor, num_codes: usize) -> Result<(Tensor, Tensor)> {
    let x = x.detach().contiguous()?;
    Ok(match backend {
        Backend::Fast => ksom_kernels::code_sums(&x, codes, num_codes)?,
        Backend::Portable => (portable::sums_by_code(&x, codes, num_codes)?, portable::code_counts(codes, num_codes)?),
    })
}

/// exp(−Σ p ln(p + 1e−10)) of the frequencies p of `codes` u32 `[N]` → a scalar.
pub(crate) fn perplexity(codes: &Tensor, num_codes: usize) -> Result<Tensor> {
    perplexity_of_counts(&portable::code_counts(codes, num_codes)?, codes.elem_count())
}

/// The same of how often each code was chosen among `total`, f32 `[K]`.
pub(crate) fn perplexity_of_counts(counts: &Tensor, total: usize) -> Result<Tensor> {
    let p = counts.affine(1.0 / total as f64, 0.0)?;
    Ok((p.affine(1.0, 1e-10)?.log()? * &p)?.sum_all()?.neg()?.exp()?)
}

/// The rows of `w` [K, D] that `codes` u32 of any shape S name → S + `[D]`.
pub(crate) fn lookup(w: &Tensor, codes: &Tensor) -> Result<Tensor> {
    let (num_codes, dim) = w.dims2()?;
    let refuse = |found: String| {
        Err(QuantizerError::Input { operation: "lookup", expected: format!("u32 codes less than {num_codes}"), found })
    };
    if codes.dtype() != DType::U32 {
        return refuse(format!("{:?}", codes.dtype()));
    }
    let flat = codes.flatten_all()?.contiguous()?;
    if let Some(code) = flat.to_vec1::<u32>()?.into_iter().find(|&code| code as usize >= num_codes) {
        return refuse(format!("code {code}; the codes belong to another model"));
    }
    let shape: Vec<usize> = codes.dims().iter().copied().chain([dim]).collect();
    Ok(w.detach().index_select(&flat, 0)?.reshape(shape)?)
}
