//! What a kernel sees, laid out for matrix products.
//!
//! Portable maps are [H, N, W, C]: a row holds that row of every picture. A *strip* puts side by side what a kernel sees of
//! as many rows as its stride. The kernel's other rows are the same strips further down, which is a view. So a convolution
//! costs one copy and ⌈k / stride⌉ matrix products, whose operands lie contiguous in memory.

use candle_core::{Device, Result, Tensor};

use crate::model::network::conv_config::ConvConfig;

/// How many numbers the strips of a tile may hold: 8 MiB on a CPU, 256 MiB on an accelerator.
fn tile_elements(device: &Device) -> usize {
    if device.is_cpu() { 1 << 21 } else { 1 << 26 }
}

/// The strips of maps for a kernel.
pub(super) struct Strips {
    /// [rows, N, columns, C] with zeros around.
    framed: Tensor,
    kernel: usize,
    stride: usize,
    /// (height, N, width) of what a convolution gives.
    pub(super) output: (usize, usize, usize),
}

/// The strips behind some rows of the output, [rows + taps − 1, N · width, stride · k · C].
pub(super) struct Tile {
    strips: Tensor,
    /// The first of these rows.
    pub(super) first: usize,
    /// How many they are.
    pub(super) rows: usize,
}

impl Strips {
    pub(super) fn new(maps: &Tensor, config: ConvConfig) -> Result<Self> {
        let ConvConfig { kernel, stride, padding, .. } = config;
        let (height, n, width, _) = maps.dims4()?;
        let outputs = |size: usize| match (size + 2 * padding).checked_sub(kernel) {
            Some(steps) => Ok(steps / stride + 1),
            None => candle_core::bail!("a kernel of {kernel}×{kernel} does not fit into maps of {height}×{width}"),
        };
        let output = (outputs(height)?, n, outputs(width)?);
        let framed = frame(maps, 2, padding, (output.2 - 1) * stride + kernel)?;
        let framed = frame(&framed, 0, padding, (output.0 + taps(kernel, stride) - 1) * stride)?;
        Ok(Self { framed: framed.contiguous()?, kernel, stride, output })
    }

    /// How many products a convolution is the sum of.
    pub(super) fn taps(&self) -> usize {
        taps(self.kernel, self.stride)
    }

    /// Tiles of bounded size, from the first row of the output to the last.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Result<Tile>> + '_ {
        let (height, n, width) = self.output;
        let channels = self.framed.dims()[3];
        let per_row = n * width * self.stride * self.kernel * channels;
        let rows = (tile_elements(self.framed.device()) / per_row.max(1)).clamp(1, height);
        (0..height).step_by(rows).map(move |first| self.tile(first, rows.min(height - first)))
    }

    fn tile(&self, first: usize, rows: usize) -> Result<Tile> {
        let (_, n, width) = self.output;
        let (_, _, columns, channels) = self.framed.dims4()?;
        let strips = rows + self.taps() - 1;
        let seen = self.framed.narrow(0, first * self.stride, strips * self.stride)?;
        let seen = match self.kernel {
            1 if self.stride == 1 => seen,
            // [strips, stride, N, width, C, k], a view.
            _ => seen
                .reshape((strips, self.stride, n, columns, channels))?
                .unfold(3, self.kernel, self.stride)?
                .permute([0, 2, 3, 1, 5, 4].as_slice())?
                .contiguous()?,
        };
        let strips = seen.reshape((strips, n * width, self.stride * self.kernel * channels))?;
        Ok(Tile { strips, first, rows })
    }
}

impl Tile {
    /// What the `tap`-th rows of the kernel see, [rows · N · width, stride · k · C].
    pub(super) fn tap(&self, tap: usize) -> Result<Tensor> {
        self.strips.narrow(0, tap, self.rows)?.flatten(0, 1)
    }
}

/// A kernel [k, k, C, O] as the strips' factor for each tap → [taps, stride · k · C, O].
pub(super) fn by_tap(kernel: &Tensor, stride: usize) -> Result<Tensor> {
    let (size, _, channels, outputs) = kernel.dims4()?;
    let taps = taps(size, stride);
    let kernel = kernel.contiguous()?.pad_with_zeros(0, 0, taps * stride - size)?;
    kernel.reshape((taps, stride * size * channels, outputs))
}

/// What [`by_tap`] gives → [k, k, C, O].
pub(super) fn from_taps(by_tap: &Tensor, size: usize, stride: usize) -> Result<Tensor> {
    let (taps, _, outputs) = by_tap.dims3()?;
    by_tap.reshape((taps * stride, size, (), outputs))?.narrow(0, 0, size)
}

fn taps(kernel: usize, stride: usize) -> usize {
    kernel.div_ceil(stride)
}

/// `x` with `before` zeros in front of `axis` and as many behind, or so much cut off, that it is `len` long.
fn frame(x: &Tensor, axis: usize, before: usize, len: usize) -> Result<Tensor> {
    let kept = x.dim(axis)?.min(len - before);
    x.narrow(axis, 0, kept)?.pad_with_zeros(axis, before, len - before - kept)
}
