//! GD-SOM: a codebook that learns by gradient descent on the loss of a self-organizing map.

use candle_core::{Device, Tensor, Var};
use ksom_kernels::Backend;

use crate::config::QuantizerConfig;
use crate::error::Result;
use crate::grid::Grid;
use crate::neighborhood::Neighborhood;
use crate::quantizer::{Quantized, Quantizer};
use crate::rows;
use crate::state::{StepCounter, named_tensor};

/// A codebook w that an optimizer trains. Its loss is
/// β·mean((sg(w_code) − x)²) + mean((w_code − sg(x))²) + κ·mean_n Σ_k A_t[code_n, k] · ‖w_k − sg(w_code_n)‖².
///
/// # Source
/// arXiv 2302.07950, section 5 (after SOM-VAE, arXiv 1806.02199).
pub struct GdSom {
    config: QuantizerConfig,
    neighborhood: Neighborhood,
    backend: Backend,
    codebook: Var,
    counter: StepCounter,
}

impl GdSom {
    /// Takes `w` [K, D] and the scalar `counter` from `state`; see [`crate::build`].
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
        let codebook = named_tensor(state, "w", &[config.num_codes, config.dim], device)?;
        let counter = StepCounter::from_tensor(&named_tensor(state, "counter", &[], device)?)?;
        Ok(Self { config: config.clone(), neighborhood, backend, codebook: Var::from_tensor(&codebook)?, counter })
    }

    /// The losses that train w, for the sums [K, D] and counts `[K]` of `rows` inputs by code: the gradient of
    /// mean((w_code − x)²) and of the neighborhood's loss with respect to w [K, D], and the latter's value.
    ///
    /// With the counts h and A without its diagonal, which contributes nothing, these are sums over codes, not samples:
    /// κ/N · Σ_j h_j Σ_k A_jk ‖w_k − w_j‖² = κ/N · (Σ_k (A h)_k |w_k|² − 2 Σ_k w_k·(A h w)_k + Σ_j h_j (A 1)_j |w_j|²).
    fn codebook_losses(&self, sums: &Tensor, counts: &Tensor, rows: usize) -> Result<(Tensor, Option<Tensor>)> {
        let w = self.codebook.detach();
        let h = counts.unsqueeze(1)?;
        let mean = 2.0 / (rows * self.config.dim) as f64;
        let gradient = (w.broadcast_mul(&h)? - sums)?.affine(mean, 0.0)?;

        // Differences between codes do not depend on the origin: around the mean, less is lost to rounding.
        let w = w.broadcast_sub(&w.mean_keepdim(0)?)?;
        let columns = Tensor::cat(&[&h.ones_like()?, &h, &w.broadcast_mul(&h)?], 1)?;
        let Some(spread) = self.neighborhood.apply_to_others(self.counter.get(), &columns)? else {
            return Ok((gradient, None));
        };
        let (a_1, a_h) = (spread.narrow(1, 0, 1)?, spread.narrow(1, 1, 1)?);
        let a_hw = spread.narrow(1, 2, self.config.dim)?;
        let scale = self.config.kohonen_cost / rows as f64;
        // Half the gradient: how strongly each code is pulled toward those whose neighbor it is.
        let pull = (w.broadcast_mul(&a_h)? - &a_hw)?;
        let squares = w.sqr()?.sum_keepdim(1)?;
        let value = (((&pull - a_hw)? * &w)?.sum_all()? + ((h * a_1)? * squares)?.sum_all()?)?.affine(scale, 0.0)?;
        Ok(((gradient + pull.affine(2.0 * scale, 0.0)?)?, Some(value)))
    }
}

impl Quantizer for GdSom {
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
        let n = rows_f32.dim(0)?;
        let codes = rows::code_row("forward", codes, n)?;
        let chosen = self.codebook.detach().index_select(&codes, 0)?;
        let (sums, counts) = rows::code_sums(self.backend, &rows_f32, &codes, self.config.num_codes)?;
        let (gradient, neighborhood_loss) = self.codebook_losses(&sums, &counts, n)?;

        let (output, distance) = rows::differentiable_ends(self.backend, &rows_f32, &chosen)?;
        let mut loss = (distance.affine(self.config.commitment, 0.0)? + distance.detach())?;
        if let Some(neighborhood_loss) = neighborhood_loss {
            loss = (loss + neighborhood_loss)?;
        }
        // Adds exactly zero, whose gradient with respect to w is `gradient`.
        let product = (self.codebook.as_tensor() * gradient)?.sum_all()?;
        loss = (loss + (&product - product.detach())?)?;
        let perplexity = rows::perplexity(&codes, self.config.num_codes)?;
        Ok(Quantized { output: output.to_dtype(x.dtype())?, codes, loss, perplexity })
    }

    /// Checks shapes only: there is no update besides the optimizer's.
    fn observe(&mut self, x: &Tensor, codes: &Tensor) -> Result<()> {
        let x = rows::rows_f32("observe", x, self.config.dim)?;
        rows::code_row("observe", codes, x.dim(0)?)?;
        Ok(())
    }

    /// Counts the step; the optimizer changes the codebook.
    fn step(&mut self) -> Result<()> {
        self.counter = self.counter.next()?;
        Ok(())
    }

    fn state(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let codebook = self.codebook.as_tensor().detach();
        Ok(vec![("w", codebook), ("counter", self.counter.to_tensor(self.codebook.device())?)])
    }

    fn vars(&self) -> Vec<(&'static str, Var)> {
        vec![("w", self.codebook.clone())]
    }
}
