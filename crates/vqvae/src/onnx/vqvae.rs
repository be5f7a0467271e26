//! The two graphs of a VQ-VAE; `model/network/vqvae.rs` has the same as candle's operations.

use candle_core::Tensor;

use super::graph::Graph;
use crate::error::Result;
use crate::model::config::{Architecture, ArchitectureKind, ModelConfig};
use crate::model::network::conv_config::ConvConfig;

/// Normalized pixels → the value `codes`, and those of further stages.
pub(super) fn encode(graph: &mut Graph, x: &str, config: &ModelConfig, codebooks: &[Tensor]) -> Result<()> {
    let arch = &config.architecture;
    let x = graph.conv_relu(x, "_encoder._conv_1", ConvConfig::halving())?;
    let mut x = graph.conv_relu(&x, "_encoder._conv_2", ConvConfig::halving())?;
    for number in 4..4 + arch.further_stages() {
        x = graph.conv_relu(&x, &format!("_encoder._conv_{number}"), ConvConfig::halving())?;
    }
    let x = graph.conv(&x, "_encoder._conv_3", ConvConfig::same(3))?;
    let x = residual_stack(graph, &x, "_encoder", arch)?;
    let x = graph.conv(&x, "_pre_vq_conv", ConvConfig::same(1))?;
    graph.quantize(&x, &arch.levels(), codebooks, &config.quantizer, false)?;
    Ok(())
}

/// Codes → pixels in the network's units.
pub(super) fn decode(graph: &mut Graph, codes: &[String], arch: &Architecture, codebooks: &[Tensor]) -> Result<String> {
    let x = graph.lookup(codes, &arch.levels(), codebooks)?;
    let x = graph.conv(&x, "_decoder._conv_1", ConvConfig::same(3))?;
    let mut x = residual_stack(graph, &x, "_decoder", arch)?;
    for number in 3..3 + arch.further_stages() {
        x = graph.conv_relu(&x, &format!("_decoder._conv_trans_{number}"), ConvConfig::doubling())?;
    }
    let x = graph.conv_relu(&x, "_decoder._conv_trans_1", ConvConfig::doubling())?;
    graph.conv(&x, "_decoder._conv_trans_2", ConvConfig::doubling())
}

fn residual_stack(graph: &mut Graph, x: &str, of: &str, arch: &Architecture) -> Result<String> {
    let blocks = (0..arch.residual_layers).map(|i| format!("{of}._residual_stack._layers.{i}._block"));
    graph.residual_stack(x, ArchitectureKind::VqVae, blocks)
}
