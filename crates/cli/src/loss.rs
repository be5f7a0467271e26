//! What a reconstruction lost, and at how many bits.

use anyhow::Result;
use image::RgbImage;
use ksom_vqvae::evaluation::metrics::{self, PictureQuality};
use ksom_vqvae::{ImageCodes, Model};
use serde::Serialize;

use crate::output::significant;

/// Of a reconstruction against its original, on 8-bit pixels.
#[derive(Clone, Copy, Serialize)]
pub struct Loss {
    /// Mean squared error of pixels in 0..255.
    mse: f64,
    /// In dB; infinite (null in JSON) where nothing was lost.
    pub psnr: f64,
    pub ssim: f64,
    ms_ssim: f64,
    bits_per_pixel: f64,
}

impl Loss {
    /// The names of [`Self::cells`].
    pub const HEADER: [&str; 5] = ["MSE", "PSNR", "SSIM", "MS-SSIM", "bits/pixel"];

    /// Measures one picture.
    pub fn measure(model: &Model, original: &RgbImage, codes: &ImageCodes, reconstruction: &RgbImage) -> Result<Self> {
        let num_codes = model.config().quantizer.num_codes;
        let count: usize = codes.levels.iter().map(|grid| grid.codes.len()).sum();
        let pixels = f64::from(codes.width) * f64::from(codes.height);
        let PictureQuality { mse, psnr, ssim, ms_ssim } = PictureQuality::measure(original, reconstruction)?;
        let bits_per_pixel = metrics::bits_per_pixel(num_codes, count as f64, pixels);
        Ok(Self { mse, psnr, ssim, ms_ssim, bits_per_pixel })
    }

    /// The mean over pictures of each measure.
    pub fn mean(losses: &[Self]) -> Self {
        let mean = |measure: fn(&Self) -> f64| losses.iter().map(measure).sum::<f64>() / losses.len() as f64;
        Self {
            mse: mean(|loss| loss.mse),
            psnr: mean(|loss| loss.psnr),
            ssim: mean(|loss| loss.ssim),
            ms_ssim: mean(|loss| loss.ms_ssim),
            bits_per_pixel: mean(|loss| loss.bits_per_pixel),
        }
    }

    /// The cells of a row of a table.
    pub fn cells(&self) -> [String; 5] {
        let Self { mse, psnr, ssim, ms_ssim, bits_per_pixel } = self;
        [
            format!("{mse:.2}"),
            format!("{psnr:.2} dB"),
            format!("{ssim:.4}"),
            format!("{ms_ssim:.4}"),
            significant(*bits_per_pixel),
        ]
    }
}
