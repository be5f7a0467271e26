//! What counts of a reconstruction's error, besides each value's square.

use candle_core::{Result, Tensor};

/// Sides of the blocks whose mean errors count.
const BLOCKS: [usize; 3] = [2, 4, 8];

/// Weights of what a reconstruction is trained by besides the mean squared error of its values e, in normalized units:
/// mean(e²) + `color` · mean((e − ē)²) + `coarse` · (1/3) Σ_s s² · mean(ē_s²), where ē is the mean of a pixel's three
/// errors, and ē_s are the means of blocks of s × s errors of a channel, for s = 2, 4 and 8.
///
/// The first makes errors in color count more than errors in brightness alone; the second makes errors that neighbors
/// share count more than those that cancel: false colors and steps in smooth areas, not the grain of textures. Of an error
/// without any order each of the four terms is as large as mean(e²), but for the part of brightness in the first. Blocks
/// that do not divide the sides are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ErrorWeights {
    pub(crate) color: f64,
    pub(crate) coarse: f64,
}

impl ErrorWeights {
    /// Whether the mean squared error is all that counts.
    pub(crate) fn are_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The gradient of the whole by the reconstruction, from that of the mean squared error [N, H, W, 3]: each term is the
    /// square of a projection of the errors, so its gradient is the projection of theirs.
    pub(crate) fn gradient(&self, errors: &Tensor) -> Result<Tensor> {
        let mut sum = errors.clone();
        if self.color != 0.0 {
            let of_color = errors.broadcast_sub(&errors.mean_keepdim(3)?)?;
            sum = (sum + of_color.affine(self.color, 0.0)?)?;
        }
        let (n, h, w, c) = errors.dims4()?;
        for side in BLOCKS.into_iter().filter(|side| self.coarse != 0.0 && h % side == 0 && w % side == 0) {
            let rows = errors.reshape((n * (h / side), side, w * c))?.mean(1)?;
            let means = rows.reshape((n * (h / side) * (w / side), side, c))?.mean_keepdim(1)?;
            let rows = means.broadcast_as((n * (h / side) * (w / side), side, c))?.contiguous()?;
            let rows = rows.reshape((n * (h / side), 1, w * c))?;
            let all = rows.broadcast_as((n * (h / side), side, w * c))?.contiguous()?.reshape((n, h, w, c))?;
            sum = (sum + all.affine(self.coarse / 3.0 * (side * side) as f64, 0.0)?)?;
        }
        Ok(sum)
    }
}
