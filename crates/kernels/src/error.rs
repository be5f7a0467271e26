//! What the kernels refuse.

use candle_core::{DType, DeviceLocation, Shape};

/// Why a kernel cannot compute; reaches the caller inside [`candle_core::Error`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor of the wrong shape.
    #[error("{operation}: expected {name} of shape {expected}, found {found:?}")]
    Shape {
        /// The kernel.
        operation: &'static str,
        /// The tensor.
        name: &'static str,
        /// The shape it should have, in words.
        expected: String,
        /// The shape it has.
        found: Shape,
    },
    /// A tensor of the wrong element type.
    #[error("{operation}: expected {expected:?}, found {found:?}; use the portable backend for other types")]
    DType {
        /// The kernel.
        operation: &'static str,
        /// The type it computes in.
        expected: DType,
        /// The type it was given.
        found: DType,
    },
    /// A tensor that is not on the CPU.
    #[error("{operation}: expected a tensor on the CPU, found one on {found:?}; use the portable backend there")]
    Device {
        /// The kernel.
        operation: &'static str,
        /// Where the tensor is.
        found: DeviceLocation,
    },
    /// A tensor that is not contiguous.
    #[error(
        "{operation}: expected a contiguous tensor, found shape {shape:?} with strides {strides:?}; call contiguous() first"
    )]
    Strides {
        /// The kernel.
        operation: &'static str,
        /// The tensor's shape.
        shape: Shape,
        /// The tensor's strides.
        strides: Vec<usize>,
    },
    /// A number out of range.
    #[error("{operation}: expected {expected}, found {found}")]
    Value {
        /// The kernel.
        operation: &'static str,
        /// What would be in range.
        expected: String,
        /// What was given.
        found: String,
    },
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        Self::wrap(error)
    }
}
