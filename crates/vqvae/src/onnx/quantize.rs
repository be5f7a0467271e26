//! A level's quantizer, of one stage or several, as nodes.

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{MIN_LENGTH, QuantizerConfig, QuantizerKind, Similarity, fsq_bound};

use super::graph::{Graph, int, ints};
use crate::error::Result;
use crate::model::config::Level;

impl Graph<'_> {
    /// Maps [N, D, h, w] → the codes [N, h, w] of each stage, the values that are named as their levels. Gives the sum of
    /// their vectors, as maps, if it is `quantized` that is wanted; else the last codes.
    pub(super) fn quantize(
        &mut self,
        x: &str,
        stages: &[Level],
        codebooks: &[Tensor],
        config: &QuantizerConfig,
        quantized: bool,
    ) -> Result<String> {
        let x = self.cast(x, self.precision.computed(), DType::F32);
        let mut rest = self.compared(&x, stages[0].prefix, config)?;
        let mut sum: Option<String> = None;
        for (number, (level, codebook)) in stages.iter().zip(codebooks).enumerate() {
            let codes = self.search(&rest, level, codebook)?;
            let is_last = number + 1 == stages.len();
            if is_last && !quantized {
                return Ok(codes);
            }
            let vectors = self.vectors(&codes, level, codebook)?;
            if !is_last {
                rest = self.node("Sub", &[&rest, &vectors], format!("{}.rest", level.prefix), Vec::new());
            }
            if quantized {
                sum = Some(self.added(sum, vectors, level));
            }
        }
        Ok(self.cast(&sum.unwrap_or_default(), DType::F32, self.precision.computed()))
    }

    /// Codes [N, h, w] of each stage → the sum of their vectors, as maps [N, D, h, w].
    pub(super) fn lookup(&mut self, codes: &[String], stages: &[Level], codebooks: &[Tensor]) -> Result<String> {
        let mut sum = None;
        for ((codes, level), codebook) in codes.iter().zip(stages).zip(codebooks) {
            let vectors = self.vectors(codes, level, codebook)?;
            sum = Some(self.added(sum, vectors, level));
        }
        Ok(self.cast(&sum.unwrap_or_default(), DType::F32, self.precision.computed()))
    }

    fn added(&mut self, sum: Option<String>, vectors: String, level: &Level) -> String {
        match sum {
            None => vectors,
            Some(sum) => self.node("Add", &[&sum, &vectors], format!("{}.sum", level.prefix), Vec::new()),
        }
    }

    /// What of maps f32 [N, D, h, w] is compared with the codes: `Quantizer::compared` as nodes.
    fn compared(&mut self, x: &str, prefix: &str, config: &QuantizerConfig) -> Result<String> {
        let name = |what: &str| format!("{prefix}.{what}");
        match (config.kind, config.similarity) {
            (QuantizerKind::Fsq, _) => {
                let [shift, scale, offset] = fsq_bound(&config.grid).map(per_channel);
                let (shift, scale) = (self.constant(name("shift"), &shift?)?, self.constant(name("scale"), &scale?)?);
                let offset = self.constant(name("offset"), &offset?)?;
                let shifted = self.node("Add", &[x, &shift], name("shifted"), Vec::new());
                let bound = self.node("Tanh", &[&shifted], name("bound"), Vec::new());
                let scaled = self.node("Mul", &[&bound, &scale], name("scaled"), Vec::new());
                Ok(self.node("Sub", &[&scaled, &offset], name("compared"), Vec::new()))
            }
            (_, Similarity::Cosine) => {
                let least = self.constant(name("least"), &Tensor::new(MIN_LENGTH as f32, &Device::Cpu)?)?;
                let attributes = vec![ints("axes", &[1]), int("keepdims", 1)];
                let lengths = self.node("ReduceL2", &[x], name("lengths"), attributes);
                let lengths = self.node("Max", &[&lengths, &least], name("divisors"), Vec::new());
                Ok(self.node("Div", &[x, &lengths], name("compared"), Vec::new()))
            }
            _ => Ok(x.to_string()),
        }
    }
}

/// [1, D, 1, 1].
fn per_channel(values: Vec<f64>) -> Result<Tensor> {
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    Ok(Tensor::from_slice(&values, (1, values.len(), 1, 1), &Device::Cpu)?)
}
