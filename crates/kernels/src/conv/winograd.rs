//! The forward direction of convolutions by Winograd's method: tiles of input are transformed, met by the transformed
//! weights in one product for each of the transform's values, and transformed back to 4×4 outputs. That takes a
//! quarter of the multiplications of a 3×3 convolution, and 2/5 of those of a 4×4 one of stride 2 in either direction:
//! its taps are taken apart into sets of 2×2.

use super::cache::{APART, PANEL_BLOCK};
use super::epilogue::Epilogue;
use super::geometry::{Axis, Dims, pairs};
use super::weight::Weight;
use crate::memory::{Aligned, Shared, filled, with_scratch};
use crate::simd::bounds::MAX_COLS;
use crate::simd::isa::{Isa, Tile};
use crate::simd::tile::{ConvTile, Start};
use crate::simd::winograd::{Gather, MAX_POINTS, MAX_TAPS, OUTPUTS, Scatter, Transforms, weight_rows};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Elements of one task's transformed input: it fits a second-level cache.
const TASK_INPUT: usize = 144 * 1024;

/// A convolution for which the method is used.
#[derive(Clone, Copy)]
pub(crate) struct Winograd<'a> {
    pub(super) transforms: &'a Transforms,
    /// Step between the inputs of neighboring outputs: each residue is a set of taps, and of channels.
    pub(super) step: usize,
}

impl<'a> Winograd<'a> {
    /// The transforms for `taps` × `taps` taps over inputs `step` apart, where there are any and channels come in whole
    /// registers: by the weight alone, so that an output's bits do not depend on the size of the picture.
    pub(super) fn new(isa: &'a Isa, taps: [usize; 2], step: usize, channels: [usize; 2]) -> Option<Self> {
        let fits = taps[0] == taps[1]
            && taps[0].is_multiple_of(step)
            && channels.iter().all(|&channels| channels > 0 && channels.is_multiple_of(isa.lanes));
        let transforms = isa.winograd.iter().find(|transforms| fits && transforms.taps == taps[0] / step)?;
        Some(Self { transforms, step })
    }

    /// As [`Winograd::new`] for the gathering of `axes`.
    pub(super) fn of_axes(isa: &'a Isa, w: Weight, axes: (&[Axis], &[Axis])) -> Option<Self> {
        let first = axes.0.first()?;
        let alike = |axis: &Axis| axis.taps.len() == first.taps.len() && axis.in_step == first.in_step;
        let all_alike = axes.0.iter().chain(axes.1).all(alike);
        Self::new(isa, [first.taps.len(); 2], first.in_step, [w.inputs, w.outputs]).filter(|_| all_alike)
    }

    /// Values of a transformed tile.
    pub(super) fn values(&self) -> usize {
        self.transforms.points * self.transforms.points
    }

    /// Channels of a transformed tile: those of all sets.
    pub(super) fn depth(&self, channels: usize) -> usize {
        self.step * self.step * channels
    }

    /// Transforms the tile of `x` whose first input lies at row `top` and column `left` of an image, to `to`, whose
    /// values lie `stride` apart.
    ///
    /// # Safety
    ///
    /// `to` must be valid for [`Winograd::values`] times [`Winograd::depth`] elements laid out so, and nobody else's;
    /// `zeros` must hold as many as there are channels.
    pub(super) unsafe fn transform(
        &self,
        image: &[f32],
        dims: Dims,
        (top, left): (isize, isize),
        zeros: &[f32],
        (to, stride): (*mut f32, usize),
    ) {
        let points = self.transforms.points;
        for set in 0..self.step * self.step {
            let mut pixels = [zeros.as_ptr(); MAX_POINTS * MAX_POINTS];
            for (i, pixels) in pixels.chunks_exact_mut(points).take(points).enumerate() {
                let y = top + (i * self.step + set / self.step) as isize;
                if y < 0 || y >= dims.height as isize {
                    continue;
                }
                let line = &image[y as usize * dims.line()..][..dims.line()];
                for (j, pixel) in pixels.iter_mut().enumerate() {
                    let x = left + (j * self.step + set % self.step) as isize;
                    if x >= 0 && x < dims.width as isize {
                        *pixel = line[x as usize * dims.channels..][..dims.channels].as_ptr();
                    }
                }
            }
            let tile = Scatter {
                pixels: pixels.as_ptr(),
                channels: dims.channels,
                to: to.wrapping_add(set * dims.channels),
                stride,
            };
            // SAFETY: each pixel has all channels; the rest is the caller's contract.
            unsafe { (self.transforms.input)(&tile) };
        }
    }
}

/// As [`super::gather::gather`], by Winograd's method.
pub(super) fn gather(
    isa: &Isa,
    winograd: Winograd,
    (x, dims): (&[f32], Dims),
    w: Weight,
    axes: (&[Axis], &[Axis]),
    out: Dims,
    epilogue: Epilogue,
) -> Vec<f32> {
    let tile = isa.tile_for(w.outputs);
    let no_bias = vec![0.0; w.outputs];
    let job =
        Job { winograd, tile, x, dims, out, outputs: w.outputs, bias: epilogue.bias.unwrap_or(&no_bias), epilogue };
    let phases: Vec<Phase> =
        pairs(axes).map(|(y, x)| Phase { y, x, panels: w.panels((y, x), true, || job.pack(w, y, x)) }).collect();
    let tasks: Vec<(&Phase, Range<usize>)> = phases.iter().flat_map(|phase| job.tasks(phase)).collect();
    let write = |output: Shared<f32>| {
        tasks
            .par_iter()
            .for_each(|(phase, tiles)| with_scratch(|scratch| job.run(phase, tiles.clone(), scratch, output)));
    };
    // SAFETY: the axes' outputs are all rows and columns of the output, the tasks' tiles cover all outputs of the axes
    // in all images, and each tile's panels all channels.
    unsafe { filled(out.len(), write) }
}

/// One set of outputs, with its transformed weights: for each panel of columns and each value of the transform, a row
/// of columns for each channel of the transformed input.
struct Phase<'a> {
    y: &'a Axis,
    x: &'a Axis,
    panels: Arc<Aligned>,
}

impl Phase<'_> {
    /// Rows and columns of tiles in an image.
    fn grid(&self) -> [usize; 2] {
        [self.y.count.div_ceil(OUTPUTS), self.x.count.div_ceil(OUTPUTS)]
    }
}

struct Job<'a> {
    winograd: Winograd<'a>,
    tile: &'a Tile,
    x: &'a [f32],
    dims: Dims,
    out: Dims,
    outputs: usize,
    bias: &'a [f32],
    epilogue: Epilogue<'a>,
}

impl Job<'_> {
    fn depth(&self) -> usize {
        self.winograd.depth(self.dims.channels)
    }

    /// Cuts a phase's tiles into tasks. Bits do not depend on how: every output is computed by itself.
    fn tasks<'p>(&self, phase: &'p Phase<'p>) -> Vec<(&'p Phase<'p>, Range<usize>)> {
        let [rows, columns] = phase.grid();
        let tiles = self.dims.images * rows * columns;
        let fitting = TASK_INPUT / (self.winograd.values() * self.depth());
        let shared_out = tiles.div_ceil(4 * rayon::current_num_threads());
        let len = fitting.min(shared_out).next_multiple_of(self.tile.rows);
        (0..tiles).step_by(len).map(|first| (phase, first..tiles.min(first + len))).collect()
    }

    /// Transforms the weights of one set of taps.
    fn pack(&self, w: Weight, y: &Axis, x: &Axis) -> Aligned {
        let (values, points, step) = (self.winograd.values(), self.winograd.transforms.points, self.winograd.step);
        let (taps, cols, depth) = (self.winograd.transforms.taps, self.tile.cols, self.depth());
        let rows = weight_rows(taps);
        let mut panels = Aligned::zeros(values * depth * w.outputs.next_multiple_of(cols));
        panels.par_chunks_exact_mut(values * depth * cols).enumerate().for_each(|(panel, to)| {
            let first = panel * cols;
            let columns = cols.min(w.outputs - first);
            // Of one input: each tap's columns, and their transform in one direction.
            let mut kernel = [[[0f32; MAX_COLS]; MAX_TAPS]; MAX_TAPS];
            let mut half = [[[0f32; MAX_COLS]; MAX_TAPS]; MAX_POINTS];
            for k in 0..depth {
                let (set, input) = (k / w.inputs, k % w.inputs);
                for (a, kernel) in kernel.iter_mut().enumerate().take(taps) {
                    for (b, kernel) in kernel.iter_mut().enumerate().take(taps) {
                        let tap = y.taps[a * step + set / step] * w.kernel_width + x.taps[b * step + set % step];
                        let from = first * w.output_stride + input * w.input_stride + tap;
                        for (column, kernel) in kernel[..columns].iter_mut().enumerate() {
                            *kernel = w.values[from + column * w.output_stride];
                        }
                    }
                }
                for (half, row) in half.iter_mut().zip(&rows) {
                    for (b, half) in half.iter_mut().enumerate().take(taps) {
                        combine(half, row, (0..taps).map(|a| &kernel[a][b]));
                    }
                }
                for (i, half) in half.iter().enumerate().take(points) {
                    for (j, row) in rows.iter().enumerate() {
                        let mut whole = [0f32; MAX_COLS];
                        combine(&mut whole, row, half.iter().take(taps));
                        to[((i * points + j) * depth + k) * cols..][..cols].copy_from_slice(&whole[..cols]);
                    }
                }
            }
        });
        panels
    }

    fn run(&self, phase: &Phase, tiles: Range<usize>, scratch: &mut Aligned, output: Shared<f32>) {
        let (values, depth, cols) = (self.winograd.values(), self.depth(), self.tile.cols);
        let count = tiles.len().next_multiple_of(self.tile.rows);
        let (input_stride, product_stride) = (count * depth + APART, count * cols + APART);
        scratch.resize(values * (input_stride + product_stride) + self.dims.channels);
        let (inputs, rest) = scratch.split_at_mut(values * input_stride);
        let (products, zeros) = rest.split_at_mut(values * product_stride);
        zeros.fill(0.0);
        let places: Vec<Place> = tiles.map(|tile| self.place(phase, tile)).collect();
        for (i, place) in places.iter().enumerate() {
            let image = &self.x[place.image * self.dims.image()..][..self.dims.image()];
            let to = (inputs[i * depth..].as_mut_ptr(), input_stride);
            // SAFETY: the values of a tile lie `input_stride` apart, each with room for `depth` channels of every tile.
            unsafe { self.winograd.transform(image, self.dims, place.input, zeros, to) };
        }
        // What is left over of the last row of tiles repeats the last one there is.
        let rows: Vec<(usize, usize)> =
            (0..count).map(|tile| (tile.min(places.len() - 1) * depth, tile * cols)).collect();
        for first_column in (0..self.outputs).step_by(cols) {
            let panel = &phase.panels[first_column * values * depth..][..values * depth * cols];
            for (value, panel) in panel.chunks_exact(depth * cols).enumerate() {
                let (inputs, products) = (&inputs[value * input_stride..], &mut products[value * product_stride..]);
                self.multiply(inputs, panel, products, &rows);
            }
            for (i, place) in places.iter().enumerate() {
                self.finish(place, &products[i * cols..], product_stride, first_column, output);
            }
        }
    }

    /// A tile's place in input and output.
    fn place(&self, phase: &Phase, tile: usize) -> Place {
        let [rows, columns] = phase.grid();
        let (image, row, column) = (tile / (rows * columns), tile / columns % rows * OUTPUTS, tile % columns * OUTPUTS);
        let (y, x) = (phase.y, phase.x);
        let at = (image * self.out.height + y.out_first + row * y.out_step) * self.out.width
            + x.out_first
            + column * x.out_step;
        Place {
            image,
            input: (y.in_first + (row * y.in_step) as isize, x.in_first + (column * x.in_step) as isize),
            output: at * self.out.channels,
            steps: [y.out_step * self.out.line(), x.out_step * self.out.channels],
            there: [OUTPUTS.min(y.count - row), OUTPUTS.min(x.count - column)],
        }
    }

    /// The product of one value of the tiles with one panel of columns.
    fn multiply(&self, inputs: &[f32], panel: &[f32], products: &mut [f32], rows: &[(usize, usize)]) {
        const ZEROS: [f32; MAX_COLS] = [0.0; MAX_COLS];
        let cols = self.tile.cols;
        let block = PANEL_BLOCK / cols * cols;
        for (i, panel) in panel.chunks(block).enumerate() {
            for rows in rows.chunks_exact(self.tile.rows) {
                let tile = ConvTile {
                    rows: rows.as_ptr(),
                    a: inputs[i * block / cols..].as_ptr(),
                    runs: 1,
                    run: panel.len() / cols,
                    run_stride: 0,
                    b: panel.as_ptr(),
                    c: products.as_mut_ptr(),
                    start: if i == 0 { Start::Bias(ZEROS.as_ptr()) } else { Start::Output },
                    residual: std::ptr::null(),
                    relu: false,
                    mask: std::ptr::null(),
                };
                // SAFETY: each row has `depth` inputs, of which the block takes `run` from its begin, and `cols` places
                // in the products; the panel has `cols` columns for each.
                unsafe { (self.tile.conv)(&tile) };
            }
        }
    }

    /// Brings a tile's values for some columns back to outputs.
    fn finish(&self, place: &Place, from: &[f32], stride: usize, first_column: usize, output: Shared<f32>) {
        let first = place.output + first_column;
        let at = |values: Option<&[f32]>| values.map_or(std::ptr::null(), |values| values[first..].as_ptr());
        let tile = Gather {
            from: from.as_ptr(),
            stride,
            channels: self.tile.cols.min(self.outputs - first_column),
            to: output.pointer(first),
            steps: place.steps,
            there: place.there,
            bias: self.bias[first_column..].as_ptr(),
            residual: at(self.epilogue.residual),
            relu: self.epilogue.relu,
            mask: at(self.epilogue.mask),
        };
        // SAFETY: the tile's values lie `stride` apart, with as many columns as there are left; the outputs that are
        // there, like residual and mask of the same shape, have so many channels; no other task has these outputs.
        unsafe { (self.winograd.transforms.output)(&tile) };
    }
}

/// `to` = Σ weights · columns.
fn combine<'a>(to: &mut [f32; MAX_COLS], weights: &[f32], columns: impl Iterator<Item = &'a [f32; MAX_COLS]>) {
    *to = [0.0; MAX_COLS];
    for (weight, columns) in weights.iter().zip(columns) {
        for (to, column) in to.iter_mut().zip(columns) {
            *to += weight * column;
        }
    }
}

/// Where a tile's input begins, and where its outputs lie.
struct Place {
    image: usize,
    input: (isize, isize),
    /// The place of output (0, 0), and elements to the one below and the one beside.
    output: usize,
    steps: [usize; 2],
    there: [usize; 2],
}
