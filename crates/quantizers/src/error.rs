//! What can go wrong.

/// Why a quantizer refused its configuration, state or input.
#[derive(Debug, thiserror::Error)]
pub enum QuantizerError {
    /// A field of [`crate::QuantizerConfig`] is out of bounds.
    #[error("{field}: expected {expected}, found {found}; correct it in the quantizer's configuration")]
    Config {
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A grid cannot have this shape, or has no such cell.
    #[error("grid: expected {expected}, found {found}")]
    Grid {
        /// What was possible.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// A tensor of a quantizer's state has the wrong form.
    #[error(
        "quantizer state {name:?}: expected {expected}, found {found}; the checkpoint belongs to another quantizer"
    )]
    State {
        /// The tensor's name in checkpoints.
        name: &'static str,
        /// The form it must have.
        expected: String,
        /// The form it has.
        found: String,
    },
    /// An operation cannot take this input.
    #[error("{operation}: expected {expected}, found {found}")]
    Input {
        /// The operation.
        operation: &'static str,
        /// The input it takes.
        expected: String,
        /// The input it was given.
        found: String,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result whose error is [`QuantizerError`].
pub type Result<T> = std::result::Result<T, QuantizerError>;

impl From<QuantizerError> for candle_core::Error {
    fn from(error: QuantizerError) -> Self {
        match error {
            QuantizerError::Tensor(error) => error,
            other => Self::wrap(other),
        }
    }
}
