//! Nearest codebook vectors: argmin ‖x − w‖² = argmax (x·w − ‖w‖²/2), by tiles of a matrix product that are reduced
//! while they are in registers. What rounding leaves undecided is decided by distances in f64.

use crate::access::{check, check_shape, tensor, with_slice};
use crate::error::Error;
use crate::memory::Aligned;
use crate::simd::bounds::{MAX_ROWS, MAX_SCORE_COLS};
use crate::simd::detect;
use crate::simd::isa::Isa;
use crate::simd::tile::{Best, ScoreTile};
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Rows of `x` per task at most.
const TASK_ROWS: usize = 96;

/// Elements of the codebook that one pass over a task's rows meets: they fit a second-level cache.
const PASS: usize = 64 * 1024;

/// More codes than this could not be told apart by an f32 index.
const MAX_CODES: usize = 1 << 24;

/// For each row of `x` [N, D] the row of `w` [K, D] at the least Euclidean distance, the first of equals → u32 `[N]`.
///
/// # Errors
///
/// If shapes do not fit together, `w` is empty, or a tensor is not f32 on the CPU.
pub fn nearest(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let codes = search("nearest", x, w, 1)?;
    let n = codes.len();
    tensor(codes, n)
}

/// As [`nearest`], the two nearest rows → u32 [N, 2]; the second is the first again when K = 1.
///
/// # Errors
///
/// As [`nearest`].
pub fn nearest_two(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let codes = search("nearest_two", x, w, 2)?;
    let n = codes.len() / 2;
    tensor(codes, (n, 2))
}

fn search(operation: &'static str, x: &Tensor, w: &Tensor, wanted: usize) -> Result<Vec<u32>> {
    check(operation, x)?;
    check(operation, w)?;
    let (&[n, depth], &[num_codes, _]) = (x.dims(), w.dims()) else {
        let (name, expected, found) = if x.rank() == 2 { ("w", "[K, D]", w) } else { ("x", "[N, D]", x) };
        return Err(Error::Shape { operation, name, expected: expected.into(), found: found.shape().clone() }.into());
    };
    check_shape(operation, "w", w, (num_codes, depth))?;
    if num_codes == 0 || depth == 0 || num_codes > MAX_CODES {
        let expected = format!("[K, D] with K from 1 to {MAX_CODES} and D at least 1");
        return Err(Error::Shape { operation, name: "w", expected, found: w.shape().clone() }.into());
    }
    let (x, w) = (x.contiguous()?, w.contiguous()?);
    with_slice(operation, &x, |x| {
        with_slice(operation, &w, |w| {
            let codebook = Codebook::new(detect::best(), w, num_codes, depth);
            let mut codes = vec![0u32; n * wanted];
            codes
                .par_chunks_mut(TASK_ROWS * wanted)
                .zip(x.par_chunks(TASK_ROWS * depth))
                .for_each(|(codes, x)| codebook.search(x, wanted, codes));
            Ok(codes)
        })
    })
}

/// A codebook packed for the score kernel.
pub(crate) struct Codebook<'a> {
    isa: &'a Isa,
    w: &'a [f32],
    num_codes: usize,
    depth: usize,
    /// [code / cols][depth][code % cols], padded with zeros.
    panels: Aligned,
    /// −‖w‖²/2 per code; padding can never win.
    bias: Vec<f32>,
    /// The codes' numbers.
    index: Vec<f32>,
}

impl<'a> Codebook<'a> {
    pub(crate) fn new(isa: &'a Isa, w: &'a [f32], num_codes: usize, depth: usize) -> Self {
        let cols = isa.tiles[0].cols;
        let padded = num_codes.next_multiple_of(cols);
        let mut panels = Aligned::zeros(padded * depth);
        panels.par_chunks_exact_mut(depth * cols).zip(w.par_chunks(depth * cols)).for_each(|(panel, codes)| {
            for (column, code) in codes.chunks_exact(depth).enumerate() {
                for (row, &value) in panel.chunks_exact_mut(cols).zip(code) {
                    row[column] = value;
                }
            }
        });
        let mut bias = vec![f32::NEG_INFINITY; padded];
        for (bias, code) in bias.iter_mut().zip(w.chunks_exact(depth)) {
            *bias = (-0.5 * code.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>()) as f32;
        }
        let index = (0..padded).map(|k| k as f32).collect();
        Self { isa, w, num_codes, depth, panels, bias, index }
    }

    /// The `wanted` nearest codes of each row of `x`.
    pub(crate) fn search(&self, x: &[f32], wanted: usize, codes: &mut [u32]) {
        let (rows, cols) = (self.isa.tiles[0].rows, self.isa.tiles[0].cols);
        let n = x.len() / self.depth;
        let mut best = vec![Best::EMPTY; n.next_multiple_of(rows)];
        let pass = (PASS / (self.depth * cols)).max(1);
        let panels: Vec<&[f32]> = self.panels.chunks_exact(self.depth * cols).collect();
        for (i, panels) in panels.chunks(pass).enumerate() {
            for (tile_rows, best) in (0..n).step_by(rows).zip(best.chunks_exact_mut(rows)) {
                let mut a = [x.as_ptr(); MAX_ROWS];
                for (r, a) in a[..rows].iter_mut().enumerate() {
                    *a = x[(tile_rows + r).min(n - 1) * self.depth..].as_ptr();
                }
                for (j, panel) in panels.iter().enumerate() {
                    let first = (i * pass + j) * cols;
                    let tile = ScoreTile {
                        a,
                        depth: self.depth,
                        b: panel.as_ptr(),
                        bias: self.bias[first..].as_ptr(),
                        index: self.index[first..].as_ptr(),
                        best: best.as_mut_ptr(),
                    };
                    // SAFETY: each row has `depth` elements, the panel `depth` rows of `cols`, bias and index are
                    // padded to whole panels, and there is one `Best` for each row of the tile.
                    unsafe { (self.isa.score)(&tile) };
                }
            }
        }
        let mut candidates = Vec::with_capacity(2 * MAX_SCORE_COLS);
        for ((x, best), codes) in x.chunks_exact(self.depth).zip(&best).zip(codes.chunks_exact_mut(wanted)) {
            self.decide(x, best, &mut candidates, codes);
        }
    }

    /// Picks the nearest codes from the best of each lane.
    fn decide(&self, x: &[f32], best: &Best, candidates: &mut Vec<(f64, usize)>, codes: &mut [u32]) {
        let wanted = codes.len().min(self.num_codes);
        let lanes = self.isa.tiles[0].cols;
        let (scores, second_scores) = (&best.score[..lanes], &best.second_score[..lanes]);
        let worst = worst_of_best(scores, second_scores, wanted);
        let least = ((f64::from(worst) - self.slack(x, worst)) as f32).next_down();
        candidates.clear();
        if !worst.is_finite() || least.is_nan() {
            // Inputs or scores beyond f32: all that is left is to ask for every distance.
            candidates.extend((0..self.num_codes).map(|k| (self.distance(x, k), k)));
        } else {
            for (scores, index) in [(scores, &best.index), (second_scores, &best.second_index)] {
                // Most lanes are far off: they are looked at together first.
                if scores.iter().filter(|&&score| score >= least).count() == 0 {
                    continue;
                }
                for (&score, &index) in scores.iter().zip(index) {
                    if score >= least {
                        candidates.push((0.0, index as usize));
                    }
                }
            }
            if candidates.len() > 1 {
                for candidate in candidates.iter_mut() {
                    candidate.0 = self.distance(x, candidate.1);
                }
            }
        }
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (i, code) in codes.iter_mut().enumerate() {
            *code = candidates[i.min(wanted - 1)].1 as u32;
        }
    }

    /// How far two scores of at least `score` may be off by rounding: a score is x·w − ‖w‖²/2, and
    /// ‖w‖ ≤ ‖x‖ + ‖x − w‖, where ‖x − w‖² = ‖x‖² − 2 · score.
    fn slack(&self, x: &[f32], score: f32) -> f64 {
        let x: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let away = (x - 2.0 * f64::from(score)).max(0.0);
        (x + (x.sqrt() + away.sqrt()).powi(2)) * f64::from(f32::EPSILON) * (2.0 + self.depth as f64).sqrt()
    }

    fn distance(&self, x: &[f32], code: usize) -> f64 {
        let w = &self.w[code * self.depth..][..self.depth];
        x.iter().zip(w).map(|(&x, &w)| (f64::from(x) - f64::from(w)).powi(2)).sum()
    }
}

/// The score of the last of the `wanted` best (one or two), given the best and the second best of each lane.
fn worst_of_best(scores: &[f32], second_scores: &[f32], wanted: usize) -> f32 {
    let mut top = [f32::NEG_INFINITY; 2];
    if wanted == 1 {
        // Lane by lane, so that many are compared at once.
        let (chunks, rest) = scores.as_chunks::<8>();
        let mut lanes = [f32::NEG_INFINITY; 8];
        for chunk in chunks {
            for (lane, &score) in lanes.iter_mut().zip(chunk) {
                *lane = if score > *lane { score } else { *lane };
            }
        }
        return lanes.iter().chain(rest).fold(top[0], |top, &score| if score > top { score } else { top });
    }
    for &score in scores.iter().chain(second_scores) {
        if score > top[0] {
            top = [score, top[0]];
        } else if score > top[1] {
            top[1] = score;
        }
    }
    top[1]
}
