//! Sums over all cells of a grid as a convolution, by Fourier transforms along each axis.
//!
//! Weights depend on distances alone. Going around a circle of at least 2n − 2 cells, the distance of two of the first n
//! cells is the same as on a line, so zeros from n on make a line of a circle, and the transform of the weights is real:
//! two columns travel together as real and imaginary part. A chunk of columns, two for each lane, fills the cells of a
//! buffer that is padded along all axes but the last, whose lines are transformed, weighted and transformed back at once.

use crate::memory::{Aligned, Shared, filled};
use crate::simd::fourier::{Lines, ROOT};
use crate::simd::isa::Isa;
use rayon::prelude::*;

/// The most that the buffer of a chunk may take, in floats (2 GiB).
const MAX_BUFFER: usize = 1 << 29;

/// Up to this many floats, the buffers of all chunks are filled side by side.
const SIDE_BY_SIDE: usize = 1 << 26;

/// An axis of the grid.
struct Axis {
    /// Cells.
    cells: usize,
    /// Cells of the circle: a power of two.
    len: usize,
    /// How far neighbors along the axis lie apart in the buffer, in cells: the lengths of all axes before, multiplied.
    stride: usize,
    /// As [`Lines::roots`].
    roots: Vec<f32>,
}

/// A grid with its circles.
pub(super) struct Convolution<'a> {
    isa: &'a Isa,
    axes: Vec<Axis>,
    /// Cells of the grid.
    cells: usize,
    /// Cells of all circles.
    padded: usize,
}

impl<'a> Convolution<'a> {
    /// For axes of at least two cells. Nothing if the buffers would be too large.
    pub(super) fn new(isa: &'a Isa, shape: &[usize]) -> Option<Self> {
        let mut padded = 1;
        let mut axes = Vec::with_capacity(shape.len());
        for &cells in shape {
            let len = (2 * cells - 2).next_power_of_two();
            let root = |k: usize| {
                let (im, re) = (-std::f64::consts::TAU * k as f64 / len as f64).sin_cos();
                [re as f32, im as f32, -im as f32, 0.0]
            };
            axes.push(Axis { cells, len, stride: padded, roots: (0..len).flat_map(root).collect() });
            padded *= len;
            if padded * 2 * isa.lanes > MAX_BUFFER {
                return None;
            }
        }
        const { assert!(ROOT == 4) };
        Some(Self { isa, axes, cells: shape.iter().product(), padded })
    }

    /// The sums of rows of `columns` numbers.
    pub(super) fn apply(
        &self,
        x: &[f32],
        columns: usize,
        reach: f64,
        weight: &(dyn Fn(f64) -> f64 + Sync),
    ) -> Vec<f32> {
        if self.axes.is_empty() || columns == 0 {
            return vec![0.0; x.len()];
        }
        let spectrum = self.spectrum(reach, weight);
        let floors = self.floors(x, columns, spectrum[0] * self.padded as f32);
        let chunk = 2 * self.isa.lanes;
        let buffer = self.axes[self.axes.len() - 1].stride * self.axes[self.axes.len() - 1].cells * chunk;
        let write = |y: Shared<f32>| {
            let one = |first: usize| {
                let columns = Columns { x, y, all: columns, first, count: chunk.min(columns - first) };
                self.apply_to_chunk(&columns, &floors[first..], &spectrum);
            };
            let chunks = columns.div_ceil(chunk);
            if buffer * chunks <= SIDE_BY_SIDE {
                (0..chunks).into_par_iter().for_each(|i| one(i * chunk));
            } else {
                (0..chunks).for_each(|i| one(i * chunk));
            }
        };
        // SAFETY: each chunk writes its columns of every row.
        unsafe { filled(x.len(), write) }
    }

    /// The transform of the weights, divided by the number of cells, with the last axis fastest; each axis in the order
    /// that [`forward`](crate::simd::fourier::forward) gives.
    fn spectrum(&self, reach: f64, weight: &(dyn Fn(f64) -> f64 + Sync)) -> Vec<f32> {
        // Weights of all distances up to half around each circle.
        let sides: Vec<usize> = self.axes.iter().map(|axis| axis.len / 2 + 1).collect();
        let scale = 1.0 / self.padded as f64;
        let half: Vec<f32> = (0..sides.iter().product())
            .into_par_iter()
            .with_min_len(512)
            .map(|at: usize| {
                let (mut rest, mut squared) = (at, 0.0);
                for &side in &sides {
                    squared += ((rest % side) as f64).powi(2);
                    rest /= side;
                }
                let distance = squared.sqrt();
                if at == 0 || distance > reach { 0.0 } else { (weight(distance) * scale) as f32 }
            })
            .collect();
        let mut values: Vec<f32> = (0..self.padded)
            .into_par_iter()
            .with_min_len(4096)
            .map(|at| {
                let (mut rest, mut stride, mut folded) = (at, 1, 0);
                for (axis, &side) in self.axes.iter().zip(&sides) {
                    let i = rest % axis.len;
                    folded += stride * i.min(axis.len - i);
                    (rest, stride) = (rest / axis.len, stride * side);
                }
                half[folded]
            })
            .collect();
        let width = 2 * self.isa.lanes;
        for (number, axis) in self.axes.iter().enumerate() {
            let last = number + 1 == self.axes.len();
            let lines = self.padded / axis.len;
            let write = |to: Shared<f32>| {
                (0..lines.div_ceil(width)).into_par_iter().for_each_init(
                    || Aligned::zeros(axis.len * width),
                    |scratch, batch| {
                        let firsts: Vec<usize> = (batch * width..lines.min((batch + 1) * width))
                            .map(|line| line / axis.stride * axis.stride * axis.len + line % axis.stride)
                            .collect();
                        for (i, cell) in scratch.chunks_exact_mut(width).enumerate() {
                            for (value, first) in cell.iter_mut().zip(&firsts) {
                                *value = values[first + i * axis.stride];
                            }
                        }
                        self.forward(axis, scratch);
                        for (i, cell) in scratch.chunks_exact(width).enumerate() {
                            for (lane, (&value, first)) in cell.iter().zip(&firsts).enumerate() {
                                let line = batch * width + lane;
                                let at = if last { line * axis.len + i } else { first + i * axis.stride };
                                // SAFETY: `at` is one of `padded` places, and each belongs to one line.
                                unsafe { to.pointer(at).write(value) };
                            }
                        }
                    },
                );
            };
            // SAFETY: the lines are all of the cells.
            values = unsafe { filled(self.padded, write) };
        }
        values
    }

    /// What rounding may make of zero in each column: the roundings of log₂ P additions one after the other, of
    /// numbers that are as large as a column's mean square over all P cells times `total`, the sum of the weights.
    fn floors(&self, x: &[f32], columns: usize, total: f32) -> Vec<f32> {
        const ROWS: usize = 1024;
        let sums: Vec<Vec<f64>> = x
            .par_chunks(ROWS * columns)
            .map(|rows| {
                let mut sums = vec![0.0; columns];
                for row in rows.chunks_exact(columns) {
                    sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x).powi(2));
                }
                sums
            })
            .collect();
        let padded = self.padded as f64;
        let unit = f64::from(f32::EPSILON) / 2.0 * padded.log2() * f64::from(total);
        (0..columns).map(|c| ((sums.iter().map(|s| s[c]).sum::<f64>() / padded).sqrt() * unit) as f32).collect()
    }

    fn apply_to_chunk(&self, columns: &Columns, floors: &[f32], spectrum: &[f32]) {
        let width = 2 * self.isa.lanes;
        let (first, rest) = self.axes.split_at(1);
        let Some((last, middle)) = rest.split_last() else {
            let mut line = Aligned::zeros(first[0].len * width);
            columns.load(0, &mut line[..self.cells * width], width);
            self.weigh(&first[0], &mut line, spectrum);
            columns.store(0, &line[..self.cells * width], width, floors);
            return;
        };
        let mut buffer = Aligned::zeros(last.stride * last.cells * width);
        let shared = Shared::new(&mut buffer);
        let lines = |axis: &Axis, f: &(dyn Fn(usize, &mut Aligned) + Sync)| {
            // Along the axes before, all frequencies; along those after, the grid's own cells.
            let number = self.axes.iter().position(|other| other.stride == axis.stride).unwrap_or(0);
            let after: usize = self.axes[number + 1..].iter().map(|axis| axis.cells).product();
            (0..axis.stride * after).into_par_iter().for_each_init(
                || Aligned::zeros(axis.len * width),
                |line, at| {
                    let (mut rest, mut begin) = (at / axis.stride, at % axis.stride);
                    for axis in &self.axes[number + 1..] {
                        begin += rest % axis.cells * axis.stride;
                        rest /= axis.cells;
                    }
                    f(begin, line);
                },
            );
        };
        // Both copy whole cells: lines along an axis have no cell in common, each is handled by one task, and all their cells
        // are among those of the buffer: it has `cells` along the last axis and `len` along the others.
        let gather = |axis: &Axis, begin: usize, line: &mut Aligned, cells: usize| {
            for (i, cell) in line[..cells * width].chunks_exact_mut(width).enumerate() {
                let from = shared.pointer((begin + i * axis.stride) * width);
                // SAFETY: `width` values at a cell of the buffer that no other task touches, to as many in a line of its own.
                unsafe { std::ptr::copy_nonoverlapping(from, cell.as_mut_ptr(), width) };
            }
            line[cells * width..].fill(0.0);
        };
        let scatter = |axis: &Axis, begin: usize, line: &Aligned, cells: usize| {
            for (i, cell) in line[..cells * width].chunks_exact(width).enumerate() {
                let to = shared.pointer((begin + i * axis.stride) * width);
                // SAFETY: the same, the other way.
                unsafe { std::ptr::copy_nonoverlapping(cell.as_ptr(), to, width) };
            }
        };
        let row_of = |begin: usize| {
            // The line's place among the grid's own cells.
            let (mut row, mut stride) = (0, first[0].cells);
            for axis in rest {
                row += begin / axis.stride % axis.len * stride;
                stride *= axis.cells;
            }
            row
        };
        lines(&first[0], &|begin, line| {
            let cells = first[0].cells * width;
            columns.load(row_of(begin), &mut line[..cells], width);
            line[cells..].fill(0.0);
            self.forward(&first[0], line);
            scatter(&first[0], begin, line, first[0].len);
        });
        for axis in middle {
            lines(axis, &|begin, line| {
                gather(axis, begin, line, axis.cells);
                self.forward(axis, line);
                scatter(axis, begin, line, axis.len);
            });
        }
        lines(last, &|begin, line| {
            gather(last, begin, line, last.cells);
            self.weigh(last, line, &spectrum[begin * last.len..][..last.len]);
            scatter(last, begin, line, last.cells);
        });
        for axis in middle.iter().rev() {
            lines(axis, &|begin, line| {
                gather(axis, begin, line, axis.len);
                self.backward(axis, line);
                scatter(axis, begin, line, axis.cells);
            });
        }
        lines(&first[0], &|begin, line| {
            gather(&first[0], begin, line, first[0].len);
            self.backward(&first[0], line);
            columns.store(row_of(begin), &line[..first[0].cells * width], width, floors);
        });
    }

    /// Forward, times the spectrum, and back.
    fn weigh(&self, axis: &Axis, line: &mut Aligned, spectrum: &[f32]) {
        self.forward(axis, line);
        for (cell, &factor) in line.chunks_exact_mut(2 * self.isa.lanes).zip(spectrum) {
            cell.iter_mut().for_each(|value| *value *= factor);
        }
        self.backward(axis, line);
    }

    fn forward(&self, axis: &Axis, line: &mut Aligned) {
        let lines = self.lines(axis, line);
        // SAFETY: `lines` has checked the length; the instruction set is this machine's.
        unsafe { (self.isa.fourier_forward)(&lines) }
    }

    fn backward(&self, axis: &Axis, line: &mut Aligned) {
        let lines = self.lines(axis, line);
        // SAFETY: as in `forward`.
        unsafe { (self.isa.fourier_backward)(&lines) }
    }

    fn lines(&self, axis: &Axis, line: &mut Aligned) -> Lines {
        assert_eq!(line.len(), axis.len * 2 * self.isa.lanes);
        Lines { cells: line.as_mut_ptr(), len: axis.len, roots: axis.roots.as_ptr() }
    }
}

/// A chunk of columns of `x`, and of the result.
struct Columns<'a> {
    x: &'a [f32],
    y: Shared<f32>,
    /// Columns of both.
    all: usize,
    /// The chunk's.
    first: usize,
    count: usize,
}

impl Columns<'_> {
    /// Copies the chunk of the rows from `row` on into cells of `width` floats, with zeros for missing columns.
    fn load(&self, row: usize, cells: &mut [f32], width: usize) {
        for (i, cell) in cells.chunks_exact_mut(width).enumerate() {
            let from = (row + i) * self.all + self.first;
            cell[..self.count].copy_from_slice(&self.x[from..from + self.count]);
            cell[self.count..].fill(0.0);
        }
    }

    /// The other way, with zeros for what is less than its column's floor.
    fn store(&self, row: usize, cells: &[f32], width: usize, floors: &[f32]) {
        for (i, cell) in cells.chunks_exact(width).enumerate() {
            let to = self.y.pointer((row + i) * self.all + self.first);
            for (c, (&value, &floor)) in cell[..self.count].iter().zip(floors).enumerate() {
                // SAFETY: column `first + c` of a row that exists; each row is stored by one task.
                unsafe { to.add(c).write(if value.abs() < floor { 0.0 } else { value }) };
            }
        }
    }
}
