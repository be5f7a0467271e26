//! What a model makes of a set of pictures: reconstruction error and use of the codebook and, where asked for, image
//! quality and the topology of the map; and whether one model does better than another.

pub mod metrics;
mod paired;
pub(crate) mod prepared;
mod similarity;

pub use paired::{PairedChange, Verdict, paired_change};

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use image::imageops::crop_imm;
use ksom_datasets::loading::Converter;
use ksom_datasets::{ImageSource, Preprocess};
use ksom_quantizers::measures::{CodebookUsage, Topology};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::codes::images::pad_edges;
use crate::error::{Error, Result};
use crate::evaluation::metrics::{PictureQuality, bits_per_pixel, psnr};
use crate::evaluation::prepared::for_each_prepared;
use crate::model::Model;
use crate::system::memory;
use crate::team::members::Team;

/// Settings of the permutation test of a map's rank correlation.
const PERMUTATIONS: usize = 999;
const PERMUTATION_SEED: u64 = 0;

/// Pictures go through the network together up to this many pixels, and at least one.
const PIXELS_PER_BATCH: usize = 1 << 20;

/// How pictures are prepared, and what is measured.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateOptions {
    /// Resize and crop; random parts become fixed ones. By default pictures are whole, each at its own size.
    pub preprocess: Preprocess,
    /// Pictures per batch. On the CPU the result does not depend on it but for rounding in the last digits of sums.
    pub batch_size: usize,
    /// Measure PSNR, SSIM, MS-SSIM and the topology of the map too.
    pub full: bool,
}

/// A model's figures on a set of pictures.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Pictures seen.
    pub images: usize,
    /// Mean squared error of the reconstruction in normalized units, the mean over the pictures.
    pub mse: f64,
    /// Bits per pixel that the codes take without further coding.
    pub bits_per_pixel: f64,
    /// One entry per level.
    pub levels: Vec<LevelEvaluation>,
    /// Present when asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Each picture's quality, in order, where it was asked for.
    #[serde(skip)]
    pub pictures: Vec<PictureQuality>,
}

/// Image quality on 8-bit pixels, as `docs/metrics.md` defines it: means over the pictures, each of which counts alike.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quality {
    /// Mean squared error of pixels in 0..255.
    pub mse_255: f64,
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// The PSNR of the mean error `mse_255`, which is lower than `psnr` unless all pictures have the same error.
    pub psnr_of_mean_mse: f64,
    /// Structural similarity.
    pub ssim: f64,
    /// Multi-scale structural similarity.
    pub ms_ssim: f64,
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
/// Pictures whose sides are no multiples of the model's stride are padded for the network, as for encoding, and measured
/// without the padding.
///
/// # Errors
/// There is no picture, one cannot be read, or sizes do not fit.
pub fn evaluate(
    model: &Model,
    source: &Arc<dyn ImageSource>,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    evaluate_by(&Team::default(), model, source, options, progress)
}

/// As [`evaluate`] without what is measured in full: each process of the model's team takes a part of the pictures, and
/// all get the figures of all pictures. On the CPU they are the same as those of one process.
pub(crate) fn evaluate_together(
    model: &Model,
    source: &Arc<dyn ImageSource>,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    evaluate_by(&model.compute().team, model, source, &EvaluateOptions { full: false, ..*options }, progress)
}

fn evaluate_by(
    team: &Team,
    model: &Model,
    source: &Arc<dyn ImageSource>,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    if source.is_empty() {
        return Err(Error::Invalid("there are no pictures to evaluate on".into()));
    }
    let architecture = &model.config().architecture;
    let mut seen = Seen::new(model)?;
    let mut add = |pictures: &[RgbImage]| {
        for alike in pictures.chunk_by(|a, b| a.dimensions() == b.dimensions()) {
            let pixels = alike[0].width() as usize * alike[0].height() as usize;
            for batch in alike.chunks((PIXELS_PER_BATCH / pixels.max(1)).max(1)) {
                seen.add(model, batch, options.full)?;
            }
        }
        Ok(())
    };
    let own = team.part_of(source.len());
    let mut progress = |done: usize| progress((done * team.size()).min(source.len()));
    for_each_prepared(source.as_ref(), own, &options.preprocess, options.batch_size, &mut add, &mut progress)?;
    let Seen { usage, errors, qualities, pixels, codes, .. } = seen.of_all(team)?;

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
    let quality = PictureQuality::mean(&qualities).map(|mean| Quality {
        mse_255: mean.mse,
        psnr: mean.psnr,
        psnr_of_mean_mse: psnr(mean.mse),
        ssim: mean.ssim,
        ms_ssim: mean.ms_ssim,
    });
    let mse = errors.iter().sum::<f64>() / errors.len() as f64;
    let bits_per_pixel = bits_per_pixel(model.config().quantizer.num_codes, codes, pixels);
    Ok(Evaluation { images: errors.len(), mse, bits_per_pixel, levels, quality, pictures: qualities })
}

/// What a process tells the others of the pictures that it has seen.
#[derive(Serialize, Deserialize)]
struct Told {
    errors: Vec<u64>,
    usage: Vec<(Vec<u64>, u64)>,
    pixels: f64,
    codes: f64,
}

/// What was seen of the pictures so far.
struct Seen {
    converter: Converter,
    usage: Vec<CodebookUsage>,
    /// Each picture's mean squared error in normalized units.
    errors: Vec<f64>,
    qualities: Vec<PictureQuality>,
    pixels: f64,
    codes: f64,
}

impl Seen {
    fn new(model: &Model) -> Result<Self> {
        Ok(Self {
            converter: Converter::new(&model.config().preprocessing.normalization)?,
            usage: model.quantizers().into_iter().map(|quantizer| CodebookUsage::new(quantizer.grid())).collect(),
            errors: Vec::new(),
            qualities: Vec::new(),
            pixels: 0.0,
            codes: 0.0,
        })
    }

    /// What all processes have seen, in the order of the pictures; of what is measured in full, this one's own.
    fn of_all(mut self, team: &Team) -> Result<Self> {
        if team.is_alone() {
            return Ok(self);
        }
        // As bits, so that numbers that are not finite arrive.
        let own = Told {
            errors: self.errors.iter().map(|error| error.to_bits()).collect(),
            usage: self.usage.iter().map(|usage| (usage.counts().to_vec(), usage.inputs())).collect(),
            pixels: self.pixels,
            codes: self.codes,
        };
        (self.errors, self.pixels, self.codes) = (Vec::new(), 0.0, 0.0);
        self.usage.iter_mut().for_each(CodebookUsage::clear);
        for told in team.gather(&own)? {
            self.errors.extend(told.errors.into_iter().map(f64::from_bits));
            self.pixels += told.pixels;
            self.codes += told.codes;
            for (usage, (counts, inputs)) in self.usage.iter_mut().zip(&told.usage) {
                usage.add_counts(counts, *inputs)?;
            }
        }
        Ok(self)
    }

    /// Sends pictures of one size through the network.
    fn add(&mut self, model: &Model, pictures: &[RgbImage], full: bool) -> Result<()> {
        let (width, height) = pictures[0].dimensions();
        if width == 0 || height == 0 {
            return Err(Error::Invalid(format!("a picture cannot be {width}×{height}")));
        }
        memory::require_for_pictures(pictures.len(), (width, height))?;
        let padded: Vec<RgbImage> = pictures.iter().map(|picture| pad_edges(picture, model.stride() as u32)).collect();
        let input = self.converter.to_tensor(&padded)?;
        let what = || format!("measuring {} pictures of {width}×{height} at once", pictures.len());
        let output = model.forward(&input).map_err(|error| error.while_computing(|| (what(), None)))?;
        let reconstruction = output.reconstruction.detach().to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let inside = |pixels: &Tensor| -> Result<Tensor> {
            Ok(pixels.narrow(2, 0, height as usize)?.narrow(3, 0, width as usize)?)
        };
        let difference = (inside(&reconstruction)? - inside(&input)?)?.flatten_from(1)?;
        for picture in difference.to_vec2::<f32>()? {
            // Partial sums keep the additions short without giving up a fixed order.
            let square = |values: &[f32]| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
            self.errors.push(picture.chunks(4096).map(square).sum::<f64>() / picture.len() as f64);
        }
        self.pixels += f64::from(width) * f64::from(height) * pictures.len() as f64;
        for ((usage, level), quantizer) in self.usage.iter_mut().zip(&output.levels).zip(model.quantizers()) {
            self.codes += level.codes.elem_count() as f64;
            usage.observe(quantizer, &level.inputs, &level.codes.flatten_all()?)?;
        }
        if full {
            let decoded = self.converter.to_images(&reconstruction)?;
            let measured: Vec<Result<PictureQuality>> = pictures
                .par_iter()
                .zip(&decoded)
                .map(|(original, decoded)| {
                    PictureQuality::measure(original, &crop_imm(decoded, 0, 0, width, height).to_image())
                })
                .collect();
            for quality in measured {
                self.qualities.push(quality?);
            }
        }
        Ok(())
    }
}
