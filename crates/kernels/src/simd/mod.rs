//! Vector registers of the processor, and the tile kernels built on them.
//!
//! [`Vector`] is what a tile kernel needs of an instruction set; [`tile`] holds the kernels, generic over it; each of
//! `x86`, `neon` and `scalar` instantiates them. [`Isa::detect`] chooses at run time.
//!
//! Each output element is one chain of fused multiply-adds over k in a fixed order, begun from zero or the bias. So
//! its bits depend neither on where in a tile it lies, nor on the tile's size, nor on the width of the registers: the
//! instruction sets with fused multiply-add all give the same bits.

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
pub(crate) mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::LazyLock;
use tile::{ConvTile, GradTile, ScoreTile};

/// Upper bound of [`Isa::rows`] and [`Isa::narrow_rows`].
pub(crate) const MAX_ROWS: usize = 24;

/// Upper bound of [`Isa::cols`].
pub(crate) const MAX_COLS: usize = 32;

/// A register of f32 lanes.
///
/// # Safety
///
/// All functions need the instruction set of the implementing type; pointers must be valid for `LANES` elements (for
/// one in `splat`).
pub(crate) trait Vector: Copy {
    /// Elements per register.
    const LANES: usize;
    unsafe fn zero() -> Self;
    /// All lanes hold the element at `from`.
    unsafe fn splat(from: *const f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self · b + c`.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    /// Zero where `self` is less than zero, otherwise `self`: a NaN stays one.
    unsafe fn relu(self) -> Self;
    /// Per lane, `yes` where `self > than`, otherwise `no`.
    unsafe fn if_greater(self, than: Self, yes: Self, no: Self) -> Self;
}

/// The tile kernels of one instruction set.
pub(crate) struct Isa {
    /// Its name, for messages and benches.
    pub(crate) name: &'static str,
    /// Rows of a tile.
    pub(crate) rows: usize,
    /// Columns of a tile.
    pub(crate) cols: usize,
    /// Rows of a tile for few columns.
    pub(crate) narrow_rows: usize,
    /// Columns of a tile for few columns: one register.
    pub(crate) narrow_cols: usize,
    /// [`tile::conv`] with `rows` × `cols`.
    pub(crate) conv: unsafe fn(&ConvTile),
    /// [`tile::conv`] with `narrow_rows` × `narrow_cols`.
    pub(crate) conv_narrow: unsafe fn(&ConvTile),
    /// [`tile::grad`] with `rows` × `cols`.
    pub(crate) grad: unsafe fn(&GradTile),
    /// [`tile::score`] with `rows` × `cols`.
    pub(crate) score: unsafe fn(&ScoreTile),
}

impl Isa {
    /// The best instruction set of this machine.
    pub(crate) fn detect() -> &'static Self {
        static BEST: LazyLock<&'static Isa> = LazyLock::new(|| Isa::available()[0]);
        *BEST
    }

    /// All instruction sets of this machine, the best first.
    pub(crate) fn available() -> Vec<&'static Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::available());
        #[cfg(target_arch = "aarch64")]
        all.extend(neon::available());
        all.push(&scalar::ISA);
        all
    }
}

/// Instantiates the tile kernels for one vector type as functions compiled with its target features.
macro_rules! isa {
    ($name:literal, $vector:ty, $features:literal, rows: $rows:literal, vectors: $vectors:literal, narrow_rows: $narrow:literal) => {
        pub(crate) static ISA: crate::simd::Isa = {
            use crate::simd::tile::{self, ConvTile, GradTile, ScoreTile};
            type V = $vector;
            #[target_feature(enable = $features)]
            unsafe fn conv(t: &ConvTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::conv::<V, $rows, $vectors>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn conv_narrow(t: &ConvTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::conv::<V, $narrow, 1>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn grad(t: &GradTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::grad::<V, $rows, $vectors>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn score(t: &ScoreTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::score::<V, $rows, $vectors>(t) }
            }
            let lanes = <V as crate::simd::Vector>::LANES;
            assert!($rows <= crate::simd::MAX_ROWS && $narrow <= crate::simd::MAX_ROWS);
            assert!(lanes * $vectors <= crate::simd::MAX_COLS);
            crate::simd::Isa {
                name: $name,
                rows: $rows,
                cols: lanes * $vectors,
                narrow_rows: $narrow,
                narrow_cols: lanes,
                conv,
                conv_narrow,
                grad,
                score,
            }
        };
    };
}
use isa;
