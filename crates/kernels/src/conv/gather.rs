//! The forward direction of a convolution and of a transposed one (each the other's input gradient): every output
//! gathers its taps from a zero-padded copy of the input and meets the weights, packed into panels, in registers.

use super::cache::PANEL_BLOCK;
use super::epilogue::Epilogue;
use super::gather_packing::{pack, pack_dot};
use super::geometry::{Axis, Dims, pairs, reach};
use super::weight::Weight;
use crate::memory::{Aligned, Shared, filled, with_scratch};
use crate::simd::bounds::{DOT_COLS, MAX_COLS, MAX_ROWS};
use crate::simd::isa::Isa;
use crate::simd::tile::{ConvTile, Start};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Elements of the zero-padded input of one task: with a panel it fits a second-level cache.
const TASK_INPUT: usize = 48 * 1024;

/// Outputs of one task at most.
const TASK_OUTPUTS: usize = 512;

/// Elements of all panels up to which they stay in a near cache together.
const PANELS_TOGETHER: usize = 16 * 1024;

/// Gathers `x` (of shape `dims`) into an output of shape `out`, with the axes of [`Axis::convolution`] or
/// [`Axis::transposed`]. Slices have the lengths that the shapes say.
pub(super) fn gather(
    isa: &Isa,
    (x, dims): (&[f32], Dims),
    w: Weight,
    axes: (&[Axis], &[Axis]),
    out: Dims,
    epilogue: Epilogue,
) -> Vec<f32> {
    // By the weight alone, so that an output's bits do not depend on the size of the picture.
    let dot = w.outputs == DOT_COLS && w.inputs.is_multiple_of(isa.lanes);
    let tile = isa.tile_for(w.outputs);
    let (rows, cols, kernel) = if dot { (isa.dot_rows, DOT_COLS, isa.dot) } else { (tile.rows, tile.cols, tile.conv) };
    let bias = padded_bias(epilogue.bias, w.outputs, cols);
    let packed = |y, x| if dot { pack_dot(w, y, x, isa.lanes) } else { pack(w, y, x, cols) };
    let phases: Vec<Phase> =
        pairs(axes).map(|(y, x)| Phase { y, x, panels: w.panels((y, x), false, || packed(y, x)) }).collect();
    let count = |axes: &[Axis]| axes.iter().map(|axis| axis.count).max().unwrap_or(0);
    let grid = (count(axes.0), count(axes.1));
    let tasks = split(dims, axes, grid, phases.len());
    let tiles = TileLoop { kernel, rows, cols, channels: w.outputs, bias: &bias, epilogue: &epilogue };
    let write = |output: Shared<f32>| {
        tasks.par_iter().for_each(|task| {
            with_scratch(|scratch| {
                let source = Source::new(x, dims, axes, task, scratch);
                let mut pixels = Vec::with_capacity(TASK_OUTPUTS);
                for phase in &phases {
                    phase.pixels(task, &source, out, &mut pixels);
                    tiles.run(phase, &source, &mut pixels, output);
                }
            });
        });
    };
    // SAFETY: the axes' outputs are all rows and columns of the output, the tasks cover all outputs of the axes, and
    // the tiles all channels.
    unsafe { filled(out.len(), write) }
}

/// One set of taps, with its weights packed: for each panel of columns, a row of columns for each tap and input.
struct Phase<'a> {
    y: &'a Axis,
    x: &'a Axis,
    panels: Arc<Aligned>,
}

/// Part of the outputs: images, and of each phase's outputs these rows and columns.
struct Task {
    images: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Cuts the outputs into tasks. Bits do not depend on how: every output is computed by itself.
fn split(dims: Dims, axes: (&[Axis], &[Axis]), grid: (usize, usize), phases: usize) -> Vec<Task> {
    if grid.0 == 0 || grid.1 == 0 || dims.images == 0 {
        return Vec::new();
    }
    let input = |rows: usize, columns: usize| {
        let (y, x) = (reach(axes.0, 0, rows), reach(axes.1, 0, columns));
        (y.1 - y.0) as usize * (x.1 - x.0) as usize * dims.channels
    };
    let outputs = TASK_OUTPUTS.div_ceil(phases);
    let (mut rows, mut columns) = grid;
    while rows * columns > 1 && (rows * columns > outputs || input(rows, columns) > TASK_INPUT) {
        // Lines are kept long: they are copied whole.
        if rows > 1 && (rows * 4 > columns || columns == 1) {
            rows = rows.div_ceil(2);
        } else {
            columns = columns.div_ceil(2);
        }
    }
    let images = if (rows, columns) == grid {
        let fitting = (TASK_INPUT / input(rows, columns).max(1)).min(outputs / (rows * columns));
        fitting.clamp(1, dims.images.div_ceil(4 * rayon::current_num_threads()))
    } else {
        1
    };
    let mut tasks = Vec::new();
    for image in (0..dims.images).step_by(images) {
        for row in (0..grid.0).step_by(rows) {
            for column in (0..grid.1).step_by(columns) {
                tasks.push(Task {
                    images: image..dims.images.min(image + images),
                    rows: row..grid.0.min(row + rows),
                    columns: column..grid.1.min(column + columns),
                });
            }
        }
    }
    tasks
}

/// Where a task reads its input: the input itself if it reaches nowhere outside, otherwise a zero-padded copy.
struct Source {
    /// The element at (`images.start`, `top`, `left`).
    values: *const f32,
    image_stride: usize,
    line_stride: usize,
    channels: usize,
    top: isize,
    left: isize,
}

impl Source {
    fn new(x: &[f32], dims: Dims, axes: (&[Axis], &[Axis]), task: &Task, scratch: &mut Aligned) -> Self {
        let (top, bottom) = reach(axes.0, task.rows.start, task.rows.end);
        let (left, right) = reach(axes.1, task.columns.start, task.columns.end);
        let inside = |from: isize, to: isize, size: usize| from >= 0 && to <= size as isize;
        if inside(top, bottom, dims.height) && inside(left, right, dims.width) {
            let at = task.images.start * dims.image() + top as usize * dims.line() + left as usize * dims.channels;
            return Self {
                values: x[at..].as_ptr(),
                image_stride: dims.image(),
                line_stride: dims.line(),
                channels: dims.channels,
                top,
                left,
            };
        }
        let lines = (bottom - top) as usize;
        let line = (right - left) as usize * dims.channels;
        scratch.resize(task.images.len() * lines * line);
        let (clip_left, clip_right) = (left.clamp(0, dims.width as isize), right.clamp(0, dims.width as isize));
        let before = (clip_left - left) as usize * dims.channels;
        let copied = (clip_right - clip_left).max(0) as usize * dims.channels;
        let mut to = scratch.chunks_exact_mut(line);
        for image in task.images.clone() {
            for y in top..bottom {
                let Some(to) = to.next() else { break };
                if y < 0 || y >= dims.height as isize || copied == 0 {
                    to.fill(0.0);
                    continue;
                }
                let from = image * dims.image() + y as usize * dims.line() + clip_left as usize * dims.channels;
                to[..before].fill(0.0);
                to[before..before + copied].copy_from_slice(&x[from..from + copied]);
                to[before + copied..].fill(0.0);
            }
        }
        Self {
            values: scratch.as_ptr(),
            image_stride: lines * line,
            line_stride: line,
            channels: dims.channels,
            top,
            left,
        }
    }
}

impl Phase<'_> {
    /// Where each output of the task finds its first tap in the source, and its place in the output.
    fn pixels(&self, task: &Task, source: &Source, out: Dims, pixels: &mut Vec<(usize, usize)>) {
        pixels.clear();
        for (i, image) in task.images.clone().enumerate() {
            for row in task.rows.start..task.rows.end.min(self.y.count) {
                let y = (self.y.in_first + (row * self.y.in_step) as isize - source.top) as usize;
                let from = i * source.image_stride + y * source.line_stride;
                let to = image * out.image() + (self.y.out_first + row * self.y.out_step) * out.line();
                for column in task.columns.start..task.columns.end.min(self.x.count) {
                    let x = (self.x.in_first + (column * self.x.in_step) as isize - source.left) as usize;
                    pixels.push((
                        from + x * source.channels,
                        to + (self.x.out_first + column * self.x.out_step) * out.channels,
                    ));
                }
            }
        }
    }
}

/// Everything about the loop over tiles that does not change from phase to phase.
struct TileLoop<'a> {
    kernel: unsafe fn(&ConvTile),
    rows: usize,
    cols: usize,
    channels: usize,
    bias: &'a [f32],
    epilogue: &'a Epilogue<'a>,
}

impl TileLoop<'_> {
    fn run(&self, phase: &Phase, source: &Source, pixels: &mut Vec<(usize, usize)>, output: Shared<f32>) {
        let Some(&last) = pixels.last() else { return };
        // The last tile is filled up with the last pixel.
        pixels.resize(pixels.len().next_multiple_of(self.rows), last);
        let run = phase.x.taps.len() * source.channels;
        let runs = if run == 0 { 0 } else { phase.y.taps.len() };
        if self.channels > self.cols && phase.panels.len() <= PANELS_TOGETHER {
            // All panels stay in the cache: each tile's pixels meet them in turn, and are written side by side.
            for rows in pixels.chunks_exact(self.rows) {
                for first_column in (0..self.channels).step_by(self.cols) {
                    self.tiles(phase, source, (run, runs), first_column, 0..runs, rows, output);
                }
            }
            return;
        }
        // Whole runs are cut off a panel so that this part of it stays in the nearest cache.
        let block = (PANEL_BLOCK / (run * self.cols).max(1)).clamp(1, runs.max(1));
        for first_column in (0..self.channels).step_by(self.cols) {
            for first_run in (0..runs.max(1)).step_by(block) {
                let block = first_run..runs.min(first_run + block);
                self.tiles(phase, source, (run, runs), first_column, block, pixels, output);
            }
        }
    }

    /// The tiles of some pixels for one panel and a block of its runs.
    #[allow(clippy::too_many_arguments)]
    fn tiles(
        &self,
        phase: &Phase,
        source: &Source,
        (run, runs): (usize, usize),
        first_column: usize,
        block: Range<usize>,
        pixels: &[(usize, usize)],
        output: Shared<f32>,
    ) {
        let columns = self.cols.min(self.channels - first_column);
        let panel = &phase.panels[first_column * run * runs..];
        let last = block.end == runs;
        let at_end = |values: Option<&[f32]>| match values {
            Some(values) if last => values[first_column..].as_ptr(),
            _ => std::ptr::null(),
        };
        let mut tile = ConvTile {
            rows: pixels.as_ptr(),
            a: source.values.wrapping_add(block.start * source.line_stride),
            runs: block.len(),
            run,
            run_stride: source.line_stride,
            b: panel[block.start * run * self.cols..].as_ptr(),
            c: output.pointer(first_column),
            start: if block.start == 0 { Start::Bias(self.bias[first_column..].as_ptr()) } else { Start::Output },
            residual: at_end(self.epilogue.residual),
            relu: self.epilogue.relu && last,
            mask: at_end(self.epilogue.mask),
        };
        let mut buffers: Option<Buffers> = None;
        for rows in pixels.chunks_exact(self.rows) {
            tile.rows = rows.as_ptr();
            // SAFETY: each row is the first tap of an output, inside the source by `reach` as all its runs are; the
            // panel has a row of `cols` columns for each element of the runs, the bias is padded to whole panels; an
            // output, like residual and mask of the same shape, has `columns` columns at its offset; no other task
            // has these outputs.
            unsafe {
                if columns == self.cols {
                    (self.kernel)(&tile);
                } else {
                    const EMPTY: [f32; MAX_ROWS * MAX_COLS] = [0.0; MAX_ROWS * MAX_COLS];
                    let buffers = buffers.get_or_insert(Buffers { output: EMPTY, residual: EMPTY, mask: EMPTY });
                    self.partial(&tile, rows, columns, buffers);
                }
            }
        }
    }

    /// A tile of which only `columns` columns exist, by way of a whole one in `buffers`.
    ///
    /// # Safety
    ///
    /// As the kernel's, for that many columns.
    unsafe fn partial(&self, tile: &ConvTile, rows: &[(usize, usize)], columns: usize, buffers: &mut Buffers) {
        let mut own = [(0, 0); MAX_ROWS];
        for (r, &(from, to)) in rows.iter().enumerate() {
            let at = r * self.cols;
            own[r] = (from, at);
            let starts_from_output = matches!(tile.start, Start::Output);
            for (from, own, wanted) in [
                (tile.c.cast_const(), &mut buffers.output, starts_from_output),
                (tile.residual, &mut buffers.residual, !tile.residual.is_null()),
                (tile.mask, &mut buffers.mask, !tile.mask.is_null()),
            ] {
                if wanted {
                    // SAFETY: the caller vouches for `columns` elements of output, residual and mask at `to`.
                    let columns_there = unsafe { std::slice::from_raw_parts(from.add(to), columns) };
                    own[at..at + columns].copy_from_slice(columns_there);
                }
            }
        }
        let whole = ConvTile {
            rows: own.as_ptr(),
            c: buffers.output.as_mut_ptr(),
            residual: if tile.residual.is_null() { std::ptr::null() } else { buffers.residual.as_ptr() },
            mask: if tile.mask.is_null() { std::ptr::null() } else { buffers.mask.as_ptr() },
            ..*tile
        };
        // SAFETY: input and panel are the caller's; output, residual and mask are whole tiles of our own.
        unsafe { (self.kernel)(&whole) };
        for (r, &(_, to)) in rows.iter().enumerate() {
            for column in 0..columns {
                // SAFETY: as above.
                unsafe { tile.c.add(to + column).write(buffers.output[r * self.cols + column]) };
            }
        }
    }
}

/// A tile of output, of residual and of mask.
struct Buffers {
    output: [f32; MAX_ROWS * MAX_COLS],
    residual: [f32; MAX_ROWS * MAX_COLS],
    mask: [f32; MAX_ROWS * MAX_COLS],
}

/// The bias, zero where there is none, padded to whole panels.
fn padded_bias(bias: Option<&[f32]>, channels: usize, cols: usize) -> Vec<f32> {
    let mut padded = vec![0.0; channels.next_multiple_of(cols)];
    if let Some(bias) = bias {
        padded[..channels].copy_from_slice(bias);
    }
    padded
}
