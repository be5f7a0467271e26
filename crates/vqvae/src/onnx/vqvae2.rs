//! The two graphs of a VQ-VAE-2; `model/network/vqvae2.rs` has the same as candle's operations.

use candle_core::Tensor;

use super::graph::{Graph, int};
use crate::error::Result;
use crate::model::config::{Architecture, ArchitectureKind, ModelConfig};
use crate::model::network::conv_config::ConvConfig;

/// Normalized pixels → the values `codes_top` and `codes_bottom`, and those of further stages.
pub(super) fn encode(graph: &mut Graph, x: &str, config: &ModelConfig, codebooks: &[Tensor]) -> Result<()> {
    let (arch, levels) = (&config.architecture, config.architecture.levels());
    let (top_levels, bottom_levels) = levels.split_at(arch.stages);
    let (of_top, of_bottom) = codebooks.split_at(arch.stages);
    let bottom = graph.conv_relu(x, "enc_b.blocks.0", ConvConfig::halving())?;
    let bottom = graph.conv_relu(&bottom, "enc_b.blocks.2", ConvConfig::halving())?;
    let bottom = graph.conv(&bottom, "enc_b.blocks.4", ConvConfig::same(3))?;
    let bottom = residual_stack(graph, &bottom, "enc_b", 5, arch)?;

    let top = graph.conv_relu(&bottom, "enc_t.blocks.0", ConvConfig::halving())?;
    let top = graph.conv(&top, "enc_t.blocks.2", ConvConfig::same(3))?;
    let top = residual_stack(graph, &top, "enc_t", 3, arch)?;
    let top = graph.conv(&top, "quantize_conv_t", ConvConfig::same(1))?;
    let top = graph.quantize(&top, top_levels, of_top, &config.quantizer, true)?;

    let top = decoder(graph, &top, "dec_t", 1, arch)?;
    let joined = graph.node("Concat", &[&top, &bottom], "quantize_conv_b.input", vec![int("axis", 1)]);
    let x = graph.conv(&joined, "quantize_conv_b", ConvConfig::same(1))?;
    graph.quantize(&x, bottom_levels, of_bottom, &config.quantizer, false)?;
    Ok(())
}

/// Codes of both levels → pixels in the network's units.
pub(super) fn decode(graph: &mut Graph, codes: &[String], arch: &Architecture, codebooks: &[Tensor]) -> Result<String> {
    let (levels, stages) = (arch.levels(), arch.stages);
    let top = graph.lookup(&codes[..stages], &levels[..stages], &codebooks[..stages])?;
    let bottom = graph.lookup(&codes[stages..], &levels[stages..], &codebooks[stages..])?;
    let upsampled = graph.conv(&top, "upsample_t", ConvConfig::doubling())?;
    let joined = graph.node("Concat", &[&upsampled, &bottom], "dec.input", vec![int("axis", 1)]);
    decoder(graph, &joined, "dec", 2, arch)
}

/// 3×3, residual blocks, and transposed convolutions with a ReLU between them.
fn decoder(graph: &mut Graph, x: &str, of: &str, doublings: usize, arch: &Architecture) -> Result<String> {
    let x = graph.conv(x, &format!("{of}.blocks.0"), ConvConfig::same(3))?;
    let mut x = residual_stack(graph, &x, of, 1, arch)?;
    for i in 0..doublings {
        let at = format!("{of}.blocks.{}", arch.residual_layers + 2 + 2 * i);
        x = graph.conv(&x, &at, ConvConfig::doubling())?;
        if i + 1 < doublings {
            x = graph.relu(&x);
        }
    }
    Ok(x)
}

/// Blocks numbered from `first` among the layers.
fn residual_stack(graph: &mut Graph, x: &str, of: &str, first: usize, arch: &Architecture) -> Result<String> {
    let blocks = (0..arch.residual_layers).map(|i| format!("{of}.blocks.{}.conv", first + i));
    graph.residual_stack(x, ArchitectureKind::VqVae2, blocks)
}
