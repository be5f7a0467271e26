//! Resampling of 8-bit RGB, a side at a time.
//!
//! Each output pixel is the weighted mean of the input pixels under a kernel that is widened by the reduction, so that
//! nothing aliases; weights are 22-bit fixed point and the picture between the two passes, first along rows and then
//! along columns, has 8 bits. That is what Pillow does, and so torchvision's `Resize` on pictures: the results are
//! equal to the last bit, except that Pillow 13 goes along columns first for some sizes, which changes some
//! values by 1.

use image::RgbImage;
use serde::{Deserialize, Serialize};

/// Bits behind the point of a weight: 255 times the sum of a kernel's absolute weights still fits 31 bits.
const PRECISION: u32 = 22;

/// How a resize interpolates pixels; all but `nearest` average over the pixels that fall together. The results are
/// Pillow's (within 1 of 255 where that resizes columns first).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// Linear (a triangle as wide as the reduction).
    #[default]
    Bilinear,
    /// Cubic (Catmull-Rom).
    Bicubic,
    /// A windowed sinc of three lobes.
    Lanczos,
}

/// Resamples `image` to `width` × `height`.
pub(crate) fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let (old_width, old_height) = image.dimensions();
    let mut current = None;
    if width != old_width {
        let taps = taps(old_width, width, filter);
        current = Some(horizontal(image, width, &taps));
    }
    if height != old_height {
        let taps = taps(old_height, height, filter);
        current = Some(vertical(current.as_ref().unwrap_or(image), height, &taps));
    }
    current.unwrap_or_else(|| image.clone())
}

/// The input pixels that make one output pixel: where they begin, and the weight of each.
struct Taps {
    start: usize,
    weights: Vec<i32>,
}

/// For each of `new` output pixels, the input pixels (of `old`) that make it.
fn taps(old: u32, new: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(old) / f64::from(new);
    let (kernel, support): (fn(f64) -> f64, f64) = match filter {
        Filter::Nearest => {
            let nearest = |at: u32| ((f64::from(at) + 0.5) * scale) as usize;
            let last = (old as usize).saturating_sub(1);
            return (0..new).map(|at| Taps { start: nearest(at).min(last), weights: vec![1 << PRECISION] }).collect();
        }
        Filter::Bilinear => (triangle, 1.0),
        Filter::Bicubic => (catmull_rom, 2.0),
        Filter::Lanczos => (lanczos, 3.0),
    };
    let widening = scale.max(1.0);
    let reach = support * widening;
    (0..new)
        .map(|at| {
            let center = (f64::from(at) + 0.5) * scale;
            // `as` cuts off what is behind the point, and below 0.
            let start = (center - reach + 0.5) as usize;
            let end = ((center + reach + 0.5) as usize).min(old as usize);
            let weights: Vec<f64> = (start..end).map(|from| kernel((from as f64 - center + 0.5) / widening)).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
            Taps { start, weights: weights.iter().map(fixed).collect() }
        })
        .collect()
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn catmull_rom(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// A sum of weighted bytes → a byte.
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// What rounds a sum to the nearest when its fraction is cut off.
const HALF: i32 = 1 << (PRECISION - 1);

fn horizontal(image: &RgbImage, width: u32, taps: &[Taps]) -> RgbImage {
    let mut out = RgbImage::new(width, image.height());
    let old_row = (3 * image.width() as usize).max(1);
    let new_row = (3 * width as usize).max(1);
    let rows = image.as_raw().chunks_exact(old_row).zip(out.chunks_exact_mut(new_row));
    for (from, to) in rows {
        let (from, to) = (from.as_chunks::<3>().0, to.as_chunks_mut::<3>().0);
        for (pixel, taps) in to.iter_mut().zip(taps) {
            let mut sums = [HALF; 3];
            for (weight, from) in taps.weights.iter().zip(from.get(taps.start..).unwrap_or_default()) {
                for (sum, value) in sums.iter_mut().zip(from) {
                    *sum += weight * i32::from(*value);
                }
            }
            *pixel = sums.map(byte);
        }
    }
    out
}

fn vertical(image: &RgbImage, height: u32, taps: &[Taps]) -> RgbImage {
    let mut out = RgbImage::new(image.width(), height);
    let row = (3 * image.width() as usize).max(1);
    let mut sums = vec![0; row];
    for (to, taps) in out.chunks_exact_mut(row).zip(taps) {
        sums.fill(HALF);
        let rows = image.as_raw().chunks_exact(row).skip(taps.start);
        for (weight, from) in taps.weights.iter().zip(rows) {
            for (sum, value) in sums.iter_mut().zip(from) {
                *sum += weight * i32::from(*value);
            }
        }
        for (to, sum) in to.iter_mut().zip(&sums) {
            *to = byte(*sum);
        }
    }
    out
}
