//! VQ-VAE-2: codes at two levels. Razavi et al., *Generating Diverse High-Fidelity Images with VQ-VAE-2*,
//! arXiv 1906.00446. Names and details follow the paper's own code (IDSIA/kohonen-vae).

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use ksom_kernels::Backend;
use ksom_quantizers::Quantizer;

use crate::error::Result;
use crate::model::config::ModelConfig;
use crate::model::network::conv::Conv2d;
use crate::model::network::conv_config::ConvConfig;
use crate::model::network::layout::Layout;
use crate::model::network::quantize::QuantizeLayer;
use crate::model::network::residual::{ResidualStack, Skip};
use crate::model::network::tape::Maps;
use crate::model::network::{Network, Reconstruction};
use crate::system::compute::Compute;

/// Residual blocks numbered from `first` in a sequence of layers.
fn residual_stack(config: &ModelConfig, first: usize, compute: &Compute, vb: &VarBuilder) -> Result<ResidualStack> {
    let arch = &config.architecture;
    let block_vbs = (0..arch.residual_layers).map(|i| vb.pp(first + i).pp("conv")).collect();
    Ok(ResidualStack::new(arch.hidden, arch.residual_hidden, Skip::Untouched, compute, block_vbs)?)
}

/// Halves the size once or twice.
struct Encoder {
    halvings: Vec<Conv2d>,
    conv: Conv2d,
    residual_stack: ResidualStack,
}

impl Encoder {
    /// `enc_b`: pictures → features at a quarter of their size.
    fn bottom(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let h = config.architecture.hidden;
        Ok(Self {
            halvings: vec![
                Conv2d::new(3, h / 2, ConvConfig::halving().first(), compute, vb.pp(0))?,
                Conv2d::new(h / 2, h, ConvConfig::halving(), compute, vb.pp(2))?,
            ],
            conv: Conv2d::new(h, h, ConvConfig::same(3), compute, vb.pp(4))?,
            residual_stack: residual_stack(config, 5, compute, &vb)?,
        })
    }

    /// `enc_t`: features → features at half their size.
    fn top(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let h = config.architecture.hidden;
        Ok(Self {
            halvings: vec![Conv2d::new(h, h / 2, ConvConfig::halving(), compute, vb.pp(0))?],
            conv: Conv2d::new(h / 2, h, ConvConfig::same(3), compute, vb.pp(2))?,
            residual_stack: residual_stack(config, 3, compute, &vb)?,
        })
    }

    fn forward(&self, x: &Maps) -> Result<Maps> {
        let mut x = x.clone();
        for conv in &self.halvings {
            x = conv.forward_relu(&x)?;
        }
        Ok(self.residual_stack.forward_after(&self.conv, &x)?)
    }
}

/// Doubles the size once or twice.
struct Decoder {
    conv: Conv2d,
    residual_stack: ResidualStack,
    doublings: Vec<Conv2d>,
}

impl Decoder {
    /// Transposed convolutions through the channels named, starting from h.
    fn new(config: &ModelConfig, inputs: usize, channels: &[usize], compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let arch = &config.architecture;
        let mut doublings = Vec::with_capacity(channels.len());
        let mut from = arch.hidden;
        for (i, &to) in channels.iter().enumerate() {
            let at = vb.pp(arch.residual_layers + 2 + 2 * i);
            doublings.push(Conv2d::new(from, to, ConvConfig::doubling(), compute, at)?);
            from = to;
        }
        Ok(Self {
            conv: Conv2d::new(inputs, arch.hidden, ConvConfig::same(3), compute, vb.pp(0))?,
            residual_stack: residual_stack(config, 1, compute, &vb)?,
            doublings,
        })
    }

    fn forward(&self, x: &Maps) -> Result<Maps> {
        let mut x = self.residual_stack.forward_after(&self.conv, x)?;
        for (i, conv) in self.doublings.iter().enumerate() {
            let last = i + 1 == self.doublings.len();
            x = if last { conv.forward(&x)? } else { conv.forward_relu(&x)? };
        }
        Ok(x)
    }
}

/// The network. Levels: top (an eighth of the size), then bottom (a quarter), each with its stages.
pub(crate) struct VqVae2 {
    enc_b: Encoder,
    enc_t: Encoder,
    quantize_conv_t: Conv2d,
    quantize_t: QuantizeLayer,
    dec_t: Decoder,
    quantize_conv_b: Conv2d,
    quantize_b: QuantizeLayer,
    upsample_t: Conv2d,
    dec: Decoder,
    /// Stages of each level.
    stages: usize,
    backend: Backend,
    dtype: DType,
}

impl VqVae2 {
    pub(crate) fn new(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let (h, dim) = (config.architecture.hidden, config.quantizer.dim);
        let blocks = |name: &str| vb.pp(name).pp("blocks");
        let quantize =
            |name: &str| QuantizeLayer::new(&config.quantizer, config.architecture.stages, compute, vb.pp(name));
        Ok(Self {
            enc_b: Encoder::bottom(config, compute, blocks("enc_b"))?,
            enc_t: Encoder::top(config, compute, blocks("enc_t"))?,
            quantize_conv_t: Conv2d::new(h, dim, ConvConfig::same(1), compute, vb.pp("quantize_conv_t"))?,
            quantize_t: quantize("quantize_t")?,
            dec_t: Decoder::new(config, dim, &[dim], compute, blocks("dec_t"))?,
            quantize_conv_b: Conv2d::new(dim + h, dim, ConvConfig::same(1), compute, vb.pp("quantize_conv_b"))?,
            quantize_b: quantize("quantize_b")?,
            upsample_t: Conv2d::new(dim, dim, ConvConfig::doubling(), compute, vb.pp("upsample_t"))?,
            dec: Decoder::new(config, dim + dim, &[h / 2, 3], compute, blocks("dec"))?,
            stages: config.architecture.stages,
            backend: compute.backend,
            dtype: vb.dtype(),
        })
    }

    /// Features at a quarter of the size, and the top quantizer's input.
    fn top_features(&self, pixels: &Maps) -> Result<(Maps, Maps)> {
        let bottom = self.enc_b.forward(pixels)?;
        let top = self.quantize_conv_t.forward(&self.enc_t.forward(&bottom)?)?;
        Ok((bottom, top))
    }

    /// The bottom quantizer's input, given the quantized top.
    fn bottom_features(&self, bottom: &Maps, quantized_top: &Maps) -> Result<Maps> {
        let decoded_top = self.dec_t.forward(quantized_top)?;
        Ok(self.quantize_conv_b.forward(&self.backend.cat([&decoded_top, bottom])?)?)
    }

    fn pictures(&self, quantized_top: &Maps, quantized_bottom: &Maps) -> Result<Maps> {
        let upsampled = self.upsample_t.forward(quantized_top)?;
        self.dec.forward(&self.backend.cat([&upsampled, quantized_bottom])?)
    }
}

impl Network for VqVae2 {
    fn encode(&self, pixels: &Maps) -> Result<Vec<Tensor>> {
        let (bottom, top) = self.top_features(pixels)?;
        let mut codes = self.quantize_t.encode(&top)?;
        let quantized_top = self.quantize_t.decode(&codes, self.dtype)?;
        codes.extend(self.quantize_b.encode(&self.bottom_features(&bottom, &quantized_top)?)?);
        Ok(codes)
    }

    fn decode(&self, codes: &[Tensor]) -> Result<Maps> {
        let (top, bottom) = codes.split_at(self.stages);
        let quantized_top = self.quantize_t.decode(top, self.dtype)?;
        let quantized_bottom = self.quantize_b.decode(bottom, self.dtype)?;
        self.pictures(&quantized_top, &quantized_bottom)
    }

    fn forward(&self, pixels: &Maps, codes: Option<&[Tensor]>) -> Result<Reconstruction> {
        let (codes_top, codes_bottom) = codes.map(|codes| codes.split_at(self.stages)).unzip();
        let (bottom, top) = self.top_features(pixels)?;
        let (quantized_top, loss_top, mut levels) = self.quantize_t.forward(&top, codes_top)?;
        let bottom = self.bottom_features(&bottom, &quantized_top)?;
        let (quantized_bottom, loss_bottom, of_bottom) = self.quantize_b.forward(&bottom, codes_bottom)?;
        levels.extend(of_bottom);
        Ok(Reconstruction {
            pixels: self.pictures(&quantized_top, &quantized_bottom)?,
            quantizer_loss: (loss_top + loss_bottom)?,
            levels,
        })
    }

    fn quantizers(&self) -> Vec<&dyn Quantizer> {
        self.quantize_t.quantizers().chain(self.quantize_b.quantizers()).collect()
    }

    fn quantizers_mut(&mut self) -> Vec<&mut Box<dyn Quantizer>> {
        self.quantize_t.quantizers_mut().chain(self.quantize_b.quantizers_mut()).collect()
    }
}
