//! Plain Rust, for processors without any of the other instruction sets.

use super::bounds::DOT_COLS;
use super::fourier;
use super::isa::{Isa, Tile};
use super::tile;
use super::vector::Vector;
use super::winograd::{self, Points, Three, Transforms, Two};

/// Four elements, which the compiler keeps in whatever registers there are. The product is rounded before it is
/// added: a fused multiply-add would be a slow library call here.
#[derive(Clone, Copy)]
pub(super) struct Four([f32; 4]);

pub(super) static ISA: Isa = Isa {
    name: "scalar",
    lanes: Four::LANES,
    tiles: &[
        Tile { rows: 4, cols: 2 * Four::LANES, conv: tile::conv::<Four, 4, 2>, grad: tile::grad::<Four, 4, 2> },
        Tile { rows: 8, cols: Four::LANES, conv: tile::conv::<Four, 8, 1>, grad: tile::grad::<Four, 8, 1> },
    ],
    dot_rows: 4,
    dot: tile::dot::<Four, 4, DOT_COLS>,
    score: tile::score::<Four, 4, 2>,
    fourier_forward: fourier::forward::<Four>,
    fourier_backward: fourier::backward::<Four>,
    winograd: [transforms::<Two, 5>(2), transforms::<Three, 6>(3)],
};

const fn transforms<P: Points<Four, POINTS>, const POINTS: usize>(taps: usize) -> Transforms {
    Transforms {
        taps,
        points: POINTS,
        input: winograd::input::<Four, P, POINTS>,
        output: winograd::output::<Four, P, POINTS>,
        output_grad: winograd::output_grad::<Four, P, POINTS>,
    }
}

impl Four {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], b.0[i])))
    }
}

impl Vector for Four {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 4])
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: as the trait asks.
        Self([unsafe { *from }; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait asks.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the trait asks.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        self.zip(b, |a, b| a * b).zip(c, |ab, c| ab + c)
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|a| if 0.0 > a { 0.0 } else { a }))
    }
    #[inline(always)]
    unsafe fn if_greater(self, than: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|i| if self.0[i] > than.0[i] { yes.0[i] } else { no.0[i] }))
    }
    #[inline(always)]
    unsafe fn any_greater(self, than: Self) -> bool {
        (0..4).any(|i| self.0[i] > than.0[i])
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        (self.0[0] + self.0[1]) + (self.0[2] + self.0[3])
    }
}
