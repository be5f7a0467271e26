//! Residual quantization: several codes for each vector, each for what those before it have left.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use ksom_kernels::Backend;

use crate::build::build;
use crate::config::{QuantizerConfig, QuantizerKind, Similarity};
use crate::error::{QuantizerError, Result};
use crate::estimator::differentiable_ends;
use crate::form::Form;
use crate::fsq::Fsq;
use crate::quantizer::{Quantized, Quantizer};

/// The most stages of a residual quantizer.
pub const MAX_STAGES: usize = 8;

/// Quantizers of one kind one after another, the first of which quantizes a vector and each other what those before it
/// have left; the sum of their codes' vectors stands for the vector. A single one is a quantizer like any other.
///
/// Where a cosine is compared, the first stage quantizes directions, and the others what is left of them, by the Euclidean
/// distance. With FSQ, each stage divides the cell that the one before has chosen.
///
/// # Source
/// N. Zeghidour et al., *SoundStream*, arXiv 2107.03312, algorithm 1; the gradient goes past all stages at once.
pub struct Residual {
    stages: Vec<Box<dyn Quantizer>>,
}

/// What a residual quantizer makes of a batch.
#[derive(Clone, Debug)]
pub struct ResidualQuantized {
    /// The sum of the chosen vectors in the input's shape and type.
    pub output: Tensor,
    /// The sum of the stages' losses: an f32 scalar.
    pub loss: Tensor,
    /// What each stage saw.
    pub stages: Vec<StageOutput>,
}

/// What a stage saw and said.
#[derive(Clone, Debug)]
pub struct StageOutput {
    /// The vectors that it quantized, as rows f32 [N·H·W, D] without gradient: for its [`Quantizer::observe`].
    pub inputs: Tensor,
    /// Their codes, u32 in the form of the input's.
    pub codes: Tensor,
    /// exp of the entropy of their frequencies: a scalar.
    pub perplexity: Tensor,
}

impl Residual {
    /// `stages` quantizers of this configuration: the first from `vb` itself, the second from below `stage_2`, and so on.
    ///
    /// # Errors
    /// As [`build`]; there are no stages, or more than [`MAX_STAGES`].
    pub fn new(config: &QuantizerConfig, stages: usize, vb: VarBuilder) -> Result<Self> {
        if !(1..=MAX_STAGES).contains(&stages) {
            let expected = format!("1 to {MAX_STAGES}");
            return Err(QuantizerError::Config { field: "stages", expected, found: stages.to_string() });
        }
        let stage = |number: usize| match number {
            0 => build(config, vb.clone()),
            _ => stage_after_first(config, number, vb.pp(format!("stage_{}", number + 1))),
        };
        Ok(Self { stages: (0..stages).map(stage).collect::<Result<_>>()? })
    }

    /// The quantizers, in order.
    pub fn stages(&self) -> &[Box<dyn Quantizer>] {
        &self.stages
    }

    /// The same to be changed.
    pub fn stages_mut(&mut self) -> &mut [Box<dyn Quantizer>] {
        &mut self.stages
    }

    /// Sets the computing path of each stage.
    ///
    /// # Errors
    /// As [`Quantizer::set_backend`].
    pub fn set_backend(&mut self, backend: Backend) -> Result<()> {
        self.stages.iter_mut().try_for_each(|stage| stage.set_backend(backend))
    }

    /// The codes of each stage of the vectors of `x`.
    ///
    /// # Errors
    /// As [`Quantizer::assign`].
    pub fn assign(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let [only] = &self.stages[..] else {
            return Ok(self.forward(&x.detach(), None)?.stages.into_iter().map(|stage| stage.codes).collect());
        };
        Ok(vec![only.assign(x)?])
    }

    /// The sums of the stages' vectors of `codes`, u32 of one shape S for each stage → f32 S + `[D]`.
    ///
    /// # Errors
    /// As [`Quantizer::lookup`]; there are not as many tensors as stages.
    pub fn lookup(&self, codes: &[Tensor]) -> Result<Tensor> {
        self.check_stages("lookup", codes)?;
        let mut sum = self.stages[0].lookup(&codes[0])?;
        for (stage, codes) in self.stages.iter().zip(codes).skip(1) {
            sum = (sum + stage.lookup(codes)?)?;
        }
        Ok(sum)
    }

    /// Quantizes `x`, with `codes` of each stage in place of the nearest where they are given. Changes nothing.
    ///
    /// # Errors
    /// As [`Quantizer::forward_with`]; there are not as many tensors of codes as stages.
    pub fn forward(&self, x: &Tensor, codes: Option<&[Tensor]>) -> Result<ResidualQuantized> {
        if let Some(codes) = codes {
            self.check_stages("forward", codes)?;
        }
        let first = &self.stages[0];
        let form = Form::of("forward", x, first.config().dim)?;
        let rows = form.rows(x)?;
        let quantize = |stage: usize, rows: &Tensor| {
            let quantizer = &self.stages[stage];
            match codes {
                Some(codes) => quantizer.forward_with(rows, &form.code_row("forward", &codes[stage])?),
                None => quantizer.forward(rows),
            }
        };
        let seen = |inputs: &Tensor, codes: Tensor, perplexity: Tensor| -> Result<StageOutput> {
            Ok(StageOutput { inputs: inputs.detach(), codes: form.codes(codes)?, perplexity })
        };
        let Quantized { mut output, codes, mut loss, perplexity } = quantize(0, &rows)?;
        let mut stages = vec![seen(&rows, codes, perplexity)?];
        if self.stages.len() > 1 {
            let compared = first.compared(&rows)?;
            let mut sum = output.detach();
            for stage in 1..self.stages.len() {
                let rest = (&compared - &sum)?;
                let quantized = quantize(stage, &rest)?;
                loss = (loss + quantized.loss)?;
                sum = (sum + quantized.output.detach())?;
                stages.push(seen(&rest, quantized.codes, quantized.perplexity)?);
            }
            output = differentiable_ends(first.backend(), first.config().estimator, &compared, &sum)?.0;
        }
        Ok(ResidualQuantized { output: form.restore(output)?.to_dtype(x.dtype())?, loss, stages })
    }

    fn check_stages(&self, operation: &'static str, codes: &[Tensor]) -> Result<()> {
        if codes.len() == self.stages.len() {
            return Ok(());
        }
        let expected = format!("codes of {} stages", self.stages.len());
        Err(QuantizerError::Input { operation, expected, found: codes.len().to_string() })
    }
}

/// A quantizer of what is left: it lies in the codes' space already.
fn stage_after_first(config: &QuantizerConfig, stage: usize, vb: VarBuilder) -> Result<Box<dyn Quantizer>> {
    match config.kind {
        QuantizerKind::Fsq => Ok(Box::new(Fsq::stage(config, stage, vb)?)),
        _ => build(&QuantizerConfig { similarity: Similarity::Euclidean, ..config.clone() }, vb),
    }
}
