//! The kernels that fill one tile of an output held in registers, `ROWS` × `COLS` registers.

#![expect(clippy::needless_range_loop, reason = "rows and columns of registers read best as indices")]

use super::bounds::{MAX_ROWS, MAX_SCORE_COLS};
use super::vector::Vector;

/// One tile of a product of rows with a packed panel: rows are output pixels, columns output channels. All rows and
/// columns are computed and written; where there are fewer rows the last is repeated.
pub(crate) struct ConvTile {
    /// For each row where in `a` its first run begins, and where in `c` (and `residual`, `mask`) its columns lie.
    pub(crate) rows: *const (usize, usize),
    /// The input.
    pub(crate) a: *const f32,
    /// Contiguous runs per row.
    pub(crate) runs: usize,
    /// Elements per run.
    pub(crate) run: usize,
    /// Elements from one run's begin to the next.
    pub(crate) run_stride: usize,
    /// The panel: `runs · run` rows of the tile's columns, contiguous.
    pub(crate) b: *const f32,
    /// The output.
    pub(crate) c: *mut f32,
    /// Where the sums begin.
    pub(crate) start: Start,
    /// Added at the end if not null.
    pub(crate) residual: *const f32,
    /// Whether max(0, ·) is applied at the end.
    pub(crate) relu: bool,
    /// If not null: where this is not greater than zero, the output becomes zero.
    pub(crate) mask: *const f32,
}

/// Where the sums of a tile begin.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// From these values, as many as the tile has columns.
    Bias(*const f32),
    /// From what the output holds.
    Output,
}

/// `acc[r][v] += Σ_k a[r][k] · b[k][v]` for one run.
#[inline(always)]
unsafe fn accumulate<V: Vector, const ROWS: usize, const COLS: usize>(
    acc: &mut [[V; COLS]; ROWS],
    a: &[*const f32; ROWS],
    b: *const f32,
    run: usize,
) {
    // SAFETY: the caller vouches for `run` elements behind each row and `run` rows of the panel.
    unsafe {
        for k in 0..run {
            let b: [V; COLS] = std::array::from_fn(|v| V::load(b.add((k * COLS + v) * V::LANES)));
            for r in 0..ROWS {
                let a = V::splat(a[r].add(k));
                for v in 0..COLS {
                    acc[r][v] = a.fma(b[v], acc[r][v]);
                }
            }
        }
    }
}

/// Computes a tile of a convolution.
///
/// # Safety
///
/// The pointers and extents of `t` must be valid as documented there, no other thread may touch the outputs, and the
/// instruction set must be there.
#[inline(always)]
pub(crate) unsafe fn conv<V: Vector, const ROWS: usize, const COLS: usize>(t: &ConvTile) {
    // SAFETY: the caller's contract.
    unsafe {
        let rows = &*t.rows.cast::<[(usize, usize); ROWS]>();
        let mut acc = [[V::zero(); COLS]; ROWS];
        match t.start {
            Start::Bias(bias) => acc = [std::array::from_fn(|v| V::load(bias.add(v * V::LANES))); ROWS],
            Start::Output => {
                for r in 0..ROWS {
                    for v in 0..COLS {
                        acc[r][v] = V::load(t.c.add(rows[r].1 + v * V::LANES).cast_const());
                    }
                }
            }
        }
        let mut a: [*const f32; ROWS] = std::array::from_fn(|r| t.a.add(rows[r].0));
        let mut b = t.b;
        for run in 0..t.runs {
            accumulate(&mut acc, &a, b, t.run);
            if run + 1 < t.runs {
                a = a.map(|a| a.add(t.run_stride));
                b = b.add(t.run * COLS * V::LANES);
            }
        }
        if !t.residual.is_null() {
            for r in 0..ROWS {
                for v in 0..COLS {
                    acc[r][v] = acc[r][v].add(V::load(t.residual.add(rows[r].1 + v * V::LANES)));
                }
            }
        }
        if t.relu {
            for row in &mut acc {
                for sum in row {
                    *sum = sum.relu();
                }
            }
        }
        if !t.mask.is_null() {
            for r in 0..ROWS {
                for v in 0..COLS {
                    let mask = V::load(t.mask.add(rows[r].1 + v * V::LANES));
                    acc[r][v] = mask.if_greater(V::zero(), acc[r][v], V::zero());
                }
            }
        }
        for r in 0..ROWS {
            for v in 0..COLS {
                acc[r][v].store(t.c.add(rows[r].1 + v * V::LANES));
            }
        }
    }
}

/// Computes a tile of a convolution with few columns: registers lie along the depth, whose runs are a multiple of
/// their length. The panel holds for each register's worth of a run one of each column.
///
/// # Safety
///
/// As [`conv`].
#[inline(always)]
pub(crate) unsafe fn dot<V: Vector, const ROWS: usize, const COLS: usize>(t: &ConvTile) {
    // SAFETY: the caller's contract.
    unsafe {
        let rows = &*t.rows.cast::<[(usize, usize); ROWS]>();
        let mut acc = [[V::zero(); COLS]; ROWS];
        let mut a: [*const f32; ROWS] = std::array::from_fn(|r| t.a.add(rows[r].0));
        let mut b = t.b;
        for run in 0..t.runs {
            for k in (0..t.run).step_by(V::LANES) {
                let b: [V; COLS] = std::array::from_fn(|c| V::load(b.add(k * COLS + c * V::LANES)));
                for r in 0..ROWS {
                    let a = V::load(a[r].add(k));
                    for c in 0..COLS {
                        acc[r][c] = a.fma(b[c], acc[r][c]);
                    }
                }
            }
            if run + 1 < t.runs {
                a = a.map(|a| a.add(t.run_stride));
                b = b.add(t.run * COLS);
            }
        }
        for r in 0..ROWS {
            for c in 0..COLS {
                let at = rows[r].1 + c;
                let start = match t.start {
                    Start::Bias(bias) => *bias.add(c),
                    Start::Output => *t.c.add(at),
                };
                let mut sum = start + acc[r][c].sum();
                if !t.residual.is_null() {
                    sum += *t.residual.add(at);
                }
                // A NaN stays one.
                if t.relu && sum < 0.0 {
                    sum = 0.0;
                }
                let kept = t.mask.is_null() || *t.mask.add(at) > 0.0;
                t.c.add(at).write(if kept { sum } else { 0.0 });
            }
        }
    }
}

/// One tile of a weight's gradient: the sum over pixels of the outer products of `a` (tile rows) and `b` (tile
/// columns). Pixels lie in lines, lines in images.
pub(crate) struct GradTile {
    /// The rows of the first pixel.
    pub(crate) a: *const f32,
    /// Elements of `a` from one pixel to the next.
    pub(crate) a_stride: usize,
    /// The columns of the first pixel.
    pub(crate) b: *const f32,
    /// Images, lines per image, pixels per line.
    pub(crate) pixels: [usize; 3],
    /// Elements of `b` from one image, line, pixel to the next.
    pub(crate) strides: [usize; 3],
    /// The tile, rows × columns contiguous, added to.
    pub(crate) c: *mut f32,
}

/// Adds to a tile of a weight's gradient.
///
/// # Safety
///
/// The pointers and extents of `t` must be valid as documented there, no other thread may touch the tile, and the
/// instruction set must be there.
#[inline(always)]
pub(crate) unsafe fn grad<V: Vector, const ROWS: usize, const COLS: usize>(t: &GradTile) {
    // SAFETY: the caller's contract.
    unsafe {
        let mut acc: [[V; COLS]; ROWS] =
            std::array::from_fn(|r| std::array::from_fn(|v| V::load(t.c.add((r * COLS + v) * V::LANES).cast_const())));
        let mut a = t.a;
        for image in 0..t.pixels[0] {
            for line in 0..t.pixels[1] {
                let mut b = t.b.add(image * t.strides[0] + line * t.strides[1]);
                for _ in 0..t.pixels[2] {
                    let columns: [V; COLS] = std::array::from_fn(|v| V::load(b.add(v * V::LANES)));
                    for r in 0..ROWS {
                        let row = V::splat(a.add(r));
                        for v in 0..COLS {
                            acc[r][v] = row.fma(columns[v], acc[r][v]);
                        }
                    }
                    // The last steps may leave the buffers: they are never read there.
                    a = a.wrapping_add(t.a_stride);
                    b = b.wrapping_add(t.strides[2]);
                }
            }
        }
        for r in 0..ROWS {
            for v in 0..COLS {
                acc[r][v].store(t.c.add((r * COLS + v) * V::LANES));
            }
        }
    }
}

/// The two best scores of each lane and their columns, as floats: exact up to 2²⁴.
#[derive(Clone, Copy)]
pub(crate) struct Best {
    pub(crate) score: [f32; MAX_SCORE_COLS],
    pub(crate) index: [f32; MAX_SCORE_COLS],
    pub(crate) second_score: [f32; MAX_SCORE_COLS],
    pub(crate) second_index: [f32; MAX_SCORE_COLS],
}

impl Best {
    /// Before any score.
    pub(crate) const EMPTY: Self = Self {
        score: [f32::NEG_INFINITY; MAX_SCORE_COLS],
        index: [0.0; MAX_SCORE_COLS],
        second_score: [f32::NEG_INFINITY; MAX_SCORE_COLS],
        second_index: [0.0; MAX_SCORE_COLS],
    };
}

/// One tile of scores, reduced at once to the best two of each lane.
pub(crate) struct ScoreTile {
    /// The rows; from the last valid one on they repeat a valid one.
    pub(crate) a: [*const f32; MAX_ROWS],
    /// Elements per row.
    pub(crate) depth: usize,
    /// The panel, `depth` rows of the tile's columns, contiguous.
    pub(crate) b: *const f32,
    /// Where the score of each column begins.
    pub(crate) bias: *const f32,
    /// The number of each column as a float.
    pub(crate) index: *const f32,
    /// One for each row of a tile.
    pub(crate) best: *mut Best,
}

/// Scores a panel for each row and keeps the best two of each lane, the first of equals.
///
/// # Safety
///
/// The pointers and extents of `t` must be valid as documented there, no other thread may touch `best`, and the
/// instruction set must be there.
#[inline(always)]
pub(crate) unsafe fn score<V: Vector, const ROWS: usize, const COLS: usize>(t: &ScoreTile) {
    // SAFETY: the caller's contract.
    unsafe {
        let bias: [V; COLS] = std::array::from_fn(|v| V::load(t.bias.add(v * V::LANES)));
        let mut acc = [bias; ROWS];
        let a: [*const f32; ROWS] = std::array::from_fn(|r| t.a[r]);
        accumulate(&mut acc, &a, t.b, t.depth);
        for r in 0..ROWS {
            let best = &mut *t.best.add(r);
            for v in 0..COLS {
                let at = v * V::LANES;
                let (new, second) = (acc[r][v], V::load(best.second_score.as_ptr().add(at)));
                // The further the search has come, the more seldom is anything better than what there is.
                if !new.any_greater(second) {
                    continue;
                }
                let index = V::load(t.index.add(at));
                let (first, first_index) = (V::load(best.score.as_ptr().add(at)), V::load(best.index.as_ptr().add(at)));
                let second_index = V::load(best.second_index.as_ptr().add(at));
                let or_second = new.if_greater(second, new, second);
                let or_second_index = new.if_greater(second, index, second_index);
                new.if_greater(first, first, or_second).store(best.second_score.as_mut_ptr().add(at));
                new.if_greater(first, first_index, or_second_index).store(best.second_index.as_mut_ptr().add(at));
                new.if_greater(first, new, first).store(best.score.as_mut_ptr().add(at));
                new.if_greater(first, index, first_index).store(best.index.as_mut_ptr().add(at));
            }
        }
    }
}
