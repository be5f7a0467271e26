//! What a model makes of a set of pictures: reconstruction error, use of the codebook, and at wish image quality and
//! the topology of the map.

pub mod metrics;

use std::sync::Arc;

use candle_core::{DType, Device};
use ksom_datasets::loading::Converter;
use ksom_datasets::{ImageSource, LoaderOptions, Preprocess};
use ksom_quantizers::measures::{CodebookUsage, Topology};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::evaluation::metrics::{QualityAccumulator, bits_per_pixel};
use crate::model::Model;
use crate::system::memory;

/// Settings of the permutation test of a map's rank correlation.
const PERMUTATIONS: usize = 999;
const PERMUTATION_SEED: u64 = 0;

/// How pictures are prepared, and what is measured.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateOptions {
    /// Resize and crop; random parts become fixed ones.
    pub preprocess: Preprocess,
    /// Pictures per batch. On the CPU the result does not depend on it but for rounding in the last digits of sums.
    pub batch_size: usize,
    /// Measure PSNR, SSIM and the topology of the map too.
    pub full: bool,
}

/// A model's figures on a set of pictures.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Pictures seen.
    pub images: usize,
    /// Mean squared error of the reconstruction in normalized units, over all values.
    pub mse: f64,
    /// Bits per pixel that the codes take without further coding.
    pub bits_per_pixel: f64,
    /// One entry per level.
    pub levels: Vec<LevelEvaluation>,
    /// Present when asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// Image quality on 8-bit pixels.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quality {
    /// Mean squared error of pixels in 0..255, over all values.
    pub mse_255: f64,
    /// Peak signal-to-noise ratio of that error, in dB.
    pub psnr: f64,
    /// Structural similarity, mean over pictures.
    pub ssim: f64,
}

/// Use of one level's codebook.
#[derive(Clone, Debug, Serialize)]
pub struct LevelEvaluation {
    /// The level's name.
    pub name: &'static str,
    /// Number of codes (K).
    pub num_codes: usize,
    /// Codes that were chosen at least once.
    pub codes_in_use: usize,
    /// exp of the entropy of the code frequencies over all pictures: 1 to K.
    pub perplexity: f64,
    /// Present when asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapQuality>,
}

/// How good a map a level's codebook is.
#[derive(Clone, Debug, Serialize)]
pub struct MapQuality {
    /// Mean Euclidean distance of an encoder's output to its codebook vector.
    pub quantization_error: f64,
    /// Share of encoder outputs whose two nearest codes are not neighbors on the grid.
    pub topographic_error: f64,
    /// Rank correlation of distances on the grid and in the codebook; none where that is undefined.
    pub topology: Option<Topology>,
}

/// Evaluates `model` on every picture of `source`, in order. `progress` is told the pictures done.
///
/// # Errors
/// There is no picture, one cannot be read, or sizes do not fit.
pub fn evaluate(
    model: &Model,
    source: &Arc<dyn ImageSource>,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    if source.is_empty() {
        return Err(Error::Invalid("there are no pictures to evaluate on".into()));
    }
    if let Some(size) = options.preprocess.size() {
        memory::require_for_pictures(options.batch_size.min(source.len()), size)?;
    }
    let architecture = &model.config().architecture;
    let normalization = model.config().preprocessing.normalization;
    let converter = Converter::new(&normalization)?;
    let mut usage: Vec<CodebookUsage> =
        model.quantizers().into_iter().map(|quantizer| CodebookUsage::new(quantizer.grid())).collect();
    let (mut images, mut values, mut squares) = (0, 0.0, 0.0);
    let (mut pixels_seen, mut codes_seen) = (0.0, 0.0);
    let mut quality = QualityAccumulator::new();

    let loading = LoaderOptions { preprocess: options.preprocess, normalization, ..LoaderOptions::default() };
    for batch in ksom_datasets::loading::batches(source.clone(), options.batch_size, loading)? {
        let pixels = batch?.pixels;
        let output = model.forward(&pixels)?;
        let reconstruction = output.reconstruction.detach().to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        squares += sum_of_squares(&(&reconstruction - &pixels)?)?;
        values += pixels.elem_count() as f64;
        images += pixels.dim(0)?;
        pixels_seen += (pixels.elem_count() / 3) as f64;
        for ((usage, level), quantizer) in usage.iter_mut().zip(&output.levels).zip(model.quantizers()) {
            codes_seen += level.codes.elem_count() as f64;
            usage.observe(quantizer, &level.inputs, &level.codes.flatten_all()?)?;
        }
        if options.full {
            let originals = converter.to_images(&pixels)?;
            for (original, reconstruction) in originals.iter().zip(&converter.to_images(&reconstruction)?) {
                quality.add(original, reconstruction)?;
            }
        }
        progress(images);
    }

    let levels = architecture
        .levels()
        .iter()
        .zip(&usage)
        .zip(model.quantizers())
        .map(|((level, usage), quantizer)| {
            let map = match options.full {
                true => {
                    let report = usage.report(quantizer.codebook(), PERMUTATIONS, PERMUTATION_SEED)?;
                    Some(MapQuality {
                        quantization_error: report.quantization_error,
                        topographic_error: report.topographic_error,
                        topology: report.topology,
                    })
                }
                false => None,
            };
            Ok(LevelEvaluation {
                name: level.name,
                num_codes: quantizer.grid().len(),
                codes_in_use: usage.codes_in_use(),
                perplexity: usage.perplexity(),
                map,
            })
        })
        .collect::<Result<_>>()?;
    let quality = match (quality.mse(), quality.psnr(), quality.ssim()) {
        (Some(mse_255), Some(psnr), Some(ssim)) => Some(Quality { mse_255, psnr, ssim }),
        _ => None,
    };
    let bits_per_pixel = bits_per_pixel(model.config().quantizer.num_codes, codes_seen, pixels_seen);
    Ok(Evaluation { images, mse: squares / values, bits_per_pixel, levels, quality })
}

/// Σ x², summed in f64 in a fixed order.
fn sum_of_squares(x: &candle_core::Tensor) -> Result<f64> {
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    // Partial sums per row keep the additions short without giving up a fixed order.
    Ok(values.chunks(4096).map(|part| part.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>()).sum())
}
