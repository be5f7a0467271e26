//! A part of the picture that codes stand for, without the rest.

use image::RgbImage;

use crate::codes::images::{ImageCodes, crop};
use crate::codes::tiling::{Span, is_one_tile};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::Architecture;

/// Outputs of the kernels' transforms along each side.
const TRANSFORMED: usize = 4;

impl Model {
    /// A part of the picture that codes stand for: `width` × `height` pixels from (x, y) on, computed from the codes
    /// around it alone. Pixels are those of [`Model::decode_image`], up to a level of rounding.
    ///
    /// # Errors
    /// As [`Model::decode_image`], or the part does not lie in the picture.
    pub fn decode_part(&self, codes: &ImageCodes, (x, y): (u32, u32), (width, height): (u32, u32)) -> Result<RgbImage> {
        codes.validate(self).map_err(Error::Invalid)?;
        let inside = |from: u32, length: u32, side: u32| length > 0 && from <= side && length <= side - from;
        if !inside(x, width, codes.width) || !inside(y, height, codes.height) {
            let (w, h) = (codes.width, codes.height);
            return Err(Error::Invalid(format!(
                "expected a part of a picture of {w}×{h}, found {width}×{height} from ({x}, {y}) on"
            )));
        }
        let architecture = &self.config().architecture;
        let (row, column) =
            (around(architecture, y, height, codes.height), around(architecture, x, width, codes.width));
        if !is_one_tile(row.len() * self.stride(), column.len() * self.stride()) {
            return Ok(crop(&self.decode_image(codes, &mut |_, _| ())?, (x, y), (width, height)));
        }
        let stride = self.stride() as u32;
        let core = self.decode_tile(codes, row, column)?;
        Ok(crop(&core, (x - column.core.0 as u32 * stride, y - row.core.0 as u32 * stride), (width, height)))
    }
}

/// A part of a side of `side` pixels: `length` of them from `from` on, with what they can see. It begins at a multiple of
/// what a transform's tile spans, so that it is rounded like the whole.
fn around(architecture: &Architecture, from: u32, length: u32, side: u32) -> Span {
    let (stride, halo) = (architecture.stride(), architecture.halo());
    let core = (from as usize / stride, (from as usize + length as usize).div_ceil(stride));
    let first = core.0.saturating_sub(halo);
    Span { outer: (first - first % TRANSFORMED, (core.1 + halo).min((side as usize).div_ceil(stride))), core }
}

#[cfg(test)]
mod tests {
    use ksom_quantizers::QuantizerConfig;

    use super::*;
    use crate::{Compute, ModelConfig};

    #[test]
    fn parts_are_those_of_the_whole() {
        let coarse = Architecture { downsample: 8, ..Architecture::vqvae() };
        for architecture in [Architecture::vqvae(), coarse, Architecture::vqvae2()] {
            let architecture = Architecture { hidden: 32, residual_hidden: 16, ..architecture };
            let config = ModelConfig::new(architecture, QuantizerConfig::ksom(16, 16));
            let model = Model::init(&config, 3, &Compute::cpu()).unwrap();
            let picture = RgbImage::from_fn(395, 250, |x, y| image::Rgb([(x * y) as u8, (3 * x) as u8, (y ^ x) as u8]));
            let codes = model.encode_image(&picture, &mut |_, _| ()).unwrap();
            let whole = model.decode_image(&codes, &mut |_, _| ()).unwrap();
            for (from, size) in [((0, 0), (1, 1)), ((209, 120), (37, 8)), ((300, 200), (95, 50)), ((0, 0), (395, 250))]
            {
                let part = model.decode_part(&codes, from, size).unwrap();
                let expected = crop(&whole, from, size);
                assert_eq!(part.dimensions(), size);
                assert!(part.iter().zip(expected.iter()).all(|(a, b)| a.abs_diff(*b) <= 1), "{from:?}");
            }
            for (from, size) in [((394, 0), (2, 1)), ((0, 0), (0, 1)), ((0, u32::MAX), (1, 2))] {
                assert!(model.decode_part(&codes, from, size).is_err());
            }
        }
    }
}
