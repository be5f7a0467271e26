//! Macros that compile the generic kernels for an instruction set.

/// Instantiates the kernels for one vector type as functions compiled with its target features.
macro_rules! isa {
    ($name:literal, $vector:ty, $features:literal, dot_rows: $dot_rows:literal,
     tiles: [($rows:literal, $vectors:literal) $(, ($more_rows:literal, $more_vectors:literal))*]) => {
        pub(crate) static ISA: crate::simd::isa::Isa = {
            use crate::simd::fourier::{self, Lines};
            use crate::simd::tile::{self, ConvTile, ScoreTile};
            type V = $vector;
            #[target_feature(enable = $features)]
            unsafe fn dot(t: &ConvTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::dot::<V, $dot_rows, { crate::simd::bounds::DOT_COLS }>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn score(t: &ScoreTile) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { tile::score::<V, $rows, $vectors>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn fourier_forward(t: &Lines) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { fourier::forward::<V>(t) }
            }
            #[target_feature(enable = $features)]
            unsafe fn fourier_backward(t: &Lines) {
                // SAFETY: the caller upholds the kernel's contract; an `Isa` is handed out only where its features are.
                unsafe { fourier::backward::<V>(t) }
            }
            let lanes = <V as crate::simd::vector::Vector>::LANES;
            assert!($dot_rows <= crate::simd::bounds::MAX_ROWS && lanes * $vectors <= crate::simd::bounds::MAX_SCORE_COLS);
            crate::simd::isa::Isa {
                name: $name,
                lanes,
                tiles: &[
                    crate::simd::instantiate::tile_of!($vector, $features, $rows, $vectors)
                    $(, crate::simd::instantiate::tile_of!($vector, $features, $more_rows, $more_vectors))*
                ],
                dot_rows: $dot_rows,
                dot,
                score,
                fourier_forward,
                fourier_backward,
                winograd: [
                    crate::simd::instantiate::transforms!($vector, $features, Two, 2, 5),
                    crate::simd::instantiate::transforms!($vector, $features, Three, 3, 6),
                ],
            }
        };
    };
}
pub(super) use isa;

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
        let cols = <V as crate::simd::vector::Vector>::LANES * $vectors;
        assert!($rows <= crate::simd::bounds::MAX_ROWS && cols <= crate::simd::bounds::MAX_COLS);
        crate::simd::isa::Tile { rows: $rows, cols, conv, grad }
    }};
}
pub(super) use tile_of;

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
pub(super) use transforms;
