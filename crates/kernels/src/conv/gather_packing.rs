//! How a weight is laid out for the kernels that gather.

use super::geometry::Axis;
use super::weight::Weight;
use crate::memory::Aligned;
use rayon::prelude::*;

/// The weights of one set of taps in panels [column / cols][tap y, tap x, input][column % cols], padded with zeros.
pub(super) fn pack(w: Weight, y: &Axis, x: &Axis, cols: usize) -> Aligned {
    let depth = y.taps.len() * x.taps.len() * w.inputs;
    let mut panels = Aligned::zeros(depth * w.outputs.next_multiple_of(cols));
    if depth == 0 {
        return panels;
    }
    panels.par_chunks_exact_mut(depth * cols).enumerate().for_each(|(panel, to)| {
        let first = panel * cols;
        let columns = cols.min(w.outputs - first);
        let mut rows = to.chunks_exact_mut(cols);
        for &ky in &y.taps {
            for &kx in &x.taps {
                let tap = ky * w.kernel_width + kx;
                for (input, row) in rows.by_ref().take(w.inputs).enumerate() {
                    let from = first * w.output_stride + input * w.input_stride + tap;
                    for (column, to) in row[..columns].iter_mut().enumerate() {
                        *to = w.values[from + column * w.output_stride];
                    }
                }
            }
        }
    });
    panels
}

/// The weights of one set of taps for [`crate::simd::tile::dot`]: [tap y, tap x, input / lanes][output][input % lanes].
pub(super) fn pack_dot(w: Weight, y: &Axis, x: &Axis, lanes: usize) -> Aligned {
    let mut panel = Aligned::zeros(y.taps.len() * x.taps.len() * w.inputs * w.outputs);
    let mut registers = panel.chunks_exact_mut(lanes);
    for &ky in &y.taps {
        for &kx in &x.taps {
            let tap = ky * w.kernel_width + kx;
            for first in (0..w.inputs).step_by(lanes) {
                for (output, register) in (0..w.outputs).zip(registers.by_ref()) {
                    let from = output * w.output_stride + first * w.input_stride + tap;
                    for (lane, to) in register.iter_mut().enumerate() {
                        *to = w.values[from + lane * w.input_stride];
                    }
                }
            }
        }
    }
    panel
}
