//! Sums of vectors by their code.

use crate::access::{check, check_shape, tensor, with_slice};
use crate::error::Error;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

const NAME: &str = "code_sums";

/// Sums of the rows of `x` [N, D] by their code, and how many there are of each: (sums [K, D], counts `[K]`), for
/// `codes` u32 `[N]` and K = `num_codes`. Rows are added in order, whatever the number of threads.
///
/// # Errors
///
/// If shapes do not fit together, a code is not less than `num_codes`, `x` is not f32 or `codes` not u32, or one is
/// not on the CPU.
pub fn code_sums(x: &Tensor, codes: &Tensor, num_codes: usize) -> Result<(Tensor, Tensor)> {
    check(NAME, x)?;
    let &[n, depth] = x.dims() else {
        let expected = "[N, D]".into();
        return Err(Error::Shape { operation: NAME, name: "x", expected, found: x.shape().clone() }.into());
    };
    check_shape(NAME, "codes", codes, n)?;
    let (x, codes) = (x.contiguous()?, codes.contiguous()?);
    with_slice(NAME, &x, |x| with_slice(NAME, &codes, |codes| sums(x, codes, depth, num_codes)))
}

fn sums(x: &[f32], codes: &[u32], depth: usize, num_codes: usize) -> Result<(Tensor, Tensor)> {
    // The rows in the order of their codes, those of one code in their own order: a counting sort.
    let mut ends = vec![0usize; num_codes];
    for &code in codes {
        let Some(count) = ends.get_mut(code as usize) else {
            let expected = format!("codes less than {num_codes}");
            return Err(Error::Value { operation: NAME, expected, found: code.to_string() }.into());
        };
        *count += 1;
    }
    let counts: Vec<f32> = ends.iter().map(|&count| count as f32).collect();
    let mut begin = 0;
    for end in &mut ends {
        begin += std::mem::replace(end, begin);
    }
    let mut order = vec![0usize; codes.len()];
    for (row, &code) in codes.iter().enumerate() {
        let end = &mut ends[code as usize];
        order[*end] = row;
        *end += 1;
    }
    let mut sums = vec![0f32; num_codes * depth];
    if depth > 0 {
        sums.par_chunks_exact_mut(depth).enumerate().with_min_len(16).for_each(|(code, sums)| {
            let begin = if code == 0 { 0 } else { ends[code - 1] };
            for &row in &order[begin..ends[code]] {
                for (sum, x) in sums.iter_mut().zip(&x[row * depth..]) {
                    *sum += x;
                }
            }
        });
    }
    Ok((tensor(sums, (num_codes, depth))?, tensor(counts, num_codes)?))
}
