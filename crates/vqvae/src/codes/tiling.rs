//! Large pictures in bounded memory: overlapping tiles, of which only the part that cannot see a cut is kept.

use crate::model::config::{Architecture, ArchitectureKind};

/// The longest side of a tile's core, in pixels; pictures of up to twice this area go in one piece.
const CORE: usize = 1024;

/// A span of a picture's side, in units of the model's stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// What is computed.
    pub(crate) outer: (usize, usize),
    /// What is kept of it.
    pub(crate) core: (usize, usize),
}

impl Span {
    /// Where the core starts inside the outer span.
    pub(crate) fn offset(&self) -> usize {
        self.core.0 - self.outer.0
    }

    /// Length of the core.
    pub(crate) fn len(&self) -> usize {
        self.core.1 - self.core.0
    }
}

impl Architecture {
    /// How far, in units of the stride, a code or pixel can see: the receptive field of every convolution between
    /// picture and codes, and between codes and picture, on one side.
    pub(crate) fn halo(&self) -> usize {
        let stack = self.residual_layers + 1; // 3×3 convolutions in a row
        match self.kind {
            // All stages of stride 2 together see less than one code to a side.
            ArchitectureKind::VqVae => stack + 1,
            // At an eighth: the top encoder and decoder with their strided ends; at a quarter: the bottom encoder.
            ArchitectureKind::VqVae2 => 2 * (stack + 1) + (stack + 1).div_ceil(2),
        }
    }
}

/// Cuts a side of `length` units into spans whose cores partition it.
fn spans(length: usize, core: usize, halo: usize) -> Vec<Span> {
    (0..length)
        .step_by(core)
        .map(|start| {
            let end = (start + core).min(length);
            Span { outer: (start.saturating_sub(halo), (end + halo).min(length)), core: (start, end) }
        })
        .collect()
}

/// Whether a picture of `height` × `width` pixels goes in one piece.
pub(crate) fn is_one_tile(height: usize, width: usize) -> bool {
    height * width <= 2 * CORE * CORE
}

/// The tiles (rows, columns) of a picture of `height` × `width` units: one for pictures of ordinary size.
pub(crate) fn tiles(architecture: &Architecture, height: usize, width: usize) -> Vec<(Span, Span)> {
    let stride = architecture.stride();
    let whole = is_one_tile(height * stride, width * stride);
    let cut = |length| {
        let core = if whole { length } else { CORE / stride };
        spans(length, core, architecture.halo())
    };
    let columns = cut(width);
    cut(height).into_iter().flat_map(|row| columns.iter().map(move |&column| (row, column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_partition_the_side() {
        for length in [1, 2, 255, 256, 257, 1000] {
            let spans = spans(length, 256, 5);
            assert_eq!(spans[0].core.0, 0);
            assert_eq!(spans[spans.len() - 1].core.1, length);
            for pair in spans.windows(2) {
                assert_eq!(pair[0].core.1, pair[1].core.0);
                assert_eq!(pair[0].outer.1, (pair[0].core.1 + 5).min(length));
                assert_eq!(pair[1].outer.0, pair[1].core.0 - 5);
            }
        }
    }

    #[test]
    fn ordinary_pictures_are_one_tile() {
        assert_eq!(tiles(&Architecture::vqvae(), 427usize.div_ceil(4), 160).len(), 1);
        assert_eq!(tiles(&Architecture::vqvae(), 750, 1000).len(), 12);
    }
}
