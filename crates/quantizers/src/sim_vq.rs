//! SimVQ: codes that stay as they were drawn, seen through a linear map that learns.

use candle_core::{Tensor, Var};
use candle_nn::{Init, VarBuilder};

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::Result;
use crate::observation::Observation;
use crate::parts::{Parts, check_kind};
use crate::pass::{Pass, zero_with_gradient};
use crate::quantizer::{Quantized, Quantizer};
use crate::state::Buffer;

/// A codebook w = f Wᵀ of fixed vectors f [K, D] and a matrix W [D, D] that an optimizer trains: whatever code is chosen,
/// all of them move. Its loss is β·mean((sg(w_code) − x)²) + mean((w_code − sg(x))²).
///
/// # Source
/// Y. Zhu et al., *Addressing Representation Collapse in Vector Quantized Models with One Linear Layer*, arXiv 2411.02038.
pub struct SimVq {
    /// The codebook here is w, which is no part of a checkpoint.
    parts: Parts,
    frozen: Buffer,
    transform: Buffer,
}

impl SimVq {
    /// Takes `frozen` [K, D], `transform` [D, D] and the scalar `counter` from `vb`, in f32 whatever the builder's type, on
    /// the builder's device.
    ///
    /// In a [`VarMap`](candle_nn::VarMap) that has none of them yet: f ~ N(0, 1/D), W uniform in ±1/√D, t = 0. The map's
    /// `transform` is the variable that is to be trained; no gradient leads to the others.
    ///
    /// # Errors
    /// As [`Ksom::new`](crate::Ksom::new).
    pub fn new(config: &QuantizerConfig, vb: VarBuilder) -> Result<Self> {
        check_kind(config, QuantizerKind::SimVq)?;
        let (k, d) = (config.num_codes, config.dim);
        let there = vb.contains_tensor("frozen");
        let frozen = Buffer::new(&vb, "frozen", &[k, d], Init::Randn { mean: 0.0, stdev: 1.0 })?;
        if !there {
            frozen.set(&config.codebook_of(frozen.tensor())?)?;
        }
        let bound = Self::bound(d);
        let transform = Buffer::new(&vb, "transform", &[d, d], Init::Uniform { lo: -bound, up: bound })?;
        let codebook = Buffer::of_its_own(&implied(&frozen, &transform)?)?;
        Ok(Self { parts: Parts::with_codebook(config, codebook, &vb)?, frozen, transform })
    }

    /// Initial numbers of W lie between this and its negative: PyTorch's default for a linear layer.
    pub(crate) fn bound(dim: usize) -> f64 {
        1.0 / (dim as f64).sqrt()
    }
}

/// f Wᵀ, without gradient.
fn implied(frozen: &Buffer, transform: &Buffer) -> Result<Tensor> {
    Ok(frozen.tensor().matmul(&transform.tensor().t()?)?)
}

impl Quantizer for SimVq {
    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }

    fn settle(&self) -> Result<()> {
        self.parts.codebook.set(&implied(&self.frozen, &self.transform)?)
    }

    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized> {
        self.settle()?;
        let pass = Pass::new(&self.parts, x, codes)?;
        let (sums, counts) = pass.code_sums()?;
        let gradient = pass.codebook_gradient(&sums, &counts)?.t()?.matmul(self.frozen.tensor())?;
        let loss = (pass.both_distances()? + zero_with_gradient(self.transform.variable(), gradient)?)?;
        pass.end(loss)
    }

    /// Counts the step, and takes over what the optimizer has moved.
    fn step_from(&mut self, counter: f32, _: Observation) -> Result<()> {
        self.parts.counter.count(counter)?;
        self.settle()
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        vec![
            ("frozen", self.frozen.tensor().clone()),
            ("transform", self.transform.tensor().clone()),
            ("counter", self.parts.counter.tensor().clone()),
        ]
    }

    fn vars(&self) -> Vec<(&'static str, Var)> {
        vec![("transform", self.transform.variable().clone())]
    }
}
