//! Winograd's transforms of tiles that give 4×4 outputs of a convolution with 3×3 or 2×2 taps: Lavin & Gray, *Fast
//! Algorithms for Convolutional Neural Networks*, arXiv 1509.09308.
//!
//! A convolution of `taps` taps is a product of polynomials, known by its values at `taps + 3` points: products of
//! transformed inputs and transformed weights take the place of four times `taps` products, in each direction. The
//! points are 0, ±3/4, ±3/2, ∞ for three taps and ±1/2, ±3/2, ∞ for two: all coefficients of the inputs' and outputs'
//! transforms are exact, and the error is about twice that of the plain sum (with the usual 0, ±1, ±2, ∞ five times).

#![expect(clippy::needless_range_loop, reason = "rows and columns of registers read best as indices")]

use super::vector::Vector;

/// Outputs of a tile, in each direction.
pub(crate) const OUTPUTS: usize = 4;

/// Points at most: inputs of a tile in each direction.
pub(crate) const MAX_POINTS: usize = 6;

/// Taps at most, in each direction.
pub(crate) const MAX_TAPS: usize = 3;

/// The transforms for one number of taps.
pub(crate) struct Transforms {
    /// Taps in each direction.
    pub(crate) taps: usize,
    /// Points, and inputs of a tile, in each direction.
    pub(crate) points: usize,
    /// A tile of `points` × `points` inputs → as many values.
    pub(crate) input: unsafe fn(&Scatter),
    /// A tile of values → 4 × 4 outputs.
    pub(crate) output: unsafe fn(&Gather),
    /// The gradient of [`Transforms::output`]: 4 × 4 outputs' gradients → a tile of values.
    pub(crate) output_grad: unsafe fn(&Scatter),
}

/// A tile's pixels, and where its transform goes.
pub(crate) struct Scatter {
    /// Where the channels of each pixel lie, row by row.
    pub(crate) pixels: *const *const f32,
    /// A multiple of the lanes.
    pub(crate) channels: usize,
    /// The channels of the first value.
    pub(crate) to: *mut f32,
    /// Elements from one value to the next.
    pub(crate) stride: usize,
}

/// A tile's values, and where the outputs go.
pub(crate) struct Gather {
    /// The channels of the first value.
    pub(crate) from: *const f32,
    /// Elements from one value to the next.
    pub(crate) stride: usize,
    /// A multiple of the lanes.
    pub(crate) channels: usize,
    /// The output (0, 0) of the tile.
    pub(crate) to: *mut f32,
    /// Elements from one output to the next below it and beside it.
    pub(crate) steps: [usize; 2],
    /// How many rows and columns of outputs there are.
    pub(crate) there: [usize; 2],
    /// Added to each output.
    pub(crate) bias: *const f32,
    /// If not null, added too: laid out as the output.
    pub(crate) residual: *const f32,
    /// Whether max(0, ·) is applied at the end.
    pub(crate) relu: bool,
    /// If not null: where this is not greater than zero, the output becomes zero.
    pub(crate) mask: *const f32,
}

/// The points of one number of taps as one-dimensional transforms.
///
/// # Safety
///
/// All functions need the instruction set of `V`.
pub(crate) trait Points<V: Vector, const POINTS: usize> {
    /// Of inputs.
    unsafe fn input(d: [V; POINTS]) -> [V; POINTS];
    /// Of values, to outputs.
    unsafe fn output(m: [V; POINTS]) -> [V; OUTPUTS];
    /// The transpose of `output`.
    unsafe fn output_grad(y: [V; OUTPUTS]) -> [V; POINTS];
}

/// The points for two taps.
pub(crate) struct Two;

/// The points for three taps.
pub(crate) struct Three;

/// `even ± p · odd`.
#[inline(always)]
unsafe fn pair<V: Vector>(even: V, odd: V, p: f32) -> (V, V) {
    // SAFETY: the caller has the instruction set; the pointers are to values on the stack.
    unsafe { (V::splat(&p).fma(odd, even), V::splat(&-p).fma(odd, even)) }
}

/// `x + factor · y`.
#[inline(always)]
unsafe fn plus<V: Vector>(x: V, factor: f32, y: V) -> V {
    // SAFETY: as above.
    unsafe { V::splat(&factor).fma(y, x) }
}

/// `factor · x`.
#[inline(always)]
unsafe fn times<V: Vector>(factor: f32, x: V) -> V {
    // SAFETY: as above.
    unsafe { V::splat(&factor).fma(x, V::zero()) }
}

/// Outputs from sums and differences at two pairs of points ±a, ±b, without what 0 and ∞ add.
#[inline(always)]
unsafe fn outputs_of_pairs<V: Vector>(at_a: (V, V), at_b: (V, V), a: f32, b: f32) -> [V; OUTPUTS] {
    // SAFETY: as above.
    unsafe {
        let (sum_a, sum_b) = (at_a.0.add(at_a.1), at_b.0.add(at_b.1));
        let (difference_a, difference_b) = (plus(at_a.0, -1.0, at_a.1), plus(at_b.0, -1.0, at_b.1));
        [
            sum_a.add(sum_b),
            plus(times(a, difference_a), b, difference_b),
            plus(times(a * a, sum_a), b * b, sum_b),
            plus(times(a * a * a, difference_a), b * b * b, difference_b),
        ]
    }
}

/// The polynomial with coefficients `y` at ±p.
#[inline(always)]
unsafe fn at_pair<V: Vector>(y: [V; OUTPUTS], p: f32) -> (V, V) {
    // SAFETY: as above.
    unsafe { pair(plus(y[0], p * p, y[2]), plus(y[1], p * p, y[3]), p) }
}

impl Two {
    const A: f32 = 0.5;
    const B: f32 = 1.5;
}

impl<V: Vector> Points<V, 5> for Two {
    #[inline(always)]
    unsafe fn input(d: [V; 5]) -> [V; 5] {
        const A2: f32 = Two::A * Two::A;
        const B2: f32 = Two::B * Two::B;
        // SAFETY: as the trait asks.
        unsafe {
            let (a, minus_a) = pair(plus(d[3], -B2, d[1]), plus(d[2], -B2, d[0]), Self::A);
            let (b, minus_b) = pair(plus(d[3], -A2, d[1]), plus(d[2], -A2, d[0]), Self::B);
            [a, minus_a, b, minus_b, plus(plus(d[4], -(A2 + B2), d[2]), A2 * B2, d[0])]
        }
    }

    #[inline(always)]
    unsafe fn output(m: [V; 5]) -> [V; OUTPUTS] {
        // SAFETY: as the trait asks.
        unsafe {
            let [y0, y1, y2, y3] = outputs_of_pairs((m[0], m[1]), (m[2], m[3]), Self::A, Self::B);
            [y0, y1, y2, y3.add(m[4])]
        }
    }

    #[inline(always)]
    unsafe fn output_grad(y: [V; OUTPUTS]) -> [V; 5] {
        // SAFETY: as the trait asks.
        unsafe {
            let ((a, minus_a), (b, minus_b)) = (at_pair(y, Self::A), at_pair(y, Self::B));
            [a, minus_a, b, minus_b, y[3]]
        }
    }
}

impl Three {
    const A: f32 = 0.75;
    const B: f32 = 1.5;
}

impl<V: Vector> Points<V, 6> for Three {
    #[inline(always)]
    unsafe fn input(d: [V; 6]) -> [V; 6] {
        const A2: f32 = Three::A * Three::A;
        const B2: f32 = Three::B * Three::B;
        // SAFETY: as the trait asks.
        unsafe {
            let (a, minus_a) = pair(plus(d[4], -B2, d[2]), plus(d[3], -B2, d[1]), Self::A);
            let (b, minus_b) = pair(plus(d[4], -A2, d[2]), plus(d[3], -A2, d[1]), Self::B);
            [
                plus(plus(d[4], -(A2 + B2), d[2]), A2 * B2, d[0]),
                a,
                minus_a,
                b,
                minus_b,
                plus(plus(d[5], -(A2 + B2), d[3]), A2 * B2, d[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output(m: [V; 6]) -> [V; OUTPUTS] {
        // SAFETY: as the trait asks.
        unsafe {
            let [y0, y1, y2, y3] = outputs_of_pairs((m[1], m[2]), (m[3], m[4]), Self::A, Self::B);
            [y0.add(m[0]), y1, y2, y3.add(m[5])]
        }
    }

    #[inline(always)]
    unsafe fn output_grad(y: [V; OUTPUTS]) -> [V; 6] {
        // SAFETY: as the trait asks.
        unsafe {
            let ((a, minus_a), (b, minus_b)) = (at_pair(y, Self::A), at_pair(y, Self::B));
            [y[0], a, minus_a, b, minus_b, y[3]]
        }
    }
}

/// The weights' transform: a row for each point, for weights `taps` long, rounded from f64; and, transposed, of sums
/// over the points to the taps' gradients.
pub(crate) fn weight_rows(taps: usize) -> Vec<[f32; MAX_TAPS]> {
    let points: &[f64] = match taps {
        2 => &[0.5, -0.5, 1.5, -1.5],
        3 => &[0.0, 0.75, -0.75, 1.5, -1.5],
        _ => unreachable!("there are transforms for two and three taps, not for {taps}"),
    };
    let mut rows: Vec<[f32; MAX_TAPS]> = points
        .iter()
        .map(|&p| {
            let others: f64 = points.iter().filter(|&&other| other != p).map(|other| p - other).product();
            std::array::from_fn(|tap| if tap < taps { (p.powi(tap as i32) / others) as f32 } else { 0.0 })
        })
        .collect();
    // ∞ takes the last tap.
    rows.push(std::array::from_fn(|tap| if tap + 1 == taps { 1.0 } else { 0.0 }));
    rows
}

/// Transforms a tile of inputs.
///
/// # Safety
///
/// The pointers of `t` must be valid for `channels` elements, no other thread may touch the values written, and the
/// instruction set must be there.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector, P: Points<V, POINTS>, const POINTS: usize>(t: &Scatter) {
    // SAFETY: the caller's contract.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let mut columns = [[V::zero(); POINTS]; POINTS];
            for j in 0..POINTS {
                columns[j] = P::input(std::array::from_fn(|i| V::load((*t.pixels.add(i * POINTS + j)).add(c))));
            }
            for i in 0..POINTS {
                let row = P::input(std::array::from_fn(|j| columns[j][i]));
                for j in 0..POINTS {
                    row[j].store(t.to.add((i * POINTS + j) * t.stride + c));
                }
            }
        }
    }
}

/// Transforms the gradients of a tile of outputs.
///
/// # Safety
///
/// As [`input`].
#[inline(always)]
pub(crate) unsafe fn output_grad<V: Vector, P: Points<V, POINTS>, const POINTS: usize>(t: &Scatter) {
    // SAFETY: the caller's contract.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let mut columns = [[V::zero(); POINTS]; OUTPUTS];
            for j in 0..OUTPUTS {
                columns[j] = P::output_grad(std::array::from_fn(|i| V::load((*t.pixels.add(i * OUTPUTS + j)).add(c))));
            }
            for i in 0..POINTS {
                let row = P::output_grad(std::array::from_fn(|j| columns[j][i]));
                for j in 0..POINTS {
                    row[j].store(t.to.add((i * POINTS + j) * t.stride + c));
                }
            }
        }
    }
}

/// Transforms a tile of values to outputs and finishes them.
///
/// # Safety
///
/// The pointers of `t` must be valid for `channels` elements at each value, and at each output that is there; no other
/// thread may touch these outputs, and the instruction set must be there.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector, P: Points<V, POINTS>, const POINTS: usize>(t: &Gather) {
    // SAFETY: the caller's contract.
    unsafe {
        for c in (0..t.channels).step_by(V::LANES) {
            let mut columns = [[V::zero(); OUTPUTS]; POINTS];
            for j in 0..POINTS {
                columns[j] = P::output(std::array::from_fn(|i| V::load(t.from.add((i * POINTS + j) * t.stride + c))));
            }
            let bias = V::load(t.bias.add(c));
            for i in 0..t.there[0] {
                let row = P::output(std::array::from_fn(|j| columns[j][i]));
                for j in 0..t.there[1] {
                    let at = i * t.steps[0] + j * t.steps[1] + c;
                    let mut y = row[j].add(bias);
                    if !t.residual.is_null() {
                        y = y.add(V::load(t.residual.add(at)));
                    }
                    if t.relu {
                        y = y.relu();
                    }
                    if !t.mask.is_null() {
                        y = V::load(t.mask.add(at)).if_greater(V::zero(), y, V::zero());
                    }
                    y.store(t.to.add(at));
                }
            }
        }
    }
}
