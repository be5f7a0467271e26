//! What each code looks like, laid out on the grid.

use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, replace, resize};
use ksom_datasets::loading::Converter;
use ksom_quantizers::MAX_CODES;

use crate::error::{Error, Result};
use crate::figures::layout::GridLayout;
use crate::model::Model;
use crate::system::memory;

/// The tile that is shown of each code, in units of the model's stride: whatever the field's texture, it repeats there.
const TILE: usize = 2;

/// About how many pixels are decoded together.
const PIXELS_PER_BATCH: usize = 1 << 18;

/// The largest factor by which tiles are enlarged.
const MAX_ENLARGED: u32 = 64;

/// Which codes are shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct MapOptions {
    /// The number of the level whose codes are shown.
    pub level: usize,
    /// The code that fills the other levels, where there are any.
    pub fixed: usize,
    /// Each pixel of a tile becomes a square of so many, at least 1.
    pub enlarge: u32,
}

impl MapOptions {
    /// Pixels of the side of a code's cell.
    pub fn cell(&self, model: &Model) -> u32 {
        (TILE * model.stride()) as u32 * self.enlarge
    }
}

/// Decodes every code of a level alone: a uniform field of it, so large that its borders cannot be seen from the
/// middle 2 × 2 steps of the model's stride (8 × 8 pixels of a VQ-VAE), which are shown in the code's place on the grid
/// ([`GridLayout`]). `progress` is told the codes done.
///
/// # Errors
/// The level or the fixed code does not exist, the picture does not fit into memory, or a tensor operation fails.
pub fn code_map(model: &Model, options: &MapOptions, progress: &mut dyn FnMut(usize)) -> Result<RgbImage> {
    let architecture = &model.config().architecture;
    let levels = architecture.levels();
    let num_codes = model.config().quantizer.num_codes;
    let quantizers = model.quantizers();
    let Some(quantizer) = quantizers.get(options.level) else {
        return Err(Error::Invalid(format!("expected a level below {}, found {}", levels.len(), options.level)));
    };
    if options.fixed >= num_codes || num_codes > MAX_CODES {
        return Err(Error::Invalid(format!("expected a code below {num_codes}, found {}", options.fixed)));
    }
    if !(1..=MAX_ENLARGED).contains(&options.enlarge) {
        let found = options.enlarge;
        return Err(Error::Invalid(format!("tiles are enlarged by a factor from 1 to {MAX_ENLARGED}, found {found}")));
    }
    let stride = architecture.stride();
    let (tile, side) = (TILE * stride, TILE + 2 * architecture.halo());
    let layout = GridLayout::new(quantizer.grid(), options.cell(model));
    let mut map = white(layout.size())?;
    let converter = Converter::new(&model.config().preprocessing.normalization)?;
    let batch = (PIXELS_PER_BATCH / (side * stride).pow(2)).max(1);
    for first in (0..num_codes).step_by(batch) {
        let codes: Vec<usize> = (first..num_codes.min(first + batch)).collect();
        let fields = levels.iter().enumerate().map(|(number, level)| {
            let side = side * stride / level.stride;
            let code = |code: usize| (if number == options.level { code } else { options.fixed }) as u32;
            let field: Vec<u32> =
                codes.iter().flat_map(|&shown| std::iter::repeat_n(code(shown), side * side)).collect();
            Ok(Tensor::from_vec(field, (codes.len(), side, side), &Device::Cpu)?)
        });
        let decoded = model.decode(&fields.collect::<Result<Vec<_>>>()?)?;
        let at = (architecture.halo() * stride) as u32;
        for (code, picture) in codes.iter().zip(converter.to_images(&decoded)?) {
            let middle = crop_imm(&picture, at, at, tile as u32, tile as u32).to_image();
            let shown = resize(&middle, layout.cell(), layout.cell(), FilterType::Nearest);
            if let Some((x, y)) = layout.place(*code) {
                replace(&mut map, &shown, x.into(), y.into());
            }
        }
        progress(first + codes.len());
    }
    Ok(map)
}

/// A white picture, if it fits into memory.
pub(super) fn white((width, height): (u32, u32)) -> Result<RgbImage> {
    memory::require(u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3), || {
        format!("a picture of {width}×{height}")
    })?;
    Ok(RgbImage::from_pixel(width, height, image::Rgb([255; 3])))
}

/// The code of a level that training has used most, by the moving averages of its counts; where the model keeps none
/// (GD-SOM), the code nearest to the mean of all.
///
/// # Errors
/// There is no such level, or a tensor operation fails.
pub fn most_used_code(model: &Model, level: usize) -> Result<usize> {
    let quantizers = model.quantizers();
    let Some(quantizer) = quantizers.get(level) else {
        return Err(Error::Invalid(format!("expected a level below {}, found {level}", quantizers.len())));
    };
    let state = quantizer.state();
    let score = match state.iter().find(|(name, _)| *name == "_ema_cluster_size") {
        Some((_, counts)) => counts.clone(),
        None => {
            let codebook = quantizer.codebook().to_dtype(DType::F32)?;
            codebook.broadcast_sub(&codebook.mean_keepdim(0)?)?.sqr()?.sum(1)?.neg()?
        }
    };
    let score = score.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    Ok((0..score.len()).max_by(|&a, &b| score[a].total_cmp(&score[b])).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use ksom_quantizers::QuantizerConfig;

    use super::*;
    use crate::model::Architecture;
    use crate::{Compute, ModelConfig};

    #[test]
    fn borders_of_the_fields_are_not_seen() {
        let coarse = Architecture { downsample: 8, ..Architecture::vqvae() };
        for architecture in [Architecture::vqvae(), coarse, Architecture::vqvae2()] {
            let architecture = Architecture { hidden: 8, residual_hidden: 4, ..architecture };
            let config = ModelConfig::new(architecture.clone(), QuantizerConfig::ksom(6, 4));
            let model = Model::init(&config, 3, &Compute::cpu()).unwrap();
            let stride = architecture.stride() as u32;
            for level in 0..architecture.levels().len() {
                let mut done = 0;
                let options = MapOptions { level, fixed: 2, enlarge: 1 };
                let map = code_map(&model, &options, &mut |codes| done = codes).unwrap();
                // 6 codes on 2 × 3 cells of 2 × 2 strides.
                assert_eq!((map.dimensions(), done), ((4 * stride, 6 * stride), 6));
                // Each tile repeats itself: nothing in it depends on its place in the field.
                for (x, y, pixel) in map.enumerate_pixels() {
                    let (to_x, to_y) = (x - x % (2 * stride) + x % stride, y - y % (2 * stride) + y % stride);
                    // Up to rounding, which depends on where a transform's tile begins.
                    let far = pixel.0.iter().zip(map.get_pixel(to_x, to_y).0).any(|(a, b)| a.abs_diff(b) > 1);
                    assert!(!far, "level {level} at {x}, {y}");
                }
            }
            let bad = MapOptions { level: 2, fixed: 2, enlarge: 1 };
            assert!(code_map(&model, &bad, &mut |_| ()).is_err());
            let bad = MapOptions { level: 0, fixed: 6, enlarge: 1 };
            assert!(code_map(&model, &bad, &mut |_| ()).is_err());
            assert!(most_used_code(&model, 0).unwrap() < 6);
        }
    }
}
