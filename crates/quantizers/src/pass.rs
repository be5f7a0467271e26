//! One pass of a batch through a codebook: what all kinds of quantizer do alike.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::estimator::differentiable_ends;
use crate::form::Form;
use crate::parts::Parts;
use crate::quantizer::Quantized;
use crate::rows;

/// A batch with its codes, before its loss is known.
pub(crate) struct Pass<'a> {
    parts: &'a Parts,
    form: Form,
    dtype: DType,
    /// What is compared with the codes, f32 [N, D].
    inputs: Tensor,
    /// u32 `[N]`
    codes: Tensor,
    output: Tensor,
    /// mean((w_code − x)²), with its gradient for x.
    distance: Tensor,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(parts: &'a Parts, x: &Tensor, codes: &Tensor) -> Result<Self> {
        let Parts { config, backend, codebook, space, .. } = parts;
        let form = Form::of("forward", x, config.dim)?;
        let codes = form.code_row("forward", codes)?;
        let chosen = codebook.tensor().index_select(&codes, 0)?;
        let inputs = space.enter(config, form.rows(x)?)?;
        let (output, distance) = differentiable_ends(*backend, config.estimator, &inputs, &chosen)?;
        Ok(Self { parts, form, dtype: x.dtype(), inputs, codes, output, distance })
    }

    /// How many vectors the batch has.
    pub(crate) fn len(&self) -> usize {
        self.form.len()
    }

    /// The sums [K, D] and counts `[K]` of the inputs by code.
    pub(crate) fn code_sums(&self) -> Result<(Tensor, Tensor)> {
        rows::code_sums(self.parts.backend, &self.inputs, &self.codes, self.parts.config.num_codes)
    }

    /// The gradient of mean((w_code − sg(x))²) by the codebook w [K, D], for these sums and counts.
    pub(crate) fn codebook_gradient(&self, sums: &Tensor, counts: &Tensor) -> Result<Tensor> {
        let Parts { config, codebook, .. } = self.parts;
        let mean = 2.0 / (self.len() * config.dim) as f64;
        Ok((codebook.tensor().broadcast_mul(&counts.unsqueeze(1)?)? - sums)?.affine(mean, 0.0)?)
    }

    /// β·mean((sg(w_code) − x)²): what draws the inputs to the codes.
    pub(crate) fn commitment(&self) -> Result<Tensor> {
        Ok(self.distance.affine(self.parts.config.commitment, 0.0)?)
    }

    /// The same, and the value of mean((w_code − sg(x))²), whose gradient by the codes comes by [`zero_with_gradient`].
    pub(crate) fn both_distances(&self) -> Result<Tensor> {
        Ok((self.commitment()? + self.distance.detach())?)
    }

    /// What the quantizer makes of the batch, with this loss.
    pub(crate) fn end(self, loss: Tensor) -> Result<Quantized> {
        let perplexity = rows::perplexity(&self.codes, self.parts.config.num_codes)?;
        let output = self.form.restore(self.output)?.to_dtype(self.dtype)?;
        Ok(Quantized { output, codes: self.form.codes(self.codes)?, loss, perplexity })
    }
}

/// A scalar that is exactly zero and has this gradient by `variable`.
pub(crate) fn zero_with_gradient(variable: &Tensor, gradient: Tensor) -> Result<Tensor> {
    let product = (variable * gradient)?.sum_all()?;
    Ok((&product - product.detach())?)
}
