//! NEON.

use super::isa::Isa;
use super::vector::Vector;
use std::arch::aarch64::*;

// 8 × 3 registers of sums, 3 of columns and 1 of a row: 28 of 32.
super::instantiate::isa!("neon", float32x4_t, "neon", dot_rows: 8, tiles: [(8, 3), (16, 1)]);

/// NEON is part of every aarch64 processor that Rust's standard library runs on.
pub(super) fn available() -> Vec<&'static Isa> {
    vec![&ISA]
}

impl Vector for float32x4_t {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: as the trait asks.
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: as the trait asks.
        unsafe { vld1q_dup_f32(from) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait asks.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the trait asks.
        unsafe { vst1q_f32(to, self) }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        // SAFETY: as the trait asks.
        unsafe { vfmaq_f32(c, self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: as the trait asks.
        unsafe { vaddq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: as the trait asks.
        unsafe { Self::zero().if_greater(self, Self::zero(), self) }
    }
    #[inline(always)]
    unsafe fn if_greater(self, than: Self, yes: Self, no: Self) -> Self {
        // SAFETY: as the trait asks.
        unsafe { vbslq_f32(vcgtq_f32(self, than), yes, no) }
    }
    #[inline(always)]
    unsafe fn any_greater(self, than: Self) -> bool {
        // SAFETY: as the trait asks.
        unsafe { vmaxvq_u32(vcgtq_f32(self, than)) != 0 }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as the trait asks.
        unsafe { vaddvq_f32(self) }
    }
}
