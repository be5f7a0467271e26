//! How good a reconstruction is, and how many bits it took.
//!
//! All measures compare 8-bit RGB pictures of one size.

use image::RgbImage;

use crate::error::{Error, Result};
use crate::evaluation::similarity::{CHANNELS, PEAK, Plane, Similarity, WINDOW, similarity};

/// The powers of MS-SSIM's scales, the finest first.
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

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
    Ok(mean_of_channels(similarity(&Plane::of(original), &Plane::of(reconstruction)).whole))
}

/// Multi-scale structural similarity, 0 to 1, which equal pictures have: at five scales, each of half the size of the one
/// before (means of 2×2 pixels; the last column or row of an odd size counts twice), the mean over all places of the part
/// of [`ssim`] that compares contrast and structure, at the coarsest of the whole, each not less than 0; the product of
/// these to the powers 0.0448, 0.2856, 0.3001, 0.2363 and 0.1333; the mean over the channels.
///
/// Scales at which a side would be shorter than the window's 11 pixels are left out, and the powers of the others scaled
/// to the sum of all: five scales take sides of 161 pixels, pictures of 32×32 have two. So small pictures compare with pictures of
/// their size alone.
///
/// # Errors
/// The pictures differ in size, or are empty.
///
/// # Source
/// Z. Wang, E. P. Simoncelli, A. C. Bovik, *Multi-scale Structural Similarity for Image Quality Assessment*, Asilomar
/// Conference on Signals, Systems and Computers (2003).
pub fn ms_ssim(original: &RgbImage, reconstruction: &RgbImage) -> Result<f64> {
    check_sizes("MS-SSIM", original, reconstruction)?;
    let planes = (Plane::of(original), Plane::of(reconstruction));
    let finest = similarity(&planes.0, &planes.1);
    Ok(across_scales(planes, finest))
}

/// MS-SSIM, given the similarity at the finest scale.
fn across_scales(mut planes: (Plane, Plane), finest: Similarity) -> f64 {
    let scales = scales(planes.0.shorter_side());
    let mut product = [1.0; CHANNELS];
    let share = SCALE_WEIGHTS[..scales].iter().sum::<f64>() / SCALE_WEIGHTS.iter().sum::<f64>();
    let mut found = finest;
    for (scale, weight) in SCALE_WEIGHTS[..scales].iter().enumerate() {
        if scale > 0 {
            planes = (planes.0.halved(), planes.1.halved());
            found = similarity(&planes.0, &planes.1);
        }
        let factors = if scale + 1 == scales { found.whole } else { found.contrast_and_structure };
        for (product, factor) in product.iter_mut().zip(factors) {
            *product *= factor.max(0.0).powf(weight / share);
        }
    }
    mean_of_channels(product)
}

/// At how many scales the shorter side has at least the window's length; one at least.
fn scales(mut side: usize) -> usize {
    let mut scales = 1;
    while scales < SCALE_WEIGHTS.len() && side.div_ceil(2) >= WINDOW {
        side = side.div_ceil(2);
        scales += 1;
    }
    scales
}

fn mean_of_channels(values: [f64; CHANNELS]) -> f64 {
    values.iter().sum::<f64>() / CHANNELS as f64
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
    /// [`ms_ssim`].
    pub ms_ssim: f64,
}

impl PictureQuality {
    /// Measures a reconstruction.
    ///
    /// # Errors
    /// The pictures differ in size, or are empty.
    pub fn measure(original: &RgbImage, reconstruction: &RgbImage) -> Result<Self> {
        let mse = mse(original, reconstruction)?;
        let planes = (Plane::of(original), Plane::of(reconstruction));
        let finest = similarity(&planes.0, &planes.1);
        let ssim = mean_of_channels(finest.whole);
        Ok(Self { mse, psnr: psnr(mse), ssim, ms_ssim: across_scales(planes, finest) })
    }

    /// The mean of each measure over pictures, each of which counts alike; `None` of no picture.
    pub fn mean(pictures: &[Self]) -> Option<Self> {
        let mean = |measure: fn(&Self) -> f64| pictures.iter().map(measure).sum::<f64>() / pictures.len() as f64;
        (!pictures.is_empty()).then(|| Self {
            mse: mean(|picture| picture.mse),
            psnr: mean(|picture| picture.psnr),
            ssim: mean(|picture| picture.ssim),
            ms_ssim: mean(|picture| picture.ms_ssim),
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

    // pytorch-msssim 1.0.0 in float64 on the same pixels, cut to multiples of 16 so that every scale halves evenly (it
    // pads odd sizes with zeros), with a window in float64:
    //   ms_ssim(a, b, data_range=255, weights=[0.0448, 0.2856, 0.3001, 0.2363, 0.1333], win=window)
    #[test]
    fn scales_measure_as_in_pytorch_msssim() {
        let cut = |picture: RgbImage| {
            let (width, height) = (picture.width() / 16 * 16, picture.height() / 16 * 16);
            image::imageops::crop_imm(&picture, 0, 0, width, height).to_image()
        };
        let smooth = RgbImage::from_fn(192, 176, |x, y| {
            Rgb([0, 1, 2].map(|c| ((x * y / (40 + 30 * c) + x + 2 * y) % 256) as u8))
        });
        let photographs = [
            ("camera.png", 0.930410651070, 0.800863147416),
            ("coffee.png", 0.936835763325, 0.783521437334),
            ("chelsea.png", 0.935620704395, 0.812102058010),
        ];
        let photographs =
            photographs.map(|(name, posterized, shifted)| (photograph(name).map(cut), posterized, shifted));
        let made = [(Some(synthetic(192, 176)), 0.998039419820, 0.0), (Some(smooth), 0.951307270094, 0.918798405967)];
        for (picture, of_posterized, of_shifted) in photographs.into_iter().chain(made) {
            let Some(picture) = picture else { continue };
            close(ms_ssim(&picture, &posterized(&picture)).unwrap(), of_posterized);
            close(ms_ssim(&picture, &shifted(&picture)).unwrap(), of_shifted);
        }
    }

    #[test]
    fn small_pictures_have_fewer_scales() {
        assert_eq!([1, 11, 20, 21, 32, 41, 81, 160, 161, 5000].map(scales), [1, 1, 1, 2, 2, 3, 4, 4, 5, 5]);
        // One scale: SSIM, but for the published powers, which sum to 1.0001.
        let picture = synthetic(19, 40);
        let (whole, other) = (ssim(&picture, &posterized(&picture)), ms_ssim(&picture, &posterized(&picture)));
        close(whole.unwrap().powf(1.0001), other.unwrap());
        assert!((0.0..1.0).contains(&ms_ssim(&picture, &shifted(&picture)).unwrap()));
    }

    #[test]
    fn windows_are_cut_to_small_pictures() {
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
            close(ms_ssim(&picture, &picture).unwrap(), 1.0);
        }
    }

    #[test]
    fn extreme_pictures_have_known_errors() {
        let (black, white) = (RgbImage::new(5, 4), RgbImage::from_pixel(5, 4, Rgb([255; 3])));
        assert_eq!(mse(&black, &white).unwrap(), 65025.0);
        assert_eq!(unit_mse(65025.0), 1.0);
        assert_eq!(psnr(65025.0), 0.0);
        let c = (0.01 * PEAK).powi(2);
        close(ssim(&black, &white).unwrap(), c / (65025.0 + c));
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
        close(mean.ms_ssim, (pictures[0].ms_ssim + pictures[1].ms_ssim) / 2.0);
        close(pictures[1].ms_ssim, ms_ssim(&large, &shifted(&large)).unwrap());
        // The mean of the pictures' PSNR is above that of their mean error.
        close(mean.psnr, (psnr(pictures[0].mse) + psnr(pictures[1].mse)) / 2.0);
        assert!(mean.psnr > psnr(mean.mse) + 0.5, "{} and {}", mean.psnr, psnr(mean.mse));
        assert_eq!(of(&small, &small), PictureQuality { mse: 0.0, psnr: f64::INFINITY, ssim: 1.0, ms_ssim: 1.0 });
    }

    #[test]
    fn sizes_that_differ_are_named() {
        let error = ssim(&RgbImage::new(3, 2), &RgbImage::new(2, 3)).unwrap_err().to_string();
        assert!(error.contains("SSIM") && error.contains("3×2") && error.contains("2×3"), "{error}");
        assert!(mse(&RgbImage::new(0, 0), &RgbImage::new(0, 0)).is_err());
    }
}
