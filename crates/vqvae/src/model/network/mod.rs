//! What the two networks have in common.

mod conv;
pub(crate) mod conv_config;
pub(crate) mod description;
pub(crate) mod error_weights;
pub(crate) mod layout;
pub(crate) mod operations;
mod portable;
mod quantize;
mod residual;
pub(crate) mod tape;
pub(crate) mod vqvae;
pub(crate) mod vqvae2;

use candle_core::Tensor;
use ksom_quantizers::Quantizer;

use crate::error::Result;
use crate::model::network::tape::Maps;

/// What a level's quantizer saw and said in one forward pass.
pub struct LevelOutput {
    /// The vectors it quantized [N·h·w, D], without gradient.
    pub inputs: Tensor,
    /// Their codes, u32 [N, h, w].
    pub codes: Tensor,
    /// exp of the entropy of the batch's code frequencies, a scalar.
    pub perplexity: Tensor,
}

/// The result of a forward pass.
pub struct ForwardOutput {
    /// The reconstruction [N, 3, H, W], in normalized units.
    pub reconstruction: Tensor,
    /// The quantizers' loss (commitment, and GD-SOM's own terms), summed over levels; a scalar.
    pub quantizer_loss: Tensor,
    /// One entry per level, in the order of [`crate::model::Architecture::levels`].
    pub levels: Vec<LevelOutput>,
}

/// As [`ForwardOutput`], in the backend's layout.
pub(crate) struct Reconstruction {
    pub(crate) pixels: Maps,
    pub(crate) quantizer_loss: Tensor,
    pub(crate) levels: Vec<LevelOutput>,
}

/// A network around one or more quantizers. Pictures are maps of three channels with sides that are multiples of its
/// stride.
pub(crate) trait Network: Send + Sync {
    /// Codes of each level, u32 [N, h, w].
    fn encode(&self, pixels: &Maps) -> Result<Vec<Tensor>>;
    /// Codes of each level → pictures.
    fn decode(&self, codes: &[Tensor]) -> Result<Maps>;
    /// Everything training needs; with `codes`, these are used instead of the nearest ones.
    fn forward(&self, pixels: &Maps, codes: Option<&[Tensor]>) -> Result<Reconstruction>;
    /// One per level.
    fn quantizers(&self) -> Vec<&dyn Quantizer>;
    /// One per level.
    fn quantizers_mut(&mut self) -> Vec<&mut Box<dyn Quantizer>>;
}
