//! What both networks are made of, as nodes: docs/network.md has the layers in words.

use candle_core::{DType, Device, Tensor};
use ksom_datasets::Normalization;

use super::graph::{Graph, int, ints};
use crate::error::Result;
use crate::model::config::{ArchitectureKind, Level};
use crate::model::network::conv_config::ConvConfig;

/// So many codes are compared with at a time: what that takes of memory, 8 KiB per vector, does not grow with the
/// codebook.
pub(super) const CODES_AT_A_TIME: usize = 1024;

impl Graph<'_> {
    /// max(0, x).
    pub(super) fn relu(&mut self, x: &str) -> String {
        self.node("Relu", &[x], format!("{x}.relu"), Vec::new())
    }

    /// A convolution, transposed or not, by its name in the checkpoint.
    pub(super) fn conv(&mut self, x: &str, name: &str, conv: ConvConfig) -> Result<String> {
        let mut inputs = vec![self.weight(&format!("{name}.weight"))?];
        if conv.bias {
            inputs.push(self.weight(&format!("{name}.bias"))?);
        }
        let inputs: Vec<&str> = std::iter::once(x).chain(inputs.iter().map(String::as_str)).collect();
        let attributes = vec![
            ints("kernel_shape", &[conv.kernel; 2]),
            ints("pads", &[conv.padding; 4]),
            ints("strides", &[conv.stride; 2]),
        ];
        Ok(self.node(if conv.transposed { "ConvTranspose" } else { "Conv" }, &inputs, name, attributes))
    }

    /// The same with a ReLU after it.
    pub(super) fn conv_relu(&mut self, x: &str, name: &str, conv: ConvConfig) -> Result<String> {
        let x = self.conv(x, name, conv)?;
        Ok(self.relu(&x))
    }

    /// Residual blocks by their names, and a ReLU at the end. In a VQ-VAE the skip is rectified and there are no biases.
    pub(super) fn residual_stack(
        &mut self,
        x: &str,
        kind: ArchitectureKind,
        blocks: impl Iterator<Item = String>,
    ) -> Result<String> {
        let conv = |kernel| match kind {
            ArchitectureKind::VqVae => ConvConfig::same(kernel).without_bias(),
            ArchitectureKind::VqVae2 => ConvConfig::same(kernel),
        };
        let mut x = x.to_string();
        for block in blocks {
            let rectified = self.relu(&x);
            let inner = self.conv_relu(&rectified, &format!("{block}.1"), conv(3))?;
            let inner = self.conv(&inner, &format!("{block}.3"), conv(1))?;
            let skip = match kind {
                ArchitectureKind::VqVae => &rectified,
                ArchitectureKind::VqVae2 => &x,
            };
            x = self.node("Add", &[skip, &inner], format!("{block}.sum"), Vec::new());
        }
        Ok(self.relu(&x))
    }

    /// Pixels in 0 … 1 → the network's units; as they are where nothing is to be normalized.
    pub(super) fn normalized(&mut self, pixels: &str, normalization: Option<&Normalization>) -> Result<String> {
        let mut x = pixels.to_string();
        if let Some(normalization) = normalization {
            let mean = self.constant("mean", &per_channel(normalization.mean)?)?;
            let std = self.constant("std", &per_channel(normalization.std)?)?;
            let centered = self.node("Sub", &[&x, &mean], "pixels.centered", Vec::new());
            x = self.node("Div", &[&centered, &std], "pixels.normalized", Vec::new());
        }
        Ok(self.cast(&x, DType::F32, self.precision.computed()))
    }

    /// The network's units → the value `pixels`: in 0 … 1, and kept within it, where the normalization is undone.
    pub(super) fn pixels(&mut self, x: &str, normalization: Option<&Normalization>) -> Result<()> {
        let x = self.cast(x, self.precision.computed(), DType::F32);
        let Some(normalization) = normalization else {
            self.node("Identity", &[&x], "pixels", Vec::new());
            return Ok(());
        };
        let mean = self.constant("mean", &per_channel(normalization.mean)?)?;
        let std = self.constant("std", &per_channel(normalization.std)?)?;
        let [zero, one] = [("zero", 0f32), ("one", 1.0)].map(|(name, value)| (name, Tensor::new(value, &Device::Cpu)));
        let (zero, one) = (self.constant(zero.0, &zero.1?)?, self.constant(one.0, &one.1?)?);
        let scaled = self.node("Mul", &[&x, &std], "pixels.scaled", Vec::new());
        let moved = self.node("Add", &[&scaled, &mean], "pixels.moved", Vec::new());
        self.node("Clip", &[&moved, &zero, &one], "pixels", Vec::new());
        Ok(())
    }

    /// The vectors of codes [N, h, w] → maps f32 [N, D, h, w].
    pub(super) fn vectors(&mut self, codes: &str, level: &Level, codebook: &Tensor) -> Result<String> {
        let prefix = level.prefix;
        let codebook = self.constant(format!("{prefix}.vectors"), codebook)?;
        let rows = self.node("Gather", &[&codebook, codes], format!("{prefix}.quantized.rows"), vec![int("axis", 0)]);
        let perm = vec![ints("perm", &[0, 3, 1, 2])];
        Ok(self.node("Transpose", &[&rows], format!("{prefix}.quantized"), perm))
    }

    /// Maps f32 [N, D, h, w] → the codes of the nearest vectors [N, h, w], the first of equals: the value that is named as the
    /// level. argmin ‖x − w‖² = argmax (x·w − ‖w‖²/2), in f32.
    pub(super) fn search(&mut self, x: &str, level: &Level, codebook: &Tensor) -> Result<String> {
        let prefix = level.prefix;
        let rows = self.node("Transpose", &[x], format!("{prefix}.rows"), vec![ints("perm", &[0, 2, 3, 1])]);
        let num_codes = codebook.dim(0)?;
        if num_codes <= CODES_AT_A_TIME {
            let scores = self.scores(&rows, prefix, 0, codebook)?;
            let attributes = vec![int("axis", -1), int("keepdims", 0), int("select_last_index", 0)];
            return Ok(self.node("ArgMax", &[&scores], level.name, attributes));
        }
        let whole = |values: Vec<i64>| Tensor::new(values, &Device::Cpu);
        let one = self.constant(format!("{prefix}.one"), &whole(vec![1])?)?;
        let mut best: Option<[String; 2]> = None;
        for first in (0..num_codes).step_by(CODES_AT_A_TIME) {
            let part = codebook.narrow(0, first, CODES_AT_A_TIME.min(num_codes - first))?;
            let scores = self.scores(&rows, prefix, first, &part)?;
            // One operation for both, so that the scores can go before those of the next codes are made.
            let [score, place] = ["score", "place"].map(|what| format!("{prefix}.{what}_{first}"));
            self.node_of("TopK", &[&scores, &one], &[&score, &place], vec![int("axis", -1)]);
            best = Some(match best {
                None => [score, place],
                Some([best_score, best_code]) => {
                    let offset = self.constant(format!("{prefix}.first_{first}"), &whole(vec![first as i64])?)?;
                    let value = |what: &str| format!("{prefix}.{what}_{first}");
                    let code = self.node("Add", &[&place, &offset], value("code"), Vec::new());
                    let better = self.node("Greater", &[&score, &best_score], value("better"), Vec::new());
                    let code = self.node("Where", &[&better, &code, &best_code], value("best_code"), Vec::new());
                    let is_last = first + CODES_AT_A_TIME >= num_codes;
                    let score = match is_last {
                        true => score,
                        false => self.node("Max", &[&score, &best_score], value("best_score"), Vec::new()),
                    };
                    [score, code]
                }
            });
        }
        let [_, codes] = best.unwrap_or_default();
        let axis = self.constant(format!("{prefix}.last_axis"), &whole(vec![3])?)?;
        Ok(self.node("Squeeze", &[&codes, &axis], level.name, Vec::new()))
    }

    /// x·w − ‖w‖²/2 for each row and each of these codes, of which the first has the number `first`.
    fn scores(&mut self, rows: &str, prefix: &str, first: usize, codebook: &Tensor) -> Result<String> {
        let halves = (codebook.to_dtype(DType::F64)?.sqr()?.sum(1)? * -0.5)?.to_dtype(DType::F32)?;
        let columns = self.constant(format!("{prefix}.columns_{first}"), &codebook.t()?)?;
        let halves = self.constant(format!("{prefix}.minus_half_squares_{first}"), &halves)?;
        let products = self.node("MatMul", &[rows, &columns], format!("{prefix}.products_{first}"), Vec::new());
        Ok(self.node("Add", &[&products, &halves], format!("{prefix}.scores_{first}"), Vec::new()))
    }
}

/// [1, 3, 1, 1].
fn per_channel(values: [f32; 3]) -> Result<Tensor> {
    Ok(Tensor::new(&values, &Device::Cpu)?.reshape((1, 3, 1, 1))?)
}
