//! The gradient of a convolution's weight by Winograd's method: the transposes of the transforms that lead forward. For
//! each value of the transform, products of tiles of outputs' gradients and tiles of inputs are summed over all tiles;
//! the sums are brought back to taps at the end.

use super::cache::APART;
use super::geometry::{Dims, Window};
use super::winograd::Winograd;
use crate::memory::{Aligned, with_scratch};
use crate::simd::bounds::{MAX_COLS, MAX_ROWS};
use crate::simd::isa::{Isa, Tile};
use crate::simd::tile::GradTile;
use crate::simd::winograd::{MAX_POINTS, OUTPUTS, Scatter, weight_rows};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of a band's transformed tiles, of both sides.
const BAND: usize = 256 * 1024;

/// Partial sums are kept for at most this many chunks of the tiles: by the shapes alone, so that bits do not depend on
/// the number of threads.
const CHUNKS: usize = 4;

/// As [`super::weight_grad::weight_gradient`], by Winograd's method.
pub(super) fn weight_grad(
    isa: &Isa,
    winograd: Winograd,
    (pixels, pixel_dims): (&[f32], Dims),
    (patches, patch_dims): (&[f32], Dims),
    window: Window,
) -> Vec<f32> {
    let depth = winograd.depth(patch_dims.channels);
    let tile = isa.tile_covering(pixel_dims.channels, depth);
    let job = Job { winograd, tile, pixels, pixel_dims, patches, patch_dims, window, depth };
    let tiles = pixel_dims.images * job.grid()[0] * job.grid()[1];
    let chunk = tiles.div_ceil(CHUNKS).next_multiple_of(job.band_len()).max(1);
    // Where there are more threads than chunks, the pixels' channels are shared out too.
    let slices = (2 * rayon::current_num_threads()).div_ceil(tiles.div_ceil(chunk).max(1));
    let slice = pixel_dims.channels.div_ceil(slices).next_multiple_of(isa.lanes);
    let tasks: Vec<(Range<usize>, Range<usize>)> = (0..tiles)
        .step_by(chunk)
        .flat_map(|first| {
            let channels = (0..pixel_dims.channels).step_by(slice);
            channels.map(move |c| (first..tiles.min(first + chunk), c..pixel_dims.channels.min(c + slice)))
        })
        .collect();
    let sums: Vec<Vec<f32>> = tasks
        .into_par_iter()
        .map(|(tiles, channels)| with_scratch(|scratch| job.sums(tiles, channels, scratch)))
        .collect();
    job.reduce(&sums, slice)
}

struct Job<'a> {
    winograd: Winograd<'a>,
    tile: &'a Tile,
    pixels: &'a [f32],
    pixel_dims: Dims,
    patches: &'a [f32],
    patch_dims: Dims,
    window: Window,
    /// Channels of a transformed tile of patches.
    depth: usize,
}

impl Job<'_> {
    /// Rows and columns of tiles in an image.
    fn grid(&self) -> [usize; 2] {
        [self.pixel_dims.height.div_ceil(OUTPUTS), self.pixel_dims.width.div_ceil(OUTPUTS)]
    }

    /// Tiles that are transformed together, by the shapes alone.
    fn band_len(&self) -> usize {
        (BAND / (self.winograd.values() * (self.depth + self.pixel_dims.channels))).clamp(8, 64)
    }

    fn blocks(&self) -> usize {
        self.depth.div_ceil(self.tile.cols)
    }

    /// The sums of some tiles for some of the pixels' channels: [value][block][group][row][column].
    fn sums(&self, tiles: Range<usize>, channels: Range<usize>, scratch: &mut Aligned) -> Vec<f32> {
        let (values, depth) = (self.winograd.values(), self.depth);
        let (rows, cols) = (self.tile.rows, self.tile.cols);
        let (groups, blocks) = (channels.len().div_ceil(rows), self.blocks());
        let mut sums = vec![0f32; values * blocks * groups * rows * cols];
        let band_len = self.band_len();
        let pixel_stride = band_len * channels.len() + APART;
        let patch_stride = band_len * depth + APART;
        // The last group and the last block reach beyond the last tile.
        let pixels_len = values * pixel_stride + MAX_ROWS;
        let patches_len = values * patch_stride + MAX_COLS;
        scratch.resize(pixels_len + patches_len + self.pixel_dims.channels.max(self.patch_dims.channels));
        let (pixels, rest) = scratch.split_at_mut(pixels_len);
        let (patches, zeros) = rest.split_at_mut(patches_len);
        zeros.fill(0.0);
        for first in tiles.clone().step_by(band_len) {
            let band = first..tiles.end.min(first + band_len);
            for (i, tile) in band.clone().enumerate() {
                let to = (pixels[i * channels.len()..].as_mut_ptr(), pixel_stride);
                let patch = (patches[i * depth..].as_mut_ptr(), patch_stride);
                // SAFETY: the values of a tile lie a stride apart, each with room for all channels of every tile of a
                // band.
                unsafe {
                    self.transform_pixels(tile, channels.clone(), zeros, to);
                    self.transform_patch(tile, zeros, patch);
                }
            }
            let mut tiles = sums.chunks_exact_mut(rows * cols);
            for value in 0..values {
                for block in 0..blocks {
                    for group in 0..groups {
                        let Some(tile) = tiles.next() else { return sums };
                        let tile = GradTile {
                            a: pixels[value * pixel_stride + group * rows..].as_ptr(),
                            a_stride: channels.len(),
                            b: patches[value * patch_stride + block * cols..].as_ptr(),
                            pixels: [1, 1, band.len()],
                            strides: [0, 0, depth],
                            c: tile.as_mut_ptr(),
                        };
                        // SAFETY: each of the band's tiles has its channels behind `a` and `b`, a stride apart; what
                        // the last group and block read beyond them lies in the buffers, and goes to sums that nobody
                        // looks at.
                        unsafe { (self.tile.grad)(&tile) };
                    }
                }
            }
        }
        sums
    }

    /// A tile's image, row and column.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let [rows, columns] = self.grid();
        (tile / (rows * columns), tile / columns % rows * OUTPUTS, tile % columns * OUTPUTS)
    }

    /// Transforms some channels of a tile of pixels.
    ///
    /// # Safety
    ///
    /// As [`Winograd::transform`], for these channels.
    unsafe fn transform_pixels(
        &self,
        tile: usize,
        channels: Range<usize>,
        zeros: &[f32],
        (to, stride): (*mut f32, usize),
    ) {
        let dims = self.pixel_dims;
        let (image, row, column) = self.place(tile);
        let mut pixels = [zeros.as_ptr(); OUTPUTS * OUTPUTS];
        for (i, pixels) in pixels.chunks_exact_mut(OUTPUTS).enumerate().take(dims.height - row) {
            let line = &self.pixels[image * dims.image() + (row + i) * dims.line()..][..dims.line()];
            for (j, pixel) in pixels.iter_mut().enumerate().take(dims.width - column) {
                *pixel = line[(column + j) * dims.channels..][channels.clone()].as_ptr();
            }
        }
        let tile = Scatter { pixels: pixels.as_ptr(), channels: channels.len(), to, stride };
        // SAFETY: each pixel has these channels; the rest is the caller's contract.
        unsafe { (self.winograd.transforms.output_grad)(&tile) };
    }

    /// Transforms the patch under a tile of pixels.
    ///
    /// # Safety
    ///
    /// As [`Winograd::transform`].
    unsafe fn transform_patch(&self, tile: usize, zeros: &[f32], to: (*mut f32, usize)) {
        let (image, row, column) = self.place(tile);
        let at = |pixel: usize| (pixel * self.window.stride) as isize - self.window.padding as isize;
        let image = &self.patches[image * self.patch_dims.image()..][..self.patch_dims.image()];
        // SAFETY: the caller's contract.
        unsafe { self.winograd.transform(image, self.patch_dims, (at(row), at(column)), zeros, to) };
    }

    /// Adds up the chunks' sums in order, brings them back to taps and into PyTorch's layout.
    fn reduce(&self, sums: &[Vec<f32>], slice: usize) -> Vec<f32> {
        let (outputs, channels) = (self.pixel_dims.channels, self.patch_dims.channels);
        let (rows, cols, blocks) = (self.tile.rows, self.tile.cols, self.blocks());
        let (points, taps, step) = (self.winograd.transforms.points, self.winograd.transforms.taps, self.winograd.step);
        let weights = weight_rows(taps);
        let all_taps = self.window.height * self.window.width;
        let slices = outputs.div_ceil(slice);
        let mut grad = vec![0f32; outputs * channels * all_taps];
        grad.par_chunks_exact_mut(channels * all_taps).enumerate().for_each(|(output, grad)| {
            let (group, row) = (output % slice / rows, output % slice % rows);
            let groups = slice.min(outputs - output / slice * slice).div_ceil(rows);
            for block in 0..blocks {
                let mut halves = [[[0f32; MAX_COLS]; 3]; MAX_POINTS];
                for (i, half) in halves.iter_mut().enumerate().take(points) {
                    for (j, weights) in weights.iter().enumerate() {
                        let mut total = [0f32; MAX_COLS];
                        let at = ((((i * points + j) * blocks + block) * groups + group) * rows + row) * cols;
                        for sums in sums.iter().skip(output / slice).step_by(slices) {
                            for (total, sum) in total.iter_mut().zip(&sums[at..at + cols]) {
                                *total += sum;
                            }
                        }
                        for (half, weight) in half.iter_mut().zip(weights).take(taps) {
                            for (half, total) in half.iter_mut().zip(&total) {
                                *half += weight * total;
                            }
                        }
                    }
                }
                for tap in 0..taps * taps {
                    let mut whole = [0f32; MAX_COLS];
                    for (half, weights) in halves.iter().zip(&weights) {
                        for (whole, half) in whole.iter_mut().zip(&half[tap % taps]) {
                            *whole += weights[tap / taps] * half;
                        }
                    }
                    for (k, &whole) in (block * cols..self.depth.min((block + 1) * cols)).zip(&whole) {
                        let (set, channel) = (k / channels, k % channels);
                        let (ky, kx) = (tap / taps * step + set / step, tap % taps * step + set % step);
                        grad[channel * all_taps + ky * self.window.width + kx] = whole;
                    }
                }
            }
        });
        grad
    }
}
