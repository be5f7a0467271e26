//! The gradient of a convolution's weight of any shape: for each tap a product of two matrices over all pixels. Both
//! sides are packed once per band of pixels and reused by all taps.

use super::geometry::{Dims, Window};
use crate::memory::{Aligned, with_scratch};
use crate::simd::isa::{Isa, Tile};
use crate::simd::tile::GradTile;
use rayon::prelude::*;
use std::ops::Range;

/// Pixels of one band at most; a band of both sides fits a second-level cache.
const BAND_PIXELS: usize = 256;

/// Elements of a band's patches at most.
const BAND_PATCHES: usize = 64 * 1024;

/// Partial sums are kept for at most this many chunks of the bands: by the shapes alone, so that bits do not depend on
/// the number of threads.
const CHUNKS: usize = 8;

/// A chunk has at least this many bands, as far as there are.
const CHUNK_BANDS: usize = 4;

/// Elements that one task adds up over the chunks.
const REDUCED: usize = 4096;

/// As [`super::weight_grad::weight_gradient`], for any shapes.
pub(super) fn weight_grad(
    isa: &Isa,
    (pixels, pixel_dims): (&[f32], Dims),
    (patches, patch_dims): (&[f32], Dims),
    window: Window,
) -> Vec<f32> {
    let job = Job::new(isa, (pixels, pixel_dims), (patches, patch_dims), window);
    let bands = job.bands();
    let chunks: Vec<&[Band]> = bands.chunks(bands.len().div_ceil(CHUNKS).max(CHUNK_BANDS)).collect();
    let chunk_len = job.blocks * job.block_len();
    let mut sums = vec![0f32; chunks.len() * chunk_len];
    if chunk_len == 0 {
        return sums;
    }
    // Where there are more threads than chunks, a chunk's column blocks are shared out too.
    let slice = job.blocks.div_ceil((2 * rayon::current_num_threads()).div_ceil(chunks.len().max(1)));
    let tasks: Vec<(&[Band], Range<usize>, &mut [f32])> = sums
        .chunks_exact_mut(chunk_len)
        .zip(&chunks)
        .flat_map(|(sums, bands)| {
            sums.chunks_mut(slice * job.block_len()).enumerate().map(|(i, sums)| {
                let first = i * slice;
                (*bands, first..job.blocks.min(first + slice), sums)
            })
        })
        .collect();
    tasks.into_par_iter().for_each(|(bands, blocks, sums)| {
        with_scratch(|scratch| {
            for band in bands {
                job.add_band(band, blocks.clone(), scratch, sums);
            }
        });
    });
    job.reduce(sums, chunk_len)
}

/// Part of the pixels.
pub(super) struct Band {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Band {
    pub(super) fn pixels(&self) -> usize {
        self.images.len() * self.rows.len() * self.columns.len()
    }
}

pub(super) struct Job<'a> {
    pub(super) tile: &'a Tile,
    pub(super) pixels: &'a [f32],
    pub(super) pixel_dims: Dims,
    pub(super) patches: &'a [f32],
    pub(super) patch_dims: Dims,
    pub(super) window: Window,
    /// Whether patches are laid out in full, all taps' channels side by side: for few channels.
    unrolled: bool,
    /// Blocks of the tile's columns: of channels, or of taps × channels if unrolled.
    blocks: usize,
    /// Taps for which a block is shifted: 1 if unrolled.
    taps: usize,
    /// Groups of the tile's rows.
    groups: usize,
}

impl<'a> Job<'a> {
    fn new(
        isa: &'a Isa,
        (pixels, pixel_dims): (&'a [f32], Dims),
        (patches, patch_dims): (&'a [f32], Dims),
        window: Window,
    ) -> Self {
        let taps = window.height * window.width;
        let wide = isa.tiles[0].cols;
        let shifted = taps * patch_dims.channels.next_multiple_of(wide);
        let unrolled = taps > 1 && shifted * 2 > (taps * patch_dims.channels).next_multiple_of(wide) * 3;
        let columns = if unrolled { taps * patch_dims.channels } else { patch_dims.channels };
        let tile = isa.tile_covering(pixel_dims.channels, columns);
        Self {
            tile,
            pixels,
            pixel_dims,
            patches,
            patch_dims,
            window,
            unrolled,
            blocks: columns.div_ceil(tile.cols),
            taps: if unrolled { 1 } else { taps },
            groups: pixel_dims.channels.div_ceil(tile.rows),
        }
    }

    /// Elements of the sums of one block: [tap][group][row][column].
    fn block_len(&self) -> usize {
        self.taps * self.groups * self.tile.rows * self.tile.cols
    }

    /// Cuts the pixels into bands, by the shapes alone.
    fn bands(&self) -> Vec<Band> {
        let dims = self.pixel_dims;
        if dims.len() == 0 {
            return Vec::new();
        }
        let size = |rows: usize, columns: usize| {
            let [lines, width] = self.extent(rows, columns);
            lines * width * self.patch_dims.channels
        };
        let (mut rows, mut columns) = (dims.height, dims.width);
        while rows * columns > 1 && (rows * columns > BAND_PIXELS || size(rows, columns) > BAND_PATCHES) {
            if rows > 1 && (rows * 4 > columns || columns == 1) {
                rows = rows.div_ceil(2);
            } else {
                columns = columns.div_ceil(2);
            }
        }
        let images = if (rows, columns) == (dims.height, dims.width) {
            (BAND_PATCHES / size(rows, columns)).min(BAND_PIXELS / (rows * columns)).max(1)
        } else {
            1
        };
        let mut bands = Vec::new();
        for image in (0..dims.images).step_by(images) {
            for row in (0..dims.height).step_by(rows) {
                for column in (0..dims.width).step_by(columns) {
                    bands.push(Band {
                        images: image..dims.images.min(image + images),
                        rows: row..dims.height.min(row + rows),
                        columns: column..dims.width.min(column + columns),
                    });
                }
            }
        }
        bands
    }

    /// Lines and columns of the patches' image under a window over `rows` × `columns` pixels.
    pub(super) fn extent(&self, rows: usize, columns: usize) -> [usize; 2] {
        let w = self.window;
        [(rows - 1) * w.stride + w.height, (columns - 1) * w.stride + w.width]
    }

    /// Adds a band's products to the sums of `blocks`.
    fn add_band(&self, band: &Band, blocks: Range<usize>, scratch: &mut Aligned, sums: &mut [f32]) {
        let (rows, cols) = (self.tile.rows, self.tile.cols);
        let [lines, width] = self.extent(band.rows.len(), band.columns.len());
        let positions = if self.unrolled { band.pixels() } else { band.images.len() * lines * width };
        let group_len = band.pixels() * rows;
        let block_len = positions * cols;
        scratch.resize(blocks.len() * block_len + self.groups * group_len);
        let (packed_patches, packed_pixels) = scratch.split_at_mut(blocks.len() * block_len);
        self.pack_pixels(band, packed_pixels);
        for (block, to) in blocks.zip(packed_patches.chunks_exact_mut(block_len)) {
            if self.unrolled {
                self.pack_unrolled(band, block, to);
            } else {
                self.pack_block(band, block, to);
            }
        }
        let (extents, strides) = self.walk(band, lines, width);
        let mut tiles = sums.chunks_exact_mut(rows * cols);
        for block in packed_patches.chunks_exact(block_len) {
            for tap in 0..self.taps {
                let (ky, kx) = (tap / self.window.width, tap % self.window.width);
                let shift = if self.unrolled { 0 } else { (ky * width + kx) * cols };
                for group in packed_pixels.chunks_exact(group_len) {
                    let Some(tile) = tiles.next() else { return };
                    let tile = GradTile {
                        a: group.as_ptr(),
                        a_stride: rows,
                        b: block[shift..].as_ptr(),
                        pixels: extents,
                        strides,
                        c: tile.as_mut_ptr(),
                    };
                    // SAFETY: the group holds one set of rows for each of the band's pixels, the block one set of
                    // columns for each position that the shifted window reaches, the tile is ours.
                    unsafe { (self.tile.grad)(&tile) };
                }
            }
        }
    }

    /// How the pixels of a band lie in a packed block: counts and strides of images, lines and pixels.
    fn walk(&self, band: &Band, lines: usize, width: usize) -> ([usize; 3], [usize; 3]) {
        let cols = self.tile.cols;
        let contiguous = self.window.stride == 1 && self.window.height == 1 && self.window.width == 1;
        if self.unrolled || contiguous {
            return ([1, 1, band.pixels()], [0, 0, cols]);
        }
        let stride = self.window.stride;
        (
            [band.images.len(), band.rows.len(), band.columns.len()],
            [lines * width * cols, stride * width * cols, stride * cols],
        )
    }

    /// The position in the patches' image of the window's corner at a band's first pixel.
    pub(super) fn corner(&self, band: &Band) -> (isize, isize) {
        let at = |pixel: usize| (pixel * self.window.stride) as isize - self.window.padding as isize;
        (at(band.rows.start), at(band.columns.start))
    }

    /// Adds up the chunks' sums in order and brings them into PyTorch's layout.
    fn reduce(&self, mut sums: Vec<f32>, chunk_len: usize) -> Vec<f32> {
        let (rows, cols) = (self.tile.rows, self.tile.cols);
        let (total, others) = sums.split_at_mut(chunk_len);
        total.par_chunks_mut(REDUCED).enumerate().for_each(|(i, total)| {
            for other in others.chunks_exact(chunk_len) {
                for (total, sum) in total.iter_mut().zip(&other[i * REDUCED..]) {
                    *total += sum;
                }
            }
        });
        let total = &*total;
        let (outputs, channels) = (self.pixel_dims.channels, self.patch_dims.channels);
        let taps = self.window.height * self.window.width;
        let mut grad = vec![0f32; outputs * channels * taps];
        grad.par_chunks_exact_mut(channels * taps).enumerate().for_each(|(output, grad)| {
            let (group, row) = (output / rows, output % rows);
            let tile = |block: usize, tap: usize| {
                &total[(((block * self.taps + tap) * self.groups + group) * rows + row) * cols..][..cols]
            };
            for block in 0..self.blocks {
                let columns = block * cols..(channels * taps / self.taps).min((block + 1) * cols);
                for tap in 0..self.taps {
                    for (column, &sum) in columns.clone().zip(tile(block, tap)) {
                        let (tap, channel) =
                            if self.unrolled { (column / channels, column % channels) } else { (tap, column) };
                        grad[channel * taps + tap] = sum;
                    }
                }
            }
        });
        grad
    }
}
