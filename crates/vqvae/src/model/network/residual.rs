//! Stacks of residual blocks. The two networks differ in their skip connection; each stack ends in a ReLU.

use candle_core::Result;
use candle_nn::VarBuilder;
use ksom_kernels::Backend;

use crate::model::network::conv::Conv2d;
use crate::model::network::conv_config::ConvConfig;
use crate::model::network::layout::Layout;
use crate::model::network::tape::Maps;
use crate::system::compute::Compute;

/// Which of the two forms a block has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// y = relu(x) + W₁ₓ₁·relu(W₃ₓ₃·relu(x)), no biases: VQ-VAE (the reference rectifies in place, the skip included).
    Rectified,
    /// y = x + W₁ₓ₁·relu(W₃ₓ₃·relu(x)), with biases: VQ-VAE-2.
    Untouched,
}

struct Block {
    conv_3x3: Conv2d,
    conv_1x1: Conv2d,
}

/// R residual blocks and a final ReLU.
pub(crate) struct ResidualStack {
    blocks: Vec<Block>,
    skip: Skip,
    backend: Backend,
}

impl ResidualStack {
    /// Blocks with `hidden` channels outside and `inner` inside; `block_vb` says where block i's two convolutions lie.
    pub(crate) fn new(
        hidden: usize,
        inner: usize,
        skip: Skip,
        compute: &Compute,
        block_vbs: Vec<VarBuilder>,
    ) -> Result<Self> {
        let conv = |kernel| match skip {
            Skip::Rectified => ConvConfig::same(kernel).without_bias(),
            Skip::Untouched => ConvConfig::same(kernel),
        };
        let blocks = block_vbs
            .into_iter()
            .map(|vb| {
                Ok(Block {
                    conv_3x3: Conv2d::new(hidden, inner, conv(3), compute, vb.pp(1))?,
                    conv_1x1: Conv2d::new(inner, hidden, conv(1), compute, vb.pp(3))?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { blocks, skip, backend: compute.backend })
    }

    /// The stack applied to what `first` makes of `x`: its first ReLU is fused into that convolution where it can be.
    pub(crate) fn forward_after(&self, first: &Conv2d, x: &Maps) -> Result<Maps> {
        match self.skip {
            Skip::Rectified => {
                let mut rectified = first.forward_relu(x)?;
                for block in &self.blocks {
                    let inner = block.conv_3x3.forward_relu(&rectified)?;
                    // The ReLU that follows belongs to the next block, or ends the stack.
                    rectified = block.conv_1x1.forward_with(&inner, Some(&rectified), true)?;
                }
                Ok(rectified)
            }
            Skip::Untouched => {
                let Some((last, others)) = self.blocks.split_last() else { return first.forward_relu(x) };
                let mut x = first.forward(x)?;
                for block in others {
                    x = self.untouched(block, &x, false)?;
                }
                self.untouched(last, &x, true)
            }
        }
    }

    fn untouched(&self, block: &Block, x: &Maps, relu: bool) -> Result<Maps> {
        let inner = block.conv_3x3.forward_relu(&self.backend.relu(x)?)?;
        block.conv_1x1.forward_with(&inner, Some(x), relu)
    }
}
