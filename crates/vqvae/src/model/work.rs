//! How much there is to compute.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::model::Model;
use crate::model::network::tape::Tape;

/// Multiply-adds of convolutions and of the search for the nearest codes, for one picture; two floating-point
/// operations each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiplyAdds {
    /// Picture → codes.
    pub encode: u64,
    /// Codes → picture.
    pub decode: u64,
    /// Forward and backward; updates of parameters and codebook are not counted.
    pub train: u64,
}

impl Model {
    /// The work that a picture of `height` × `width` pixels makes. Computes one to count it.
    ///
    /// # Errors
    /// Sides are no multiples of the stride.
    pub fn multiply_adds(&self, height: usize, width: usize) -> Result<MultiplyAdds> {
        let picture = Tensor::zeros((1, 3, height, width), DType::F32, &candle_core::Device::Cpu)?;
        let (encoding, whole) = (Tape::new(self.compute().backend), Tape::new(self.compute().backend));
        self.codes(&self.input(&picture, Some(&encoding))?)?;
        self.reconstruction(&self.input(&picture, Some(&whole))?, None)?;
        let (encode, forward) = (encoding.multiply_adds().forward, whole.multiply_adds().forward);
        Ok(MultiplyAdds { encode, decode: forward - encode, train: forward + whole.multiply_adds().backward })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compute, ModelConfig, Recipe};

    #[test]
    fn the_cifar_recipe_takes_what_its_layers_add_up_to() {
        let recipe = Recipe::find("cifar10", &[]).unwrap();
        let config = ModelConfig::new(recipe.architecture, recipe.quantizer);
        let (h, d, k) = (128, 64, 512);
        let block = 64 * (9 * h * 32 + 32 * h);
        let first = 256 * 16 * 3 * (h / 2);
        let encode = first + 64 * (16 * (h / 2) * h + 9 * h * h) + 2 * block + 64 * h * d + 64 * k * d;
        let decode = 64 * 9 * d * h + 2 * block + 64 * 16 * h * (h / 2) + 256 * 16 * (h / 2) * 3;
        let train = 3 * (encode + decode) - first - 2 * 64 * k * d;
        for compute in [Compute::cpu(), Compute::cpu().portable()] {
            let model = Model::init(&config, 0, &compute).unwrap();
            assert_eq!(model.multiply_adds(32, 32).unwrap(), MultiplyAdds { encode, decode, train });
            let four = model.multiply_adds(64, 64).unwrap();
            assert_eq!(four, MultiplyAdds { encode: 4 * encode, decode: 4 * decode, train: 4 * train });
        }
    }
}
