//! Nearest codebook vectors.

use candle_core::{DType, Result, Tensor};

/// For each row of `x` [N, D] the index of the nearest row of `w` [K, D] by Euclidean distance, the first of equals
/// → u32 [N].
///
/// # Errors
///
/// If shapes do not fit together.
pub fn nearest(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    nearest_two(x, w)?.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
}

/// As [`nearest`], the two nearest rows → u32 [N, 2]; the second equals the first when K = 1.
///
/// # Errors
///
/// If shapes do not fit together.
pub fn nearest_two(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let x = x.to_vec2::<f32>()?;
    let w = w.to_vec2::<f32>()?;
    let mut out = Vec::with_capacity(x.len() * 2);
    for row in &x {
        let (mut best, mut second) = ((f32::INFINITY, 0u32), (f32::INFINITY, 0u32));
        for (k, code) in w.iter().enumerate() {
            let d: f32 = row.iter().zip(code).map(|(a, b)| (a - b) * (a - b)).sum();
            if d < best.0 {
                second = best;
                best = (d, k as u32);
            } else if d < second.0 {
                second = (d, k as u32);
            }
        }
        out.push(best.1);
        out.push(if w.len() > 1 { second.1 } else { best.1 });
    }
    Tensor::from_vec(out, (x.len(), 2), &candle_core::Device::Cpu)
}

/// Sums of the rows of `x` [N, D] by their code, and how many there are of each: (sums [K, D], counts [K]) for
/// `codes` u32 [N].
///
/// # Errors
///
/// If shapes do not fit together or a code is not less than `num_codes`.
pub fn code_sums(x: &Tensor, codes: &Tensor, num_codes: usize) -> Result<(Tensor, Tensor)> {
    let (n, d) = x.dims2()?;
    let sums = Tensor::zeros((num_codes, d), DType::F32, x.device())?.index_add(codes, x, 0)?;
    let ones = Tensor::ones(n, DType::F32, x.device())?;
    let counts = Tensor::zeros(num_codes, DType::F32, x.device())?.index_add(codes, &ones, 0)?;
    Ok((sums, counts))
}
