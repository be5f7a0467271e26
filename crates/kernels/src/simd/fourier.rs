//! Fourier transforms of many lines at a time, a line in each lane of a register.

use super::vector::Vector;

/// Lines of complex cells to be transformed in place. A cell is `LANES` real parts followed by `LANES` imaginary ones.
pub(crate) struct Lines {
    pub(crate) cells: *mut f32,
    /// Cells of a line: a power of two.
    pub(crate) len: usize,
    /// For each k < `len` the four numbers re, im, −im, 0 of exp(−2πik / len).
    pub(crate) roots: *const f32,
}

/// Numbers per root of unity.
pub(crate) const ROOT: usize = 4;

/// A complex number in each lane.
type Complex<V> = (V, V);

/// From cells in their order to frequencies in the order of their reversed bits, by decimation in frequency.
///
/// # Safety
///
/// `len` is a power of two; there are `len` cells and roots; the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn forward<V: Vector>(lines: &Lines) {
    let mut block = lines.len;
    // SAFETY: blocks tile the line, and the four cells of a butterfly lie in one block.
    unsafe {
        while block >= 4 {
            for first in (0..lines.len).step_by(block) {
                for i in 0..block / 4 {
                    let at = [0, 1, 2, 3].map(|quarter| first + i + quarter * block / 4);
                    let [a, b, c, d] = at.map(|at| load::<V>(lines, at));
                    let (even, odd) = (plus(a, c), plus(b, d));
                    let (p, q) = (minus(a, c), times_minus_i(minus(b, d)));
                    let step = lines.len / block;
                    store(lines, at[0], plus(even, odd));
                    store(lines, at[1], times_root(lines, 2 * i * step, minus(even, odd)));
                    store(lines, at[2], times_root(lines, i * step, plus(p, q)));
                    store(lines, at[3], times_root(lines, 3 * i * step, minus(p, q)));
                }
            }
            block /= 4;
        }
        if block == 2 {
            pairs::<V>(lines);
        }
    }
}

/// The way back from [`forward`], without dividing by `len`.
///
/// # Safety
///
/// As of [`forward`].
#[inline(always)]
pub(crate) unsafe fn backward<V: Vector>(lines: &Lines) {
    // SAFETY: as in `forward`.
    unsafe {
        let mut block = 4;
        if lines.len.trailing_zeros() % 2 == 1 {
            pairs::<V>(lines);
            block = 8;
        }
        while block <= lines.len {
            for first in (0..lines.len).step_by(block) {
                for i in 0..block / 4 {
                    let at = [0, 1, 2, 3].map(|quarter| first + i + quarter * block / 4);
                    let step = lines.len / block;
                    let sum = load::<V>(lines, at[0]);
                    let difference = over_root(lines, 2 * i * step, load::<V>(lines, at[1]));
                    let u = over_root(lines, i * step, load::<V>(lines, at[2]));
                    let v = over_root(lines, 3 * i * step, load::<V>(lines, at[3]));
                    let (even, odd) = (plus(sum, difference), minus(sum, difference));
                    let (p, q) = (plus(u, v), times_minus_i(minus(v, u)));
                    store(lines, at[0], plus(even, p));
                    store(lines, at[1], plus(odd, q));
                    store(lines, at[2], minus(even, p));
                    store(lines, at[3], minus(odd, q));
                }
            }
            block *= 4;
        }
    }
}

/// The transform of each two neighboring cells.
#[inline(always)]
unsafe fn pairs<V: Vector>(lines: &Lines) {
    // SAFETY: as of `forward`; the length is even.
    unsafe {
        for first in (0..lines.len).step_by(2) {
            let (a, b) = (load::<V>(lines, first), load::<V>(lines, first + 1));
            store(lines, first, plus(a, b));
            store(lines, first + 1, minus(a, b));
        }
    }
}

#[inline(always)]
unsafe fn load<V: Vector>(lines: &Lines, at: usize) -> Complex<V> {
    // SAFETY: the caller's cell exists.
    unsafe {
        let cell = lines.cells.add(2 * V::LANES * at);
        (V::load(cell), V::load(cell.add(V::LANES)))
    }
}

#[inline(always)]
unsafe fn store<V: Vector>(lines: &Lines, at: usize, (re, im): Complex<V>) {
    // SAFETY: the caller's cell exists.
    unsafe {
        let cell = lines.cells.add(2 * V::LANES * at);
        re.store(cell);
        im.store(cell.add(V::LANES));
    }
}

#[inline(always)]
unsafe fn plus<V: Vector>(a: Complex<V>, b: Complex<V>) -> Complex<V> {
    // SAFETY: the instruction set is the caller's.
    unsafe { (a.0.add(b.0), a.1.add(b.1)) }
}

#[inline(always)]
unsafe fn minus<V: Vector>(a: Complex<V>, b: Complex<V>) -> Complex<V> {
    // SAFETY: the instruction set is the caller's.
    unsafe { (less(a.0, b.0), less(a.1, b.1)) }
}

#[inline(always)]
unsafe fn times_minus_i<V: Vector>((re, im): Complex<V>) -> Complex<V> {
    // SAFETY: the instruction set is the caller's.
    unsafe { (im, less(V::zero(), re)) }
}

/// `a` − `b`.
#[inline(always)]
unsafe fn less<V: Vector>(a: V, b: V) -> V {
    // SAFETY: the instruction set is the caller's.
    unsafe { b.fma(V::splat(&-1.0), a) }
}

/// Times the root `k`.
#[inline(always)]
unsafe fn times_root<V: Vector>(lines: &Lines, k: usize, (a, b): Complex<V>) -> Complex<V> {
    // SAFETY: k is less than `len`.
    unsafe {
        let root = lines.roots.add(ROOT * k);
        let (re, im, minus_im) = (V::splat(root), V::splat(root.add(1)), V::splat(root.add(2)));
        (b.fma(minus_im, a.fma(re, V::zero())), b.fma(re, a.fma(im, V::zero())))
    }
}

/// Times the conjugate of the root `k`.
#[inline(always)]
unsafe fn over_root<V: Vector>(lines: &Lines, k: usize, (a, b): Complex<V>) -> Complex<V> {
    // SAFETY: k is less than `len`.
    unsafe {
        let root = lines.roots.add(ROOT * k);
        let (re, im, minus_im) = (V::splat(root), V::splat(root.add(1)), V::splat(root.add(2)));
        (b.fma(im, a.fma(re, V::zero())), b.fma(re, a.fma(minus_im, V::zero())))
    }
}
