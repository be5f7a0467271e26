//! VQ-VAE: 4×4, 8×8 or 16×16 pixels → one code. van den Oord et al., *Neural Discrete Representation Learning*, arXiv 1711.00937.
//!
//! Names and details follow the paper's own code (IDSIA/kohonen-vae), so that its checkpoints load as they are. What
//! a network for 8×8 or 16×16 pixels has besides continues its numbers.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use ksom_quantizers::Quantizer;

use crate::error::Result;
use crate::model::config::ModelConfig;
use crate::model::network::conv::Conv2d;
use crate::model::network::conv_config::ConvConfig;
use crate::model::network::quantize::QuantizeLayer;
use crate::model::network::residual::{ResidualStack, Skip};
use crate::model::network::tape::Maps;
use crate::model::network::{Network, Reconstruction};
use crate::system::compute::Compute;

fn residual_stack(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<ResidualStack> {
    let arch = &config.architecture;
    let layers = vb.pp("_layers");
    let block_vbs = (0..arch.residual_layers).map(|i| layers.pp(i).pp("_block")).collect();
    Ok(ResidualStack::new(arch.hidden, arch.residual_hidden, Skip::Rectified, compute, block_vbs)?)
}

/// The stages of h channels between a quarter of the size and the codes, in the order in which they are computed; the
/// first has the number `from`.
fn further_stages(
    config: &ModelConfig,
    stage: ConvConfig,
    compute: &Compute,
    vb: &VarBuilder,
    name: &str,
    from: usize,
) -> Result<Vec<Conv2d>> {
    let h = config.architecture.hidden;
    let numbers = from..from + config.architecture.further_stages();
    numbers.map(|number| Ok(Conv2d::new(h, h, stage, compute, vb.pp(format!("{name}{number}")))?)).collect()
}

/// [N, 3, H, W] → [h, H/f, W/f] features.
struct Encoder {
    conv_1: Conv2d,
    conv_2: Conv2d,
    /// From a quarter of the size on.
    further: Vec<Conv2d>,
    conv_3: Conv2d,
    residual_stack: ResidualStack,
}

impl Encoder {
    fn new(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let h = config.architecture.hidden;
        Ok(Self {
            conv_1: Conv2d::new(3, h / 2, ConvConfig::halving().first(), compute, vb.pp("_conv_1"))?,
            conv_2: Conv2d::new(h / 2, h, ConvConfig::halving(), compute, vb.pp("_conv_2"))?,
            further: further_stages(config, ConvConfig::halving(), compute, &vb, "_conv_", 4)?,
            conv_3: Conv2d::new(h, h, ConvConfig::same(3), compute, vb.pp("_conv_3"))?,
            residual_stack: residual_stack(config, compute, vb.pp("_residual_stack"))?,
        })
    }

    fn forward(&self, x: &Maps) -> Result<Maps> {
        let x = self.conv_1.forward_relu(x)?;
        let mut x = self.conv_2.forward_relu(&x)?;
        for stage in &self.further {
            x = stage.forward_relu(&x)?;
        }
        Ok(self.residual_stack.forward_after(&self.conv_3, &x)?)
    }
}

/// Quantized [D, H/f, W/f] features → [3, H, W] pictures.
struct Decoder {
    conv_1: Conv2d,
    residual_stack: ResidualStack,
    /// Up to a quarter of the size.
    further: Vec<Conv2d>,
    conv_trans_1: Conv2d,
    conv_trans_2: Conv2d,
}

impl Decoder {
    fn new(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let h = config.architecture.hidden;
        let dim = config.quantizer.dim;
        Ok(Self {
            conv_1: Conv2d::new(dim, h, ConvConfig::same(3), compute, vb.pp("_conv_1"))?,
            residual_stack: residual_stack(config, compute, vb.pp("_residual_stack"))?,
            further: further_stages(config, ConvConfig::doubling(), compute, &vb, "_conv_trans_", 3)?,
            conv_trans_1: Conv2d::new(h, h / 2, ConvConfig::doubling(), compute, vb.pp("_conv_trans_1"))?,
            conv_trans_2: Conv2d::new(h / 2, 3, ConvConfig::doubling(), compute, vb.pp("_conv_trans_2"))?,
        })
    }

    fn forward(&self, x: &Maps) -> Result<Maps> {
        let mut x = self.residual_stack.forward_after(&self.conv_1, x)?;
        for stage in &self.further {
            x = stage.forward_relu(&x)?;
        }
        let x = self.conv_trans_1.forward_relu(&x)?;
        Ok(self.conv_trans_2.forward(&x)?)
    }
}

/// The network.
pub(crate) struct VqVae {
    encoder: Encoder,
    pre_vq_conv: Conv2d,
    quantize: QuantizeLayer,
    decoder: Decoder,
    dtype: DType,
}

impl VqVae {
    pub(crate) fn new(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let (h, dim) = (config.architecture.hidden, config.quantizer.dim);
        Ok(Self {
            encoder: Encoder::new(config, compute, vb.pp("_encoder"))?,
            pre_vq_conv: Conv2d::new(h, dim, ConvConfig::same(1), compute, vb.pp("_pre_vq_conv"))?,
            quantize: QuantizeLayer::new(&config.quantizer, config.architecture.stages, compute, vb.pp("_vq_vae"))?,
            decoder: Decoder::new(config, compute, vb.pp("_decoder"))?,
            dtype: vb.dtype(),
        })
    }

    fn features(&self, pixels: &Maps) -> Result<Maps> {
        Ok(self.pre_vq_conv.forward(&self.encoder.forward(pixels)?)?)
    }
}

impl Network for VqVae {
    fn encode(&self, pixels: &Maps) -> Result<Vec<Tensor>> {
        self.quantize.encode(&self.features(pixels)?)
    }

    fn decode(&self, codes: &[Tensor]) -> Result<Maps> {
        self.decoder.forward(&self.quantize.decode(codes, self.dtype)?)
    }

    fn forward(&self, pixels: &Maps, codes: Option<&[Tensor]>) -> Result<Reconstruction> {
        let (quantized, quantizer_loss, levels) = self.quantize.forward(&self.features(pixels)?, codes)?;
        Ok(Reconstruction { pixels: self.decoder.forward(&quantized)?, quantizer_loss, levels })
    }

    fn quantizers(&self) -> Vec<&dyn Quantizer> {
        self.quantize.quantizers().collect()
    }

    fn quantizers_mut(&mut self) -> Vec<&mut Box<dyn Quantizer>> {
        self.quantize.quantizers_mut().collect()
    }
}
