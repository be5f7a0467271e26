//! The kernels that a quantizer in PyTorch calls on the CPU.

use pyo3::prelude::*;

use crate::arrays::{Given, Made, array, code_array, code_tensor, tensor};
use crate::compute::compute;

/// For each row of `rows` f32 [N, D] the nearest of `codebook` f32 [K, D], the first of equals → int64 `[N]`.
#[pyfunction]
pub fn nearest<'py>(py: Python<'py>, rows: Given<'py>, codebook: Given<'py>) -> PyResult<Made<'py>> {
    let (rows, codebook) = (tensor(&rows)?, tensor(&codebook)?);
    code_array(py, &compute(py, || Ok(ksom_kernels::nearest(&rows, &codebook)?))?)
}

/// Sums of rows f32 [N, D] by their codes int64 `[N]`, and how many there are of each: f32 [K, D] and f32 `[K]`.
#[pyfunction]
pub fn code_sums<'py>(
    py: Python<'py>,
    rows: Given<'py>,
    codes: Given<'py>,
    num_codes: usize,
) -> PyResult<(Made<'py>, Made<'py>)> {
    let (rows, codes) = (tensor(&rows)?, code_tensor(&codes, num_codes)?);
    let (sums, counts) = compute(py, || Ok(ksom_kernels::code_sums(&rows, &codes, num_codes)?))?;
    Ok((array(py, &sums)?, array(py, &counts)?))
}
