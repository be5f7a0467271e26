//! The trait that models see.

use candle_core::{Tensor, Var};
use ksom_kernels::Backend;

use crate::config::QuantizerConfig;
use crate::error::{QuantizerError, Result};
use crate::form::Form;
use crate::grid::Grid;
use crate::k_means;
use crate::observation::Observation;
use crate::parts::Parts;
use crate::rows;

/// What a quantizer makes of a batch.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The chosen codebook vectors in the input's shape and type. The gradient goes on to the input as the configuration's
    /// [`Estimator`](crate::Estimator) says.
    pub output: Tensor,
    /// The chosen codes, u32: `[N]` for rows, [N, H, W] for maps.
    pub codes: Tensor,
    /// What is to be added to the model's loss: an f32 scalar.
    pub loss: Tensor,
    /// exp(−Σ p ln(p + 1e−10)) of the batch's code frequencies p: an f32 scalar, without gradient.
    pub perplexity: Tensor,
}

/// A vector quantizer with K codes of dimension D, which lie on a grid: [`Ksom`](crate::Ksom),
/// [`GdSom`](crate::GdSom), [`SimVq`](crate::SimVq) or [`Fsq`](crate::Fsq).
///
/// # Shapes
/// Inputs are rows [N, D] with codes `[N]`, or maps [N, D, H, W] with codes [N, H, W]. They are of any floating-point
/// type; a quantizer computes in f32.
///
/// # Training
/// A step is [`forward`](Quantizer::forward) and [`observe`](Quantizer::observe) for each part of a batch, then one
/// [`step`](Quantizer::step) with what was observed of all. Only `step` changes the quantizer.
pub trait Quantizer: Send + Sync {
    #[doc(hidden)]
    fn parts(&self) -> &Parts;

    #[doc(hidden)]
    fn parts_mut(&mut self) -> &mut Parts;

    /// Brings the codebook up to date with what it is made of.
    #[doc(hidden)]
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Takes a codebook [K, D], made of as many vectors as `sizes` `[K]` says.
    #[doc(hidden)]
    fn begin_at(&self, centers: &Tensor, _sizes: &Tensor) -> Result<()> {
        self.parts().codebook.set(centers)
    }

    /// What the quantizer is.
    fn config(&self) -> &QuantizerConfig {
        &self.parts().config
    }

    /// The grid on which the codes lie.
    fn grid(&self) -> &Grid {
        self.parts().neighborhood.grid()
    }

    /// The codebook w, f32 [K, D], without gradient. It shares the quantizer's memory: a later step shows in it.
    fn codebook(&self) -> &Tensor {
        self.parts().codebook.tensor()
    }

    /// Training steps done (t), at most [`MAX_STEPS`](crate::MAX_STEPS).
    ///
    /// # Errors
    /// [`QuantizerError::State`] if the counter, which somebody else can write where it lies in a `VarMap`, is not a
    /// number of steps.
    fn steps(&self) -> Result<u64> {
        self.parts().counter.get()
    }

    /// The computing path: [`Backend::Fast`] on the CPU, [`Backend::Portable`] elsewhere, unless it was set.
    fn backend(&self) -> Backend {
        self.parts().backend
    }

    /// Sets the computing path.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if it cannot compute on the quantizer's device.
    fn set_backend(&mut self, backend: Backend) -> Result<()> {
        let device = self.codebook().device();
        if backend == Backend::Fast && !device.is_cpu() {
            return Err(QuantizerError::Input {
                operation: "set a quantizer's backend",
                expected: "the CPU for the fast backend (use the portable one elsewhere)".into(),
                found: format!("{:?}", device.location()),
            });
        }
        self.parts_mut().backend = backend;
        Ok(())
    }

    /// What is compared with the codes: `x` as rows f32 [N·H·W, D], which are those of `x` but where a cosine is compared
    /// (scaled to length 1) and with FSQ (bound to its levels).
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    fn compared(&self, x: &Tensor) -> Result<Tensor> {
        let Parts { config, space, .. } = self.parts();
        space.enter(config, Form::of("compare", x, config.dim)?.rows(x)?)
    }

    /// The nearest code of each vector of `x`, by the Euclidean distance of what is compared → u32, `[N]` for rows, [N, H, W] for maps.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if `x` is neither rows nor maps of dimension D, or is empty.
    fn assign(&self, x: &Tensor) -> Result<Tensor> {
        let form = Form::of("assign", x, self.config().dim)?;
        self.settle()?;
        form.codes(rows::nearest(self.backend(), &self.compared(x)?, self.codebook())?)
    }

    /// The two nearest codes of each row of `x` [N, D], nearest first → u32 [N, 2]; of maps, of each position in the
    /// order of their codes → u32 [N·H·W, 2]. Both are 0 if K = 1.
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    fn assign_two(&self, x: &Tensor) -> Result<Tensor> {
        self.settle()?;
        rows::nearest_two(self.backend(), &self.compared(x)?, self.codebook())
    }

    /// The codebook vectors of `codes`, u32 of any shape S → f32 S + `[D]`.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if the codes are not u32 or one is not less than K.
    fn lookup(&self, codes: &Tensor) -> Result<Tensor> {
        self.settle()?;
        rows::lookup(self.codebook(), codes)
    }

    /// Whether the codebook is still to be made of the first batch's vectors: [`Quantizer::initialize`].
    ///
    /// # Errors
    /// [`QuantizerError::State`] if what says so is not 0 or 1.
    fn awaits_vectors(&self) -> Result<bool> {
        self.parts().initialized.as_ref().map_or(Ok(false), |flag| Ok(!flag.get()?))
    }

    /// Makes the codebook of vectors `x`: of the first batch, before its first step. Does nothing where none is awaited.
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    fn initialize(&mut self, x: &Tensor) -> Result<()> {
        let Parts { config, backend, space, initialized, .. } = self.parts();
        Form::of("initialize", x, config.dim)?;
        let Some(flag) = initialized.as_ref() else { return Ok(()) };
        if flag.get()? {
            return Ok(());
        }
        let inputs = self.compared(&x.detach())?;
        let (centers, sizes) = k_means::of_rows(&inputs, config.num_codes, *space, *backend)?;
        self.begin_at(&centers, &sizes)?;
        flag.set()
    }

    /// Quantizes `x` with the codebook as it is, and gives the loss. Changes nothing.
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    fn forward(&self, x: &Tensor) -> Result<Quantized> {
        self.forward_with(x, &self.assign(x)?)
    }

    /// As [`Quantizer::forward`], with `codes` chosen already instead of the nearest.
    ///
    /// # Errors
    /// As [`Quantizer::observe`].
    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized>;

    /// What is to be learned from `x` with its `codes`, where it is not an optimizer that learns. Changes nothing; those of a
    /// batch's parts are added by [`Observation::and`].
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if shapes do not fit or, on the CPU, a code is not less than K.
    fn observe(&self, x: &Tensor, codes: &Tensor) -> Result<Observation> {
        Form::of("observe", x, self.config().dim)?.code_row("observe", codes)?;
        Ok(Observation::new(None))
    }

    /// Ends a training step: learns from what was observed, unless an optimizer does the learning, and counts the step.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if `observation` is of another quantizer, as far as shapes tell, or
    /// [`MAX_STEPS`](crate::MAX_STEPS) steps have been done; nothing has changed then.
    fn step(&mut self, observation: Observation) -> Result<()> {
        let counter = self.parts().counter.tensor().to_scalar()?;
        self.step_from(counter, observation)
    }

    /// As [`Quantizer::step`], with what the tensor `counter` of [`Quantizer::state`] holds, for those who read it from a
    /// device together with other numbers.
    ///
    /// # Errors
    /// As [`Quantizer::step`]; [`QuantizerError::State`] if `counter` is not a number of steps.
    fn step_from(&mut self, counter: f32, _observation: Observation) -> Result<()> {
        self.parts().counter.count(counter)
    }

    /// The state that must survive a checkpoint, by its name in the paper's checkpoints. The tensors share the
    /// quantizer's memory: copy ([`Tensor::copy`]) what is to outlast the next step.
    fn state(&self) -> Vec<(&'static str, Tensor)>;

    /// The parameters that an optimizer must train, by their name in the paper's checkpoints.
    fn vars(&self) -> Vec<(&'static str, Var)> {
        Vec::new()
    }
}
