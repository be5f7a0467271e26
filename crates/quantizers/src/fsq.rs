//! FSQ: a codebook that is implied by the number of levels along each axis.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::{QuantizerError, Result};
use crate::form::Form;
use crate::parts::{Parts, check_kind};
use crate::pass::Pass;
use crate::quantizer::{Quantized, Quantizer};
use crate::space::{Space, row};
use crate::state::Buffer;

/// Finite scalar quantization: each of the D numbers of an input is bound by a hyperbolic tangent and rounded to one of L
/// levels, which are (j − ⌊L/2⌋) / ⌊L/2⌋ for j below L. A code is a cell of the grid whose axes are the levels. Nothing is
/// learned here, and nothing is lost but what the encoder gives beyond the levels: the loss is 0.
///
/// # Source
/// F. Mentzer et al., *Finite Scalar Quantization: VQ-VAE Made Simple*, arXiv 2309.15505.
pub struct Fsq {
    parts: Parts,
    /// Along each axis [1, D]: the first level, and the distance of two.
    first: Tensor,
    step: Tensor,
    /// The last level's number [1, D].
    last: Tensor,
    /// How many codes lie between two that follow each other along each axis [1, D].
    strides: Tensor,
}

impl Fsq {
    /// Takes the scalar `counter` from `vb`, on the builder's device; there is no other state.
    ///
    /// # Errors
    /// As [`Ksom::new`](crate::Ksom::new).
    pub fn new(config: &QuantizerConfig, vb: VarBuilder) -> Result<Self> {
        Self::stage(config, 0, vb)
    }

    /// The lattice of a residual quantizer's stage. Those after the first, whose inputs are what the one before has left
    /// of a cell, are L levels evenly over that cell, as far from its sides as from each other's middle.
    pub(crate) fn stage(config: &QuantizerConfig, stage: usize, vb: VarBuilder) -> Result<Self> {
        check_kind(config, QuantizerKind::Fsq)?;
        let device = vb.device();
        let (mut first, mut step) = (Vec::new(), Vec::new());
        for &level in &config.grid {
            let half = (level / 2) as f64;
            let (mut from, mut cell) = (-1.0, 1.0 / half);
            for _ in 0..stage {
                from = (0.5 / level as f64 - 0.5) * cell;
                cell /= level as f64;
            }
            first.push(from);
            step.push(cell);
        }
        let (mut strides, mut stride) = (Vec::new(), 1);
        for &level in &config.grid {
            strides.push(stride as f64);
            stride *= level;
        }
        let strides = row(strides, device)?;
        let codebook = codebook(config, &first, &step, device)?;
        let mut parts = Parts::with_codebook(config, Buffer::of_its_own(&codebook)?, &vb)?;
        if stage > 0 {
            parts.space = Space::Inputs;
        }
        let last = config.grid.iter().map(|&level| (level - 1) as f64).collect();
        Ok(Self { parts, first: row(first, device)?, step: row(step, device)?, last: row(last, device)?, strides })
    }
}

/// Every code's vector, f32 [K, D].
fn codebook(config: &QuantizerConfig, first: &[f64], step: &[f64], device: &Device) -> Result<Tensor> {
    let mut values = Vec::with_capacity(config.num_codes * config.dim);
    for code in 0..config.num_codes {
        let mut rest = code;
        for (axis, &level) in config.grid.iter().enumerate() {
            values.push((first[axis] + (rest % level) as f64 * step[axis]) as f32);
            rest /= level;
        }
    }
    Ok(Tensor::from_vec(values, (config.num_codes, config.dim), device)?)
}

/// Levels for `num_codes` codes, a power of two from 4: as many axes of 8 as leave axes of 4 for the rest.
///
/// # Errors
/// [`QuantizerError::Config`] for another number of codes.
pub fn fsq_levels(num_codes: usize) -> Result<Vec<usize>> {
    if num_codes < 4 || !num_codes.is_power_of_two() {
        return Err(QuantizerError::Config {
            field: "num_codes",
            expected: "a power of two from 4, or levels whose product it is, with FSQ".into(),
            found: num_codes.to_string(),
        });
    }
    let bits = num_codes.ilog2() as usize;
    let fours = (0..3).find(|fours| 2 * fours <= bits && (bits - 2 * fours).is_multiple_of(3)).unwrap_or(0);
    Ok([vec![8; (bits - 2 * fours) / 3], vec![4; fours]].concat())
}

impl Quantizer for Fsq {
    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }

    fn assign(&self, x: &Tensor) -> Result<Tensor> {
        let Parts { config, space, .. } = &self.parts;
        let form = Form::of("assign", x, config.dim)?;
        let rows = space.enter(config, form.rows(&x.detach())?)?;
        let levels = rows.broadcast_sub(&self.first)?.broadcast_div(&self.step)?.round()?;
        let levels = levels.relu()?.broadcast_minimum(&self.last)?;
        // Exact: codes are below 2^20, and f32 counts to 2^24.
        let codes = levels.broadcast_mul(&self.strides)?.sum(1)?.to_dtype(DType::U32)?;
        form.codes(codes)
    }

    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized> {
        Pass::new(&self.parts, x, codes)?.end(Tensor::zeros((), DType::F32, x.device())?)
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        vec![("counter", self.parts.counter.tensor().clone())]
    }
}
