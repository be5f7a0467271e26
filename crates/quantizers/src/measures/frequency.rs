//! How often codes were chosen, as training steps count them.

use candle_core::Tensor;

use crate::error::Result;
use crate::{portable, rows};

/// How often each of `num_codes` codes occurs in `codes`, u32 of any shape → f32 `[K]` on their device. Counts of parts of
/// a batch add up to those of the whole.
///
/// # Errors
/// The codes are not u32.
pub fn code_counts(codes: &Tensor, num_codes: usize) -> Result<Tensor> {
    Ok(portable::code_counts(&codes.flatten_all()?, num_codes)?)
}

/// exp(−Σ p ln(p + 1e−10)) of the frequencies p that belong to `counts` f32 `[K]`, which are `total` in all → a scalar.
///
/// # Errors
/// A tensor operation fails.
pub fn perplexity(counts: &Tensor, total: usize) -> Result<Tensor> {
    rows::perplexity_of_counts(counts, total)
}
