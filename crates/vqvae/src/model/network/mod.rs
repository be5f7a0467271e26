//! What the two networks have in common.

mod conv;
pub(crate) mod conv_config;
pub(crate) mod description;
pub(crate) mod error_weights;
pub(crate) mod layout;
pub(crate) mod operations;
mod portable;
mod residual;
pub(crate) mod tape;
pub(crate) mod vqvae;
pub(crate) mod vqvae2;

use candle_core::Tensor;
use candle_nn::VarBuilder;
use ksom_kernels::Backend;
use ksom_quantizers::{Quantized, Quantizer, QuantizerConfig};

use crate::error::Result;
use crate::model::network::layout::Layout;
use crate::model::network::operations::Operations;
use crate::model::network::tape::Maps;
use crate::system::compute::Compute;

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

/// A quantizer amid feature maps.
pub(crate) struct QuantizeLayer {
    pub(crate) quantizer: Box<dyn Quantizer>,
    backend: Backend,
}

impl QuantizeLayer {
    /// Takes the codebook's state from under `vb`, in f32 whatever the model's type.
    pub(crate) fn new(config: &QuantizerConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let mut quantizer = ksom_quantizers::build(config, vb)?;
        quantizer.set_backend(compute.backend)?;
        Ok(Self { quantizer, backend: compute.backend })
    }

    /// Feature maps → codes [N, h, w].
    pub(crate) fn encode(&self, x: &Maps) -> Result<Tensor> {
        let (rows, positions) = self.backend.to_rows(&x.values)?;
        self.count(x, &rows);
        Ok(self.quantizer.assign(&rows)?.reshape(positions)?)
    }

    /// Counts the search for the nearest codes.
    fn count(&self, x: &Maps, rows: &Tensor) {
        if let Some(tape) = x.tape() {
            tape.count(rows.elem_count() * self.quantizer.config().num_codes, 0);
        }
    }

    /// Codes [N, h, w] → feature maps of type `dtype`.
    pub(crate) fn decode(&self, codes: &Tensor, dtype: candle_core::DType) -> Result<Maps> {
        let positions = codes.dims3()?;
        let rows = self.quantizer.lookup(&codes.flatten_all()?)?.to_dtype(dtype)?;
        Ok(Maps::untaped(self.backend.to_maps(&rows, positions)?))
    }

    /// Feature maps → quantized feature maps with a straight-through gradient, the loss, and what was seen.
    pub(crate) fn forward(&self, x: &Maps, codes: Option<&Tensor>) -> Result<(Maps, Tensor, LevelOutput)> {
        let (rows, positions) = self.backend.to_rows(&x.values)?;
        self.count(x, &rows);
        let Quantized { output, codes, loss, perplexity } = match codes {
            Some(codes) => self.quantizer.forward_with(&rows, &codes.flatten_all()?)?,
            None => self.quantizer.forward(&rows)?,
        };
        let values = self.backend.to_maps(&output, positions)?;
        let level = LevelOutput { inputs: rows.detach(), codes: codes.reshape(positions)?, perplexity };
        let Some(tape) = x.tape() else { return Ok((Maps::untaped(values), loss, level)) };

        let (input, own_loss, vars) = (x.clone(), loss.clone(), self.quantizer.vars());
        let (backend, commitment) = (self.backend, self.quantizer.config().commitment);
        let maps = tape.record(&[x], values, false, move |grad, gradients| {
            let share = gradients.share();
            let (grad, _) = backend.to_rows(&grad)?;
            let grad = backend.straight_through_grad(&grad, &rows, &output, share * commitment)?;
            if !vars.is_empty() {
                let store = (own_loss * share)?.backward()?;
                for (_, var) in &vars {
                    if let Some(grad) = store.get(var.as_tensor()) {
                        gradients.set_parameter(var.as_tensor(), grad.clone());
                    }
                }
            }
            input.add_grad(gradients, backend.to_maps(&grad, positions)?)
        });
        Ok((maps, loss, level))
    }
}
