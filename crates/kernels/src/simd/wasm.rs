//! WebAssembly's vectors of 128 bits. A module runs only where all its instructions are known, so they are used where it is
//! built with them, by `-Ctarget-feature=+simd128`. Relaxed SIMD, whose multiplication and addition are one, gains nothing:
//! engines bring its operands into place by further instructions.

use super::isa::Isa;
use super::vector::Vector;
use std::arch::wasm32::*;

// 4 × 2 registers of sums, 2 of columns, 1 of a row and 1 of a product: 12 of the 16 that most processors have at least.
super::instantiate::isa!("simd128", v128, "simd128", dot_rows: 4, tiles: [(4, 2), (8, 1)]);

/// What the module was built with.
pub(super) fn available() -> Vec<&'static Isa> {
    vec![&ISA]
}

impl Vector for v128 {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        f32x4_splat(0.0)
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: as the trait asks.
        unsafe { v128_load32_splat(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait asks; addresses of vectors need not be aligned.
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as for `load`.
        unsafe { v128_store(to.cast(), self) }
    }
    /// There is no fused one: the product is rounded before it is added.
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        f32x4_add(f32x4_mul(self, b), c)
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        f32x4_add(self, b)
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // `self` unless it is less.
        f32x4_pmax(self, f32x4_splat(0.0))
    }
    #[inline(always)]
    unsafe fn if_greater(self, than: Self, yes: Self, no: Self) -> Self {
        v128_bitselect(yes, no, f32x4_gt(self, than))
    }
    #[inline(always)]
    unsafe fn any_greater(self, than: Self) -> bool {
        v128_any_true(f32x4_gt(self, than))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let pair = f32x4_extract_lane::<0>(self) + f32x4_extract_lane::<1>(self);
        pair + (f32x4_extract_lane::<2>(self) + f32x4_extract_lane::<3>(self))
    }
}
