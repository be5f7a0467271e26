//! How good a reconstruction is, and how many bits it took.
//!
//! All measures compare 8-bit RGB pictures of one size.

use image::RgbImage;

use crate::error::{Error, Result};

/// The largest value of a pixel.
const PEAK: f64 = 255.0;
/// Channels of a pixel.
const CHANNELS: usize = 3;
/// Length of SSIM's window along each axis, in pixels.
const WINDOW: usize = 11;
/// Standard deviation of SSIM's Gaussian window, in pixels.
const SIGMA: f64 = 1.5;
/// SSIM's stabilizing constants (K₁ · 255)² and (K₂ · 255)², for K₁ = 0.01 and K₂ = 0.03.
const C1: f64 = (0.01 * PEAK) * (0.01 * PEAK);
const C2: f64 = (0.03 * PEAK) * (0.03 * PEAK);

/// Mean squared error over all pixels and channels, of values in 0..255.
///
/// # Errors
/// The pictures differ in size, or are empty.
pub fn mse(original: &RgbImage, reconstruction: &RgbImage) -> Result<f64> {
    check_sizes("MSE", original, reconstruction)?;
    // Exact: a row of squares up to 2^16 cannot overflow, nor can their sum over any picture that fits in memory.
    let squares: u64 = original
        .as_raw()
        .iter()
        .zip(reconstruction.as_raw())
        .map(|(&a, &b)| u64::from(a.abs_diff(b)) * u64::from(a.abs_diff(b)))
        .sum();
    Ok(squares as f64 / original.as_raw().len() as f64)
}

/// The mean squared error of values in 0..1, from that of values in 0..255.
pub fn unit_mse(mse: f64) -> f64 {
    mse / (PEAK * PEAK)
}

/// Peak signal-to-noise ratio in dB, 10 · log₁₀(255² / MSE), from the mean squared error of values in 0..255; infinite
/// where the error is zero.
pub fn psnr(mse: f64) -> f64 {
    10.0 * (PEAK * PEAK / mse).log10()
}

/// Bits per pixel that codes take without further coding: log₂ K for each code.
///
/// `codes` and `pixels` are counts over the same pictures, as floating-point numbers because they may be sums or means.
pub fn bits_per_pixel(num_codes: usize, codes: f64, pixels: f64) -> f64 {
    (num_codes as f64).log2() * codes / pixels
}

/// Structural similarity, at most 1, which equal pictures have: the mean over the channels and over all places of a
/// Gaussian window (11×11 pixels, σ = 1.5) that lies wholly inside the picture.
///
/// Along an axis of fewer than 11 pixels the window is cut to the largest odd length that fits, and its weights are
/// scaled to sum to 1.
///
/// # Errors
/// The pictures differ in size, or are empty.
///
/// # Source
/// Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, *Image Quality Assessment: From Error Visibility to Structural
/// Similarity*, IEEE Transactions on Image Processing 13 (2004). As scikit-image's `structural_similarity` with
/// `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=255`, which refuses
/// pictures smaller than the window.
pub fn ssim(original: &RgbImage, reconstruction: &RgbImage) -> Result<f64> {
    check_sizes("SSIM", original, reconstruction)?;
    let (width, height) = (original.width() as usize, original.height() as usize);
    let (across, down) = (gaussian(width), gaussian(height));
    let (rows, places) = (height + 1 - down.len(), (width + 1 - across.len()) * CHANNELS);
    let row_values = width * CHANNELS;

    let mut sums = Moments::new(row_values);
    let mut means = Moments::new(places);
    let mut total = 0.0;
    for top in 0..rows {
        sums.clear();
        for (&weight, y) in down.iter().zip(top..) {
            let row = y * row_values..(y + 1) * row_values;
            sums.add_pixels(weight, &original.as_raw()[row.clone()], &reconstruction.as_raw()[row]);
        }
        means.clear();
        for (k, &weight) in across.iter().enumerate() {
            means.add_shifted(weight, &sums, k * CHANNELS);
        }
        total += means.similarity();
    }
    Ok(total / (rows * places) as f64)
}

/// What a reconstruction lost of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureQuality {
    /// [`mse`].
    pub mse: f64,
    /// [`psnr`] of it.
    pub psnr: f64,
    /// [`ssim`].
    pub ssim: f64,
}

impl PictureQuality {
    /// Measures a reconstruction.
    ///
    /// # Errors
    /// The pictures differ in size, or are empty.
    pub fn measure(original: &RgbImage, reconstruction: &RgbImage) -> Result<Self> {
        let mse = mse(original, reconstruction)?;
        Ok(Self { mse, psnr: psnr(mse), ssim: ssim(original, reconstruction)? })
    }

    /// The mean of each measure over pictures, each of which counts alike; `None` of no picture.
    pub fn mean(pictures: &[Self]) -> Option<Self> {
        let mean = |measure: fn(&Self) -> f64| pictures.iter().map(measure).sum::<f64>() / pictures.len() as f64;
        (!pictures.is_empty()).then(|| Self {
            mse: mean(|picture| picture.mse),
            psnr: mean(|picture| picture.psnr),
            ssim: mean(|picture| picture.ssim),
        })
    }
}

fn check_sizes(what: &str, original: &RgbImage, reconstruction: &RgbImage) -> Result<()> {
    let (expected, found) = (original.dimensions(), reconstruction.dimensions());
    if expected != found {
        return Err(Error::Invalid(format!(
            "{what}: expected two pictures of one size, found {}×{} and {}×{}",
            expected.0, expected.1, found.0, found.1
        )));
    }
    if original.as_raw().is_empty() {
        return Err(Error::Invalid(format!("{what}: expected pictures with pixels, found empty ones")));
    }
    Ok(())
}

/// The weights of SSIM's window along an axis of `length` ≥ 1 pixels.
fn gaussian(length: usize) -> Vec<f64> {
    let radius = WINDOW.min(length).div_ceil(2) - 1;
    let weight = |i: usize| (-0.5 * (i.abs_diff(radius) as f64 / SIGMA).powi(2)).exp();
    let weights: Vec<f64> = (0..=2 * radius).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Weighted sums of x, y, x² + y² and xy at each value of a row, channels interleaved.
struct Moments {
    x: Vec<f64>,
    y: Vec<f64>,
    squares: Vec<f64>,
    product: Vec<f64>,
}

impl Moments {
    fn new(values: usize) -> Self {
        let zeros = || vec![0.0; values];
        Self { x: zeros(), y: zeros(), squares: zeros(), product: zeros() }
    }

    fn clear(&mut self) {
        for sums in [&mut self.x, &mut self.y, &mut self.squares, &mut self.product] {
            sums.fill(0.0);
        }
    }

    fn add_pixels(&mut self, weight: f64, x: &[u8], y: &[u8]) {
        let sums = self.x.iter_mut().zip(&mut self.y).zip(self.squares.iter_mut().zip(&mut self.product));
        for (((sum_x, sum_y), (squares, product)), (&x, &y)) in sums.zip(x.iter().zip(y)) {
            let (x, y) = (i32::from(x), i32::from(y));
            *sum_x += weight * f64::from(x);
            *sum_y += weight * f64::from(y);
            *squares += weight * f64::from(x * x + y * y);
            *product += weight * f64::from(x * y);
        }
    }

    /// Adds another row's values, from `shift` values on.
    fn add_shifted(&mut self, weight: f64, row: &Moments, shift: usize) {
        let add = |sums: &mut [f64], values: &[f64]| {
            for (sum, value) in sums.iter_mut().zip(&values[shift..]) {
                *sum += weight * value;
            }
        };
        add(&mut self.x, &row.x);
        add(&mut self.y, &row.y);
        add(&mut self.squares, &row.squares);
        add(&mut self.product, &row.product);
    }

    /// The sum of SSIM over the row.
    fn similarity(&self) -> f64 {
        let means = self.x.iter().zip(&self.y).zip(self.squares.iter().zip(&self.product));
        means
            .map(|((&x, &y), (&squares, &product))| {
                let (xy, xx_yy) = (x * y, x * x + y * y);
                let covariance = product - xy;
                let variances = squares - xx_yy;
                (2.0 * xy + C1) * (2.0 * covariance + C2) / ((xx_yy + C1) * (variances + C2))
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::Rgb;

    use super::*;

    /// A photograph of the repository, or `None` with a printed reason where there is none.
    fn photograph(name: &str) -> Option<RgbImage> {
        let dir = std::env::var_os("KSOM_EXAMPLE_IMAGES").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/images"),
            std::path::PathBuf::from,
        );
        let path = dir.join(name);
        if !path.is_file() {
            eprintln!("SKIPPED: {} is not there (set KSOM_EXAMPLE_IMAGES to its folder)", path.display());
            return None;
        }
        Some(image::open(path).expect("the photograph is sound").to_rgb8())
    }

    fn synthetic(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| ((7 * x * x + 13 * y + 31 * c * x) % 256) as u8)))
    }

    /// Every value to the middle of its 32 neighbors.
    fn posterized(picture: &RgbImage) -> RgbImage {
        RgbImage::from_fn(picture.width(), picture.height(), |x, y| Rgb(picture[(x, y)].0.map(|v| v / 32 * 32 + 16)))
    }

    /// Three pixels to the right, the left edge repeated.
    fn shifted(picture: &RgbImage) -> RgbImage {
        RgbImage::from_fn(picture.width(), picture.height(), |x, y| picture[(x.saturating_sub(3), y)])
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "expected {expected}, found {found}");
    }

    // Reference figures of scikit-image 0.26.0 on the same pixels (PNG decodes exactly), made with
    //   metrics.structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    //                                 channel_axis=2, data_range=255)
    //   metrics.mean_squared_error(a, b), metrics.peak_signal_noise_ratio(a, b, data_range=255)
    // for b posterized (v // 32 * 32 + 16), then shifted by three pixels. (name, [SSIM, MSE, PSNR] of each)
    const PHOTOGRAPHS: [(&str, [f64; 3], [f64; 3]); 3] = [
        (
            "chelsea.png",
            [0.770042324143, 87.241436314363, 28.723575538206],
            [0.588570657466, 270.100273466371, 23.815553369734],
        ),
        (
            "coffee.png",
            [0.784991925599, 85.159215277778, 28.828487100051],
            [0.503467698763, 638.443744444444, 20.079577248185],
        ),
        (
            "camera.png",
            [0.834557334636, 87.703578948975, 28.700630447416],
            [0.606977685524, 697.119338989258, 19.697732300754],
        ),
    ];

    #[test]
    fn photographs_measure_as_in_scikit_image() {
        let mut compared = 0;
        for (name, posterized_figures, shifted_figures) in PHOTOGRAPHS {
            let Some(picture) = photograph(name) else { continue };
            for (other, [expected_ssim, expected_mse, expected_psnr]) in
                [(posterized(&picture), posterized_figures), (shifted(&picture), shifted_figures)]
            {
                close(ssim(&picture, &other).unwrap(), expected_ssim);
                close(mse(&picture, &other).unwrap(), expected_mse);
                close(psnr(expected_mse), expected_psnr);
                compared += 1;
            }
        }
        println!("{compared} pairs of photographs compared with scikit-image");
    }

    #[test]
    fn made_pictures_measure_as_in_scikit_image() {
        // The same calls on the 31×17 and 11×11 pictures of `synthetic`.
        let wide = synthetic(31, 17);
        close(ssim(&wide, &posterized(&wide)).unwrap(), 0.986866522391);
        close(ssim(&wide, &shifted(&wide)).unwrap(), 0.021052575188);
        let smallest = synthetic(11, 11);
        close(ssim(&smallest, &shifted(&smallest)).unwrap(), -0.175285682698);
    }

    #[test]
    fn windows_are_cut_to_small_pictures() {
        assert_eq!([1, 2, 3, 10, 11, 500].map(|length| gaussian(length).len()), [1, 1, 3, 9, 11, 11]);
        close(gaussian(7).iter().sum(), 1.0);
        // One pixel has no variance: the luminance term alone, (2·10·20 + C₁) / (10² + 20² + C₁).
        let (dark, light) = (RgbImage::from_pixel(1, 1, Rgb([10; 3])), RgbImage::from_pixel(1, 1, Rgb([20; 3])));
        close(ssim(&dark, &light).unwrap(), 406.5025 / 506.5025);
        // 40×5: scikit-image with a window of 11×5 does not exist; a constant along the short axis makes it moot.
        let stripes = |height| RgbImage::from_fn(40, height, |x, _| Rgb([(x * 6) as u8; 3]));
        let flat = ssim(&stripes(5), &shifted(&stripes(5))).unwrap();
        close(flat, ssim(&stripes(40), &shifted(&stripes(40))).unwrap());
    }

    #[test]
    fn equal_pictures_are_perfect() {
        for (width, height) in [(1, 1), (31, 17), (64, 64)] {
            let picture = synthetic(width, height);
            assert_eq!(mse(&picture, &picture).unwrap(), 0.0);
            assert_eq!(psnr(0.0), f64::INFINITY);
            close(ssim(&picture, &picture).unwrap(), 1.0);
        }
    }

    #[test]
    fn extreme_pictures_have_known_errors() {
        let (black, white) = (RgbImage::new(5, 4), RgbImage::from_pixel(5, 4, Rgb([255; 3])));
        assert_eq!(mse(&black, &white).unwrap(), 65025.0);
        assert_eq!(unit_mse(65025.0), 1.0);
        assert_eq!(psnr(65025.0), 0.0);
        close(ssim(&black, &white).unwrap(), C1 / (65025.0 + C1));
    }

    #[test]
    fn bits_are_counted() {
        // 32×32 pixels as 8×8 codes of 512: 9 bits for 16 pixels.
        assert_eq!(bits_per_pixel(512, 64.0, 1024.0), 0.5625);
        assert_eq!(bits_per_pixel(1, 64.0, 1024.0), 0.0);
    }

    #[test]
    fn every_picture_counts_alike() {
        assert_eq!(PictureQuality::mean(&[]), None);
        let (small, large) = (synthetic(12, 12), synthetic(36, 12));
        let of = |picture: &RgbImage, other: &RgbImage| PictureQuality::measure(picture, other).unwrap();
        let pictures = [of(&small, &posterized(&small)), of(&large, &shifted(&large))];
        let mean = PictureQuality::mean(&pictures).unwrap();
        close(mean.mse, (pictures[0].mse + pictures[1].mse) / 2.0);
        close(mean.ssim, (pictures[0].ssim + pictures[1].ssim) / 2.0);
        // The mean of the pictures' PSNR is above that of their mean error.
        close(mean.psnr, (psnr(pictures[0].mse) + psnr(pictures[1].mse)) / 2.0);
        assert!(mean.psnr > psnr(mean.mse) + 0.5, "{} and {}", mean.psnr, psnr(mean.mse));
        assert_eq!(of(&small, &small), PictureQuality { mse: 0.0, psnr: f64::INFINITY, ssim: 1.0 });
    }

    #[test]
    fn sizes_that_differ_are_named() {
        let error = ssim(&RgbImage::new(3, 2), &RgbImage::new(2, 3)).unwrap_err().to_string();
        assert!(error.contains("SSIM") && error.contains("3×2") && error.contains("2×3"), "{error}");
        assert!(mse(&RgbImage::new(0, 0), &RgbImage::new(0, 0)).is_err());
    }
}
