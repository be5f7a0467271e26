//! GD-SOM: a codebook that learns by gradient descent on the loss of a self-organizing map.

use candle_core::{Tensor, Var};
use candle_nn::VarBuilder;

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::Result;
use crate::parts::Parts;
use crate::pass::{Pass, zero_with_gradient};
use crate::quantizer::{Quantized, Quantizer};
use crate::state::Flag;

/// A codebook w that an optimizer trains. Its loss is
/// β·mean((sg(w_code) − x)²) + mean((w_code − sg(x))²) + κ·mean_n Σ_k A_t[code_n, k] · ‖w_k − sg(w_code_n)‖².
///
/// # Source
/// arXiv 2302.07950, section 5 (after SOM-VAE, arXiv 1806.02199).
pub struct GdSom {
    parts: Parts,
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
        Ok(Self { parts: Parts::new(config, QuantizerKind::GdSom, &vb)? })
    }

    /// The neighborhood's loss for the counts `[K]` of `rows` inputs by code: its value, and its gradient by w [K, D].
    ///
    /// With the counts h and A without its diagonal, which contributes nothing, these are sums over codes, not samples:
    /// κ/N · Σ_j h_j Σ_k A_jk ‖w_k − w_j‖² = κ/N · (Σ_k (A h)_k |w_k|² − 2 Σ_k w_k·(A h w)_k + Σ_j h_j (A 1)_j |w_j|²).
    fn neighborhood_loss(&self, counts: &Tensor, rows: usize) -> Result<Option<(Tensor, Tensor)>> {
        let Parts { config, neighborhood, backend, codebook, counter, .. } = &self.parts;
        let (w, h) = (codebook.tensor(), counts.unsqueeze(1)?);
        // Differences between codes do not depend on the origin: around the mean, less is lost to rounding.
        let w = w.broadcast_sub(&w.mean_keepdim(0)?)?;
        let columns = Tensor::cat(&[&h.ones_like()?, &h, &w.broadcast_mul(&h)?], 1)?;
        let Some(spread) = neighborhood.apply_to_others(*backend, counter.get()?, &columns)? else {
            return Ok(None);
        };
        let (a_1, a_h) = (spread.narrow(1, 0, 1)?, spread.narrow(1, 1, 1)?);
        let a_hw = spread.narrow(1, 2, config.dim)?;
        let scale = config.kohonen_cost / rows as f64;
        // Half the gradient: how strongly each code is pulled toward those whose neighbor it is.
        let pull = (w.broadcast_mul(&a_h)? - &a_hw)?;
        let squares = w.sqr()?.sum_keepdim(1)?;
        let value = (((&pull - a_hw)? * &w)?.sum_all()? + ((h * a_1)? * squares)?.sum_all()?)?.affine(scale, 0.0)?;
        Ok(Some((value, pull.affine(2.0 * scale, 0.0)?)))
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
        let pass = Pass::new(&self.parts, x, codes)?;
        let (sums, counts) = pass.code_sums()?;
        let mut gradient = pass.codebook_gradient(&sums, &counts)?;
        let mut loss = pass.both_distances()?;
        if let Some((value, by_codes)) = self.neighborhood_loss(&counts, pass.len())? {
            gradient = (gradient + by_codes)?;
            loss = (loss + value)?;
        }
        let loss = (loss + zero_with_gradient(self.parts.codebook.variable(), gradient)?)?;
        pass.end(loss)
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        let mut state = vec![("w", self.codebook().clone()), ("counter", self.parts.counter.tensor().clone())];
        state.extend(self.parts.initialized.as_ref().map(Flag::named));
        state
    }

    fn vars(&self) -> Vec<(&'static str, Var)> {
        vec![("w", self.parts.codebook.variable().clone())]
    }
}
