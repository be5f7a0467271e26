//! The trait that models see, and how quantizers are built.

use candle_core::{DType, Device, Tensor, Var};
use ksom_kernels::Backend;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::{QuantizerError, Result};
use crate::gd_som::GdSom;
use crate::grid::Grid;
use crate::ksom::Ksom;
use crate::rows;

/// What a quantizer makes of a batch.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The chosen codebook vectors [N, D] in the input's type. The gradient goes straight through to the input.
    pub output: Tensor,
    /// The chosen codes, u32 `[N]`.
    pub codes: Tensor,
    /// What is to be added to the model's loss: an f32 scalar.
    pub loss: Tensor,
    /// exp(−Σ p ln(p + 1e−10)) of the batch's code frequencies p: an f32 scalar, without gradient.
    pub perplexity: Tensor,
}

/// A vector quantizer with K codes of dimension D, which lie on a grid.
///
/// Computes in f32 whatever the type of its input. A training step is
/// [`forward`](Quantizer::forward) and [`observe`](Quantizer::observe) for each micro-batch, then one
/// [`step`](Quantizer::step).
pub trait Quantizer: Send + Sync {
    /// What the quantizer is.
    fn config(&self) -> &QuantizerConfig;

    /// The grid on which the codes lie.
    fn grid(&self) -> &Grid;

    /// The codebook w, f32 [K, D].
    fn codebook(&self) -> &Tensor;

    /// Training steps done (t).
    fn steps(&self) -> u64;

    /// The computing path.
    fn backend(&self) -> Backend;

    /// The nearest code of each row of `x` [N, D] by Euclidean distance → u32 `[N]`.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if `x` is not [N, D] with N ≥ 1.
    fn assign(&self, x: &Tensor) -> Result<Tensor> {
        rows::nearest(self.backend(), &rows::rows_f32("assign", x, self.config().dim)?, self.codebook())
    }

    /// The two nearest codes of each row of `x` [N, D], nearest first → u32 [N, 2]. Both are 0 if K = 1.
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    fn assign_two(&self, x: &Tensor) -> Result<Tensor> {
        rows::nearest_two(self.backend(), &rows::rows_f32("assign_two", x, self.config().dim)?, self.codebook())
    }

    /// The codebook vectors of `codes`, u32 of any shape S → f32 S + `[D]`.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if the codes are not u32 or one is not less than K.
    fn lookup(&self, codes: &Tensor) -> Result<Tensor> {
        rows::lookup(self.codebook(), codes)
    }

    /// Quantizes `x` [N, D] with the codebook as it is, and gives the loss. Changes nothing.
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    fn forward(&self, x: &Tensor) -> Result<Quantized> {
        self.forward_with(x, &self.assign(x)?)
    }

    /// As [`Quantizer::forward`], with `codes` u32 `[N]` chosen already instead of the nearest.
    ///
    /// # Errors
    /// As [`Quantizer::observe`].
    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized>;

    /// Adds a micro-batch `x` [N, D] and its `codes` u32 `[N]` to the pending update.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if shapes do not fit or, on the CPU, a code is not less than K.
    fn observe(&mut self, x: &Tensor, codes: &Tensor) -> Result<()>;

    /// Ends the training step: applies the pending update, if the quantizer learns by one, and counts the step.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if nothing was observed since the last step, or 2^24 steps have been done.
    fn step(&mut self) -> Result<()>;

    /// The state that must survive a checkpoint, by its name in the paper's checkpoints. A pending update is not part
    /// of it: save between steps.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    fn state(&self) -> Result<Vec<(&'static str, Tensor)>>;

    /// The parameters that an optimizer must train, by their name in the paper's checkpoints.
    fn vars(&self) -> Vec<(&'static str, Var)>;
}

/// Builds a quantizer from named tensors. `state` is asked for each tensor by name and shape, and says what is wrong if
/// it has none such. A [`Var`] that it gives for a trained parameter is used as it is, not copied.
///
/// # Errors
/// As [`QuantizerConfig::validate`]; [`QuantizerError::State`] if a tensor has another form than was asked for;
/// whatever `state` returns; [`QuantizerError::Input`] if `backend` cannot compute on `device`.
pub fn build(
    config: &QuantizerConfig,
    state: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
    device: &Device,
    backend: Backend,
) -> Result<Box<dyn Quantizer>> {
    config.validate()?;
    if backend == Backend::Fast && !device.is_cpu() {
        return Err(QuantizerError::Input {
            operation: "build a quantizer",
            expected: "the CPU for the fast backend (use the portable one elsewhere)".into(),
            found: format!("{:?}", device.location()),
        });
    }
    Ok(match config.kind {
        QuantizerKind::Ksom => Box::new(Ksom::new(config, state, device, backend)?),
        QuantizerKind::GdSom => Box::new(GdSom::new(config, state, device, backend)?),
    })
}

/// A new quantizer's state, on the CPU: w ~ N(0, 1), m = w, c = c₀, t = 0.
///
/// # Errors
/// As [`QuantizerConfig::validate`].
pub fn initial_state(config: &QuantizerConfig, rng: &mut ChaCha8Rng) -> Result<Vec<(&'static str, Tensor)>> {
    config.validate()?;
    let (k, d) = (config.num_codes, config.dim);
    let values: Vec<f32> = (0..k * d).map(|_| StandardNormal.sample(rng)).collect();
    let w = Tensor::from_vec(values, (k, d), &Device::Cpu)?;
    let counter = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    Ok(match config.kind {
        QuantizerKind::Ksom => {
            let counts = Tensor::full(config.counter_init as f32, k, &Device::Cpu)?;
            vec![("_w", w.clone()), ("_ema_w", w), ("_ema_cluster_size", counts), ("counter", counter)]
        }
        QuantizerKind::GdSom => vec![("w", w), ("counter", counter)],
    })
}
