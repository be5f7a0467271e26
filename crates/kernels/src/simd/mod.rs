//! Vector registers of the processor, and the tile kernels built on them.
//!
//! [`Vector`] is what a tile kernel needs of an instruction set; [`tile`] and [`winograd`] hold the kernels, generic over
//! it; each of `x86`, `neon` and `scalar` instantiates them. [`Isa::detect`] chooses at run time.
//!
//! Each output element is one chain of fused multiply-adds over k in a fixed order, begun from zero or the bias; of
//! [`tile::dot`], one chain for each lane. So its bits depend neither on where in a tile it lies nor on the tile's size.

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
pub(crate) mod tile;
pub(crate) mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::LazyLock;
use tile::{ConvTile, GradTile, ScoreTile};
use winograd::Transforms;

/// The environment variable that names an instruction set, for tests and comparisons.
const CHOICE: &str = "KSOM_INSTRUCTION_SET";

/// Upper bound of a tile's rows.
pub(crate) const MAX_ROWS: usize = 24;

/// Upper bound of a tile's columns.
pub(crate) const MAX_COLS: usize = 48;

/// Upper bound of the first tile's columns.
pub(crate) const MAX_SCORE_COLS: usize = 32;

/// Columns for which there is [`tile::dot`]: the channels of a picture.
pub(crate) const DOT_COLS: usize = 3;

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
    /// The sum of all lanes.
    unsafe fn sum(self) -> f32;
}

/// The kernels of one instruction set.
pub(crate) struct Isa {
    /// Its name, for messages and benches.
    pub(crate) name: &'static str,
    /// Elements per register.
    pub(crate) lanes: usize,
    /// Tiles of different shapes: the first for most products, the last one register wide for few columns.
    pub(crate) tiles: &'static [Tile],
    /// Rows of [`tile::dot`].
    pub(crate) dot_rows: usize,
    /// [`tile::dot`] for [`DOT_COLS`] columns.
    pub(crate) dot: unsafe fn(&ConvTile),
    /// [`tile::score`] of the first tile's shape.
    pub(crate) score: unsafe fn(&ScoreTile),
    /// The transforms for two and for three taps.
    pub(crate) winograd: [Transforms; 2],
}

/// The kernels for a tile of some shape.
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// [`tile::conv`].
    pub(crate) conv: unsafe fn(&ConvTile),
    /// [`tile::grad`].
    pub(crate) grad: unsafe fn(&GradTile),
}

impl Isa {
    /// The best instruction set of this machine, or the one that [`CHOICE`] names, where the machine has it.
    pub(crate) fn detect() -> &'static Self {
        static BEST: LazyLock<&'static Isa> = LazyLock::new(|| {
            let available = Isa::available();
            let wanted = std::env::var(CHOICE).ok();
            let chosen = available.iter().find(|isa| wanted.as_deref() == Some(isa.name));
            chosen.copied().unwrap_or(available[0])
        });
        *BEST
    }

    /// The tile for a product with so many columns.
    pub(crate) fn tile_for(&self, columns: usize) -> &Tile {
        if columns <= self.lanes { &self.tiles[self.tiles.len() - 1] } else { &self.tiles[0] }
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

/// Instantiates the kernels for one vector type as functions compiled with its target features.
macro_rules! isa {
    ($name:literal, $vector:ty, $features:literal, dot_rows: $dot_rows:literal,
     tiles: [($rows:literal, $vectors:literal) $(, ($more_rows:literal, $more_vectors:literal))*]) => {
        pub(crate) static ISA: crate::simd::Isa = {
            use crate::simd::tile::{self, ConvTile, ScoreTile};
            type V = $vector;
            #[target_feature(enable = $features)]
            unsafe fn dot(t: &ConvTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::dot::<V, $dot_rows, { crate::simd::DOT_COLS }>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn score(t: &ScoreTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::score::<V, $rows, $vectors>(t) }
            }
            let lanes = <V as crate::simd::Vector>::LANES;
            assert!($dot_rows <= crate::simd::MAX_ROWS && lanes * $vectors <= crate::simd::MAX_SCORE_COLS);
            crate::simd::Isa {
                name: $name,
                lanes,
                tiles: &[
                    crate::simd::tile_of!($vector, $features, $rows, $vectors)
                    $(, crate::simd::tile_of!($vector, $features, $more_rows, $more_vectors))*
                ],
                dot_rows: $dot_rows,
                dot,
                score,
                winograd: [
                    crate::simd::transforms!($vector, $features, Two, 2, 5),
                    crate::simd::transforms!($vector, $features, Three, 3, 6),
                ],
            }
        };
    };
}
use isa;

/// Instantiates the kernels for a tile of one shape.
macro_rules! tile_of {
    ($vector:ty, $features:literal, $rows:literal, $vectors:literal) => {{
        use crate::simd::tile::{self, ConvTile, GradTile};
        type V = $vector;
        #[target_feature(enable = $features)]
        unsafe fn conv(t: &ConvTile) {
            // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
            unsafe { tile::conv::<V, $rows, $vectors>(t) }
        }
        #[target_feature(enable = $features)]
        unsafe fn grad(t: &GradTile) {
            // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
            unsafe { tile::grad::<V, $rows, $vectors>(t) }
        }
        let cols = <V as crate::simd::Vector>::LANES * $vectors;
        assert!($rows <= crate::simd::MAX_ROWS && cols <= crate::simd::MAX_COLS);
        crate::simd::Tile { rows: $rows, cols, conv, grad }
    }};
}
use tile_of;

/// Instantiates Winograd's transforms for one number of taps.
macro_rules! transforms {
    ($vector:ty, $features:literal, $of:ident, $taps:literal, $points:literal) => {{
        use crate::simd::winograd::{self, Gather, Scatter, Transforms};
        #[target_feature(enable = $features)]
        unsafe fn input(t: &Scatter) {
            // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
            unsafe { winograd::input::<$vector, winograd::$of, $points>(t) }
        }
        #[target_feature(enable = $features)]
        unsafe fn output(t: &Gather) {
            // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
            unsafe { winograd::output::<$vector, winograd::$of, $points>(t) }
        }
        #[target_feature(enable = $features)]
        unsafe fn output_grad(t: &Scatter) {
            // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
            unsafe { winograd::output_grad::<$vector, winograd::$of, $points>(t) }
        }
        Transforms { taps: $taps, points: $points, input, output, output_grad }
    }};
}
use transforms;
