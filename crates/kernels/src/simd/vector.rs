//! What a tile kernel needs of an instruction set.

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
    /// Whether `self > than` in any lane.
    unsafe fn any_greater(self, than: Self) -> bool;
    /// The sum of all lanes.
    unsafe fn sum(self) -> f32;
}
