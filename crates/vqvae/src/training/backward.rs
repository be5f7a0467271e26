//! The way back over a (micro-)batch: its losses, and the gradient of each parameter.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::error::Result;
use crate::model::Model;
use crate::model::network::layout::Layout;
use crate::model::network::operations::{Operations, Scalar};
use crate::model::network::tape::{Maps, Tape};
use crate::model::network::{ForwardOutput, LevelOutput, Reconstruction};
use crate::training::optimizer::finite;

/// Losses of a (micro-)batch, and their gradients.
pub struct Backpropagation {
    /// Mean squared error of the reconstruction, in normalized units.
    pub reconstruction: f64,
    /// The quantizers' loss.
    pub quantizer_loss: f64,
    /// What each level's quantizer saw: for [`Model::observe`].
    pub levels: Vec<LevelOutput>,
    /// The gradient of the sum of both losses by each parameter's name, of the parameter's shape.
    pub gradients: BTreeMap<String, Tensor>,
}

/// The same with numbers that need not have left the device.
pub(crate) struct LedBack {
    pub(crate) reconstruction: Scalar,
    pub(crate) quantizer_loss: Scalar,
    /// The caller's own loss, where there is one.
    pub(crate) own: Option<Scalar>,
    pub(crate) levels: Vec<LevelOutput>,
    pub(crate) gradients: BTreeMap<String, Tensor>,
}

/// What a training learns by, in place of the mean squared error: from the forward pass and the pictures [N, 3, H, W] in
/// normalized units, a scalar. The quantizers' loss is to be part of it. Its gradient is asked for by the reconstruction
/// and by the quantizers' loss, and led back from there.
pub type Loss<'a> = &'a mut dyn FnMut(&ForwardOutput, &Tensor) -> Result<Tensor>;

impl Model {
    /// Losses and gradients for pictures [N, 3, H, W] in normalized units, without candle's graph. Changes nothing. With
    /// `codes`, u32 [N, h, w] per level, these stand in place of the nearest ones. What [`Model::weigh_errors`] adds is
    /// part of the gradients, not of the losses. Gradients are those of `share` times
    /// the losses: for a part of a batch, the part it is of it.
    ///
    /// # Errors
    /// As [`Model::forward_with_codes`]; a loss is not finite ([`Error::NotFinite`](crate::Error::NotFinite)).
    pub fn backpropagate(&self, pixels: &Tensor, codes: Option<&[Tensor]>, share: f64) -> Result<Backpropagation> {
        let LedBack { reconstruction, quantizer_loss, levels, gradients, .. } = self.lead_back(pixels, codes, share)?;
        let losses = Scalar::read(&[reconstruction, quantizer_loss])?;
        let reconstruction = finite("reconstruction loss", losses[0])?;
        let quantizer_loss = finite("quantizer loss", losses[1])?;
        Ok(Backpropagation { reconstruction, quantizer_loss, levels, gradients })
    }

    /// As [`Model::backpropagate`], without waiting for the device.
    pub(crate) fn lead_back(&self, pixels: &Tensor, codes: Option<&[Tensor]>, share: f64) -> Result<LedBack> {
        let backend = self.compute().backend;
        let tape = Tape::new(backend);
        let input = self.input(pixels, Some(&tape))?;
        let Reconstruction { pixels: output, quantizer_loss, levels } = self.reconstruction(&input, codes)?;
        let (reconstruction, mut grad) = backend.mean_squared_error(&output.values, &input.values, share)?;
        if !self.error_weights.are_plain() {
            let (rows, positions) = backend.to_rows(&grad)?;
            let (n, h, w) = positions;
            let weighed = self.error_weights.gradient(&rows.reshape((n, h, w, rows.dim(1)?))?)?;
            grad = backend.to_maps(&weighed.reshape(rows.shape())?, positions)?;
        }
        let gradients = self.gradients(&tape, &output, grad, share)?;
        let quantizer_loss = Scalar::OnDevice(quantizer_loss);
        Ok(LedBack { reconstruction, quantizer_loss, own: None, levels, gradients })
    }

    /// As [`Model::lead_back`], by a loss of the caller's.
    pub(crate) fn lead_back_with(&self, pixels: &Tensor, share: f64, loss: Loss) -> Result<LedBack> {
        let backend = self.compute().backend;
        let tape = Tape::new(backend);
        let input = self.input(pixels, Some(&tape))?;
        let Reconstruction { pixels: output, quantizer_loss, levels } = self.reconstruction(&input, None)?;
        let (reconstruction, _) = backend.mean_squared_error(&output.values, &input.values, share)?;
        // candle's graph leads through the loss alone, which begins at these two.
        let ends = [Var::from_tensor(&backend.leave(&output)?)?, Var::from_tensor(&quantizer_loss)?];
        let end = |i: usize| ends[i].as_tensor().clone();
        let forward = ForwardOutput { reconstruction: end(0), quantizer_loss: end(1), levels };
        let total = loss(&forward, &backend.leave(&Maps::untaped(input.values.clone()))?)?;
        let store = total.backward()?;
        let grad = match store.get(ends[0].as_tensor()) {
            Some(grad) => backend.enter(&grad.affine(share, 0.0)?.contiguous()?, None)?.values,
            None => output.values.zeros_like()?,
        };
        let weight = match store.get(ends[1].as_tensor()) {
            Some(weight) => Scalar::read(&[Scalar::OnDevice(weight.clone())])?[0],
            None => 0.0,
        };
        let gradients = self.gradients(&tape, &output, grad, share * weight)?;
        let (own, quantizer_loss) = (Some(Scalar::OnDevice(total.detach())), Scalar::OnDevice(quantizer_loss));
        Ok(LedBack { reconstruction, quantizer_loss, own, levels: forward.levels, gradients })
    }

    /// The gradients of the parameters that learn, from that of the output; the quantizers add those of `share` times
    /// their loss.
    fn gradients(&self, tape: &Tape, output: &Maps, grad: Tensor, share: f64) -> Result<BTreeMap<String, Tensor>> {
        let found = tape.backward(output, grad, share)?;
        let vars = self.vars().into_iter();
        Ok(vars.filter_map(|(name, var)| Some((name, found.get(&var.as_tensor().id())?.clone()))).collect())
    }
}
