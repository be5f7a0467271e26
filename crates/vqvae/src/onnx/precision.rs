//! In which numbers a graph keeps its weights, and in which it computes.

use candle_core::DType;

/// In which numbers a graph keeps its weights, and in which it computes. Pixels are f32 outside in any case, codebooks
/// are kept in f32, and the nearest code is looked for in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// All in f32.
    #[default]
    F32,
    /// Weights in f16, so that files are half as large. They become f32 when the file is loaded, and all is computed in
    /// f32: the codes are those of the model whose weights were stored so.
    HalfWeights,
    /// Weights in f16, and the convolutions computed in f16, for devices that are faster so. Some codes differ.
    Half,
}

impl Precision {
    /// What weights are kept in.
    pub(super) fn stored(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::HalfWeights | Self::Half => DType::F16,
        }
    }

    /// What convolutions compute in.
    pub(super) fn computed(self) -> DType {
        match self {
            Self::F32 | Self::HalfWeights => DType::F32,
            Self::Half => DType::F16,
        }
    }
}
