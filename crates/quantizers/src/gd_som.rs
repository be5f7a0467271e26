//! GD-SOM: a codebook that learns by gradient descent on the loss of a self-organizing map.

use candle_core::{Tensor, Var};
use candle_nn::VarBuilder;

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::Result;
use crate::estimator::differentiable_ends;
use crate::form::Form;
use crate::k_means;
use crate::observation::Observation;
use crate::parts::Parts;
use crate::quantizer::{Quantized, Quantizer};
use crate::rows;
use crate::state::{Flag, StepCounter};

/// A codebook w that an optimizer trains. Its loss is
/// β·mean((sg(w_code) − x)²) + mean((w_code − sg(x))²) + κ·mean_n Σ_k A_t[code_n, k] · ‖w_k − sg(w_code_n)‖².
///
/// # Source
/// arXiv 2302.07950, section 5 (after SOM-VAE, arXiv 1806.02199).
pub struct GdSom {
    parts: Parts,
    /// Whether the codebook has been made of the first batch, where it is to be.
    initialized: Option<Flag>,
}

impl GdSom {
    /// Takes `w` [K, D] and the scalar `counter` from `vb`, in f32 whatever the builder's type, on the builder's device;
    /// where the codebook begins with k-means, the scalar `initialized`, too.
    ///
    /// In a [`VarMap`](candle_nn::VarMap) that has none of them yet: w ~ N(0, 1), t = 0. The map's w is the variable
    /// that is to be trained; no gradient leads to the counter.
    ///
    /// # Errors
    /// As [`Ksom::new`](crate::Ksom::new).
    pub fn new(config: &QuantizerConfig, vb: VarBuilder) -> Result<Self> {
        let parts = Parts::new(config, QuantizerKind::GdSom, &vb)?;
        Ok(Self { parts, initialized: Flag::of(config, &vb)? })
    }

    /// The losses that train w, for the sums [K, D] and counts `[K]` of `rows` inputs by code: the gradient of
    /// mean((w_code − x)²) and of the neighborhood's loss with respect to w [K, D], and the latter's value.
    ///
    /// With the counts h and A without its diagonal, which contributes nothing, these are sums over codes, not samples:
    /// κ/N · Σ_j h_j Σ_k A_jk ‖w_k − w_j‖² = κ/N · (Σ_k (A h)_k |w_k|² − 2 Σ_k w_k·(A h w)_k + Σ_j h_j (A 1)_j |w_j|²).
    fn codebook_losses(&self, sums: &Tensor, counts: &Tensor, rows: usize) -> Result<(Tensor, Option<Tensor>)> {
        let Parts { config, neighborhood, backend, codebook, counter, .. } = &self.parts;
        let w = codebook.tensor();
        let h = counts.unsqueeze(1)?;
        let mean = 2.0 / (rows * config.dim) as f64;
        let gradient = (w.broadcast_mul(&h)? - sums)?.affine(mean, 0.0)?;

        // Differences between codes do not depend on the origin: around the mean, less is lost to rounding.
        let w = w.broadcast_sub(&w.mean_keepdim(0)?)?;
        let columns = Tensor::cat(&[&h.ones_like()?, &h, &w.broadcast_mul(&h)?], 1)?;
        let Some(spread) = neighborhood.apply_to_others(*backend, counter.get()?, &columns)? else {
            return Ok((gradient, None));
        };
        let (a_1, a_h) = (spread.narrow(1, 0, 1)?, spread.narrow(1, 1, 1)?);
        let a_hw = spread.narrow(1, 2, config.dim)?;
        let scale = config.kohonen_cost / rows as f64;
        // Half the gradient: how strongly each code is pulled toward those whose neighbor it is.
        let pull = (w.broadcast_mul(&a_h)? - &a_hw)?;
        let squares = w.sqr()?.sum_keepdim(1)?;
        let value = (((&pull - a_hw)? * &w)?.sum_all()? + ((h * a_1)? * squares)?.sum_all()?)?.affine(scale, 0.0)?;
        Ok(((gradient + pull.affine(2.0 * scale, 0.0)?)?, Some(value)))
    }
}

impl Quantizer for GdSom {
    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }

    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized> {
        let Parts { config, backend, codebook, .. } = &self.parts;
        let form = Form::of("forward", x, config.dim)?;
        let (rows, codes) = (form.rows(x)?, form.code_row("forward", codes)?);
        let chosen = codebook.tensor().index_select(&codes, 0)?;
        let (sums, counts) = rows::code_sums(*backend, &rows, &codes, config.num_codes)?;
        let (gradient, neighborhood_loss) = self.codebook_losses(&sums, &counts, form.len())?;

        let (output, distance) = differentiable_ends(*backend, config.estimator, &rows, &chosen)?;
        let mut loss = (distance.affine(config.commitment, 0.0)? + distance.detach())?;
        if let Some(neighborhood_loss) = neighborhood_loss {
            loss = (loss + neighborhood_loss)?;
        }
        // Adds exactly zero, whose gradient with respect to w is `gradient`.
        let product = (codebook.variable().as_tensor() * gradient)?.sum_all()?;
        loss = (loss + (&product - product.detach())?)?;
        let perplexity = rows::perplexity(&codes, config.num_codes)?;
        let output = form.restore(output)?.to_dtype(x.dtype())?;
        Ok(Quantized { output, codes: form.codes(codes)?, loss, perplexity })
    }

    /// Checks shapes only: there is no update besides the optimizer's.
    fn observe(&self, x: &Tensor, codes: &Tensor) -> Result<Observation> {
        Form::of("observe", x, self.parts.config.dim)?.code_row("observe", codes)?;
        Ok(Observation::new(None))
    }

    fn awaits_vectors(&self) -> Result<bool> {
        self.initialized.as_ref().map_or(Ok(false), |flag| Ok(!flag.get()?))
    }

    fn initialize(&mut self, x: &Tensor) -> Result<()> {
        let Parts { config, backend, codebook, space, .. } = &self.parts;
        let form = Form::of("initialize", x, config.dim)?;
        let Some(flag) = self.initialized.as_ref() else { return Ok(()) };
        if flag.get()? {
            return Ok(());
        }
        codebook.set(&k_means::of_rows(&form.rows(&x.detach())?, config.num_codes, *space, *backend)?.0)?;
        flag.set()
    }

    /// Counts the step; the optimizer changes the codebook.
    fn step_from(&mut self, counter: f32, _: Observation) -> Result<()> {
        StepCounter::before_next(counter)?;
        self.parts.counter.advance()
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        let mut state = vec![("w", self.codebook().clone()), ("counter", self.parts.counter.tensor().clone())];
        state.extend(self.initialized.as_ref().map(Flag::named));
        state
    }

    fn vars(&self) -> Vec<(&'static str, Var)> {
        vec![("w", self.parts.codebook.variable().clone())]
    }
}
