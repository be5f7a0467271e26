//! KSOM and EMA-VQ: a codebook that learns by exponential moving averages over a neighborhood.

use candle_core::{Device, Tensor, Var};
use ksom_kernels::Backend;

use crate::config::QuantizerConfig;
use crate::error::{QuantizerError, Result};
use crate::grid::Grid;
use crate::neighborhood::Neighborhood;
use crate::quantizer::{Quantized, Quantizer};
use crate::rows;
use crate::state::{StepCounter, named_tensor};

/// A codebook w = m / c of moving averages: sums m [K, D] and counts c `[K]` of the inputs, each spread over the chosen
/// code's neighborhood A_t. EMA-VQ is the case A = I.
///
/// # Source
/// arXiv 2302.07950, section 3; arXiv 1711.00937, appendix A.1 for EMA-VQ.
pub struct Ksom {
    config: QuantizerConfig,
    neighborhood: Neighborhood,
    backend: Backend,
    /// w [K, D]
    codebook: Tensor,
    /// m [K, D]
    ema_sums: Tensor,
    /// c `[K]`
    ema_counts: Tensor,
    counter: StepCounter,
    /// Sums [K, D] and counts `[K]` by code since the last step.
    pending: Option<(Tensor, Tensor)>,
}

impl Ksom {
    /// Takes `_w` [K, D], `_ema_w` [K, D], `_ema_cluster_size` `[K]` and the scalar `counter` from `state`; see
    /// [`crate::build`].
    ///
    /// # Errors
    /// As [`crate::build`].
    pub fn new(
        config: &QuantizerConfig,
        state: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
        device: &Device,
        backend: Backend,
    ) -> Result<Self> {
        let neighborhood = Neighborhood::new(config)?;
        let (k, d) = (config.num_codes, config.dim);
        // Buffers, whatever they were before: an optimizer must never see them.
        let mut buffer =
            |name, shape: &[usize]| Ok::<_, QuantizerError>(named_tensor(state, name, shape, device)?.detach());
        Ok(Self {
            codebook: buffer("_w", &[k, d])?,
            ema_sums: buffer("_ema_w", &[k, d])?,
            ema_counts: buffer("_ema_cluster_size", &[k])?,
            counter: StepCounter::from_tensor(&buffer("counter", &[])?)?,
            config: config.clone(),
            neighborhood,
            backend,
            pending: None,
        })
    }

    /// c and m moved toward the pending counts and sums, and w = m / c.
    fn update(&mut self, sums: &Tensor, counts: &Tensor) -> Result<()> {
        let (k, decay, epsilon) = (self.config.num_codes as f64, self.config.decay, self.config.epsilon);
        // One product with A for both: [K, D + 1].
        let both = Tensor::cat(&[sums, &counts.unsqueeze(1)?], 1)?;
        let both = self.neighborhood.apply(self.counter.get(), &both)?;
        let d = both.narrow(1, 0, self.config.dim)?;
        let n = both.narrow(1, self.config.dim, 1)?;

        let old_counts = self.ema_counts.unsqueeze(1)?;
        let mut c = (old_counts.affine(decay, 0.0)? + n.affine(1.0 - decay, 0.0)?)?;
        let mut m = (self.ema_sums.affine(decay, 0.0)? + d.affine(1.0 - decay, 0.0)?)?;
        if !self.config.skip_unused {
            let total = c.sum_all()?.reshape((1, 1))?;
            c = c.affine(1.0, epsilon)?.broadcast_div(&total.affine(1.0, k * epsilon)?)?.broadcast_mul(&total)?;
        }
        let mut w = m.broadcast_div(&c)?;
        if self.config.skip_unused {
            let used = n.gt(0.0)?;
            c = used.where_cond(&c, &old_counts)?;
            let used = used.broadcast_as(m.shape())?.contiguous()?;
            m = used.where_cond(&m, &self.ema_sums)?;
            w = used.where_cond(&w, &self.codebook)?;
        }
        self.ema_counts = c.squeeze(1)?;
        self.ema_sums = m;
        self.codebook = w;
        Ok(())
    }
}

impl Quantizer for Ksom {
    fn config(&self) -> &QuantizerConfig {
        &self.config
    }

    fn grid(&self) -> &Grid {
        self.neighborhood.grid()
    }

    fn codebook(&self) -> &Tensor {
        &self.codebook
    }

    fn steps(&self) -> u64 {
        self.counter.get()
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized> {
        let rows_f32 = rows::rows_f32("forward", x, self.config.dim)?;
        let codes = rows::code_row("forward", codes, rows_f32.dim(0)?)?;
        let chosen = self.codebook.index_select(&codes, 0)?;
        let (output, distance) = rows::differentiable_ends(self.backend, &rows_f32, &chosen)?;
        let loss = distance.affine(self.config.commitment, 0.0)?;
        let perplexity = rows::perplexity(&codes, self.config.num_codes)?;
        Ok(Quantized { output: output.to_dtype(x.dtype())?, codes, loss, perplexity })
    }

    fn observe(&mut self, x: &Tensor, codes: &Tensor) -> Result<()> {
        let x = rows::rows_f32("observe", x, self.config.dim)?;
        let codes = rows::code_row("observe", codes, x.dim(0)?)?;
        let (mut sums, mut counts) = rows::code_sums(self.backend, &x, &codes, self.config.num_codes)?;
        if let Some((pending_sums, pending_counts)) = &self.pending {
            sums = (pending_sums + sums)?;
            counts = (pending_counts + counts)?;
        }
        self.pending = Some((sums, counts));
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        let next = self.counter.next()?;
        let (sums, counts) = self.pending.take().ok_or_else(|| QuantizerError::Input {
            operation: "step",
            expected: "a batch observed since the last step".into(),
            found: "none".into(),
        })?;
        self.update(&sums, &counts)?;
        self.counter = next;
        Ok(())
    }

    fn state(&self) -> Result<Vec<(&'static str, Tensor)>> {
        Ok(vec![
            ("_w", self.codebook.clone()),
            ("_ema_w", self.ema_sums.clone()),
            ("_ema_cluster_size", self.ema_counts.clone()),
            ("counter", self.counter.to_tensor(self.codebook.device())?),
        ])
    }

    fn vars(&self) -> Vec<(&'static str, Var)> {
        Vec::new()
    }
}
