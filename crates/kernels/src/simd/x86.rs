//! AVX2 with FMA, and AVX-512.

use super::isa::Isa;
use std::arch::is_x86_feature_detected;

/// The instruction sets of this machine, the best first.
pub(super) fn available() -> Vec<&'static Isa> {
    let mut all = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        all.push(&avx512::ISA);
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        all.push(&avx2::ISA);
    }
    all
}

mod avx2 {
    use crate::simd::vector::Vector;
    use std::arch::x86_64::*;

    // 6 × 2 registers of sums, 2 of columns and 1 of a row: 15 of 16.
    crate::simd::instantiate::isa!("avx2", __m256, "avx2,fma", dot_rows: 4, tiles: [(6, 2), (4, 3), (12, 1)]);

    impl Vector for __m256 {
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(from: *const f32) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_set1_ps(*from) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as the trait asks.
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_add_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), self) }
        }
        #[inline(always)]
        unsafe fn if_greater(self, than: Self, yes: Self, no: Self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(self, than)) }
        }
        #[inline(always)]
        unsafe fn any_greater(self, than: Self) -> bool {
            // SAFETY: as the trait asks.
            unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self, than)) != 0 }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: as the trait asks.
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
    }
}

mod avx512 {
    use crate::simd::vector::Vector;
    use std::arch::x86_64::*;

    // 14 × 2 registers of sums, 2 of columns, rows from memory: 30 of 32.
    crate::simd::instantiate::isa!("avx512", __m512, "avx512f", dot_rows: 8, tiles: [(14, 2), (13, 2), (11, 2), (8, 3), (24, 1)]);

    impl Vector for __m512 {
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(from: *const f32) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_set1_ps(*from) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as the trait asks.
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_add_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
        }
        #[inline(always)]
        unsafe fn if_greater(self, than: Self, yes: Self, no: Self) -> Self {
            // SAFETY: as the trait asks.
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, than), no, yes) }
        }
        #[inline(always)]
        unsafe fn any_greater(self, than: Self) -> bool {
            // SAFETY: as the trait asks.
            unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, than) != 0 }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: as the trait asks.
            unsafe { _mm512_reduce_add_ps(self) }
        }
    }
}
