//! What the two networks have in common.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use ksom_kernels::Backend;
use ksom_quantizers::{Quantizer, QuantizerConfig, QuantizerError};

use crate::error::Result;
use crate::nn::Layout;

/// What a level's quantiser saw and said in one forward pass.
pub struct LevelOutput {
    /// The vectors it quantised [N·h·w, D], without gradient.
    pub inputs: Tensor,
    /// Their codes, u32 [N, h, w].
    pub codes: Tensor,
    /// exp of the entropy of the batch's code frequencies, a scalar.
    pub perplexity: Tensor,
}

/// The result of a forward pass.
pub struct ForwardOutput {
    /// The reconstruction [N, 3, H, W], in normalised units.
    pub reconstruction: Tensor,
    /// The quantisers' loss (commitment, and GD-SOM's own terms), summed over levels; a scalar.
    pub quantizer_loss: Tensor,
    /// One entry per level, in the order of [`crate::Architecture::levels`].
    pub levels: Vec<LevelOutput>,
}

/// A network around one or more quantisers. Pictures are [N, 3, H, W] with sides that are multiples of its stride.
pub(crate) trait Network: Send + Sync {
    /// Codes of each level, u32 [N, h, w].
    fn encode(&self, pixels: &Tensor) -> Result<Vec<Tensor>>;
    /// Codes of each level → pictures.
    fn decode(&self, codes: &[Tensor]) -> Result<Tensor>;
    /// Everything training needs; with `codes`, these are used instead of the nearest ones.
    fn forward(&self, pixels: &Tensor, codes: Option<&[Tensor]>) -> Result<ForwardOutput>;
    /// One per level.
    fn quantizers(&self) -> Vec<&dyn Quantizer>;
    /// One per level.
    fn quantizers_mut(&mut self) -> Vec<&mut Box<dyn Quantizer>>;
}

/// A quantiser amid feature maps.
pub(crate) struct QuantizeLayer {
    pub(crate) quantizer: Box<dyn Quantizer>,
    backend: Backend,
}

impl QuantizeLayer {
    /// Takes the codebook's state from under `vb`, in f32 whatever the model's type.
    pub(crate) fn new(config: &QuantizerConfig, backend: Backend, vb: VarBuilder) -> Result<Self> {
        let device = vb.device().clone();
        let vb = vb.to_dtype(candle_core::DType::F32);
        let mut state = |name: &str, shape: &[usize]| Ok::<_, QuantizerError>(vb.get(shape, name)?);
        let quantizer = ksom_quantizers::build(config, &mut state, &device, backend)?;
        Ok(Self { quantizer, backend })
    }

    /// Feature maps → codes [N, h, w].
    pub(crate) fn encode(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, positions) = self.backend.to_rows(x)?;
        Ok(self.quantizer.assign(&rows)?.reshape(positions)?)
    }

    /// Codes [N, h, w] → feature maps of type `dtype`.
    pub(crate) fn decode(&self, codes: &Tensor, dtype: candle_core::DType) -> Result<Tensor> {
        let positions = codes.dims3()?;
        let rows = self.quantizer.lookup(&codes.flatten_all()?)?.to_dtype(dtype)?;
        Ok(self.backend.to_maps(&rows, positions)?)
    }

    /// Feature maps → quantised feature maps with a straight-through gradient, the loss, and what was seen.
    pub(crate) fn forward(&self, x: &Tensor, codes: Option<&Tensor>) -> Result<(Tensor, Tensor, LevelOutput)> {
        let (rows, positions) = self.backend.to_rows(x)?;
        let quantized = match codes {
            Some(codes) => self.quantizer.forward_with(&rows, &codes.flatten_all()?)?,
            None => self.quantizer.forward(&rows)?,
        };
        let maps = self.backend.to_maps(&quantized.output, positions)?;
        let level = LevelOutput {
            inputs: rows.detach(),
            codes: quantized.codes.reshape(positions)?,
            perplexity: quantized.perplexity,
        };
        Ok((maps, quantized.loss, level))
    }
}
