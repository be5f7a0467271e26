//! What an engine does with its sums before it writes them.

/// What is added to and done with the sums.
#[derive(Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) relu: bool,
    /// Of the output's shape: where it is not greater than zero, the output becomes zero.
    pub(crate) mask: Option<&'a [f32]>,
}
