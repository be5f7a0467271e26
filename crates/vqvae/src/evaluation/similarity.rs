//! The local comparison of two pictures that SSIM and MS-SSIM are means of.

use image::RgbImage;

/// The largest value of a pixel.
pub(crate) const PEAK: f64 = 255.0;
/// Channels of a pixel.
pub(crate) const CHANNELS: usize = 3;
/// Length of the window along each axis, in pixels.
pub(crate) const WINDOW: usize = 11;
/// Standard deviation of the Gaussian window, in pixels.
const SIGMA: f64 = 1.5;
/// The stabilizing constants (K₁ · 255)² and (K₂ · 255)², for K₁ = 0.01 and K₂ = 0.03.
const C1: f64 = (0.01 * PEAK) * (0.01 * PEAK);
const C2: f64 = (0.03 * PEAK) * (0.03 * PEAK);

/// A picture's values, channels interleaved.
pub(crate) struct Plane {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

impl Plane {
    pub(crate) fn of(picture: &RgbImage) -> Self {
        let values = picture.as_raw().iter().map(|&value| f64::from(value)).collect();
        Self { width: picture.width() as usize, height: picture.height() as usize, values }
    }

    pub(crate) fn shorter_side(&self) -> usize {
        self.width.min(self.height)
    }

    /// Means of 2×2 pixels; the last column or row of an odd size counts twice.
    pub(crate) fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let row = |y: usize| &self.values[y.min(self.height - 1) * self.width * CHANNELS..][..self.width * CHANNELS];
        let mut values = Vec::with_capacity(width * height * CHANNELS);
        for y in 0..height {
            let (upper, lower) = (row(2 * y), row(2 * y + 1));
            for x in 0..width {
                let (left, right) = (2 * x, (2 * x + 1).min(self.width - 1));
                for c in 0..CHANNELS {
                    let at = [left * CHANNELS + c, right * CHANNELS + c];
                    values.push(at.iter().map(|&at| upper[at] + lower[at]).sum::<f64>() / 4.0);
                }
            }
        }
        Self { width, height, values }
    }
}

/// Means over all places of the window, per channel.
pub(crate) struct Similarity {
    /// Luminance, contrast and structure: SSIM.
    pub(crate) whole: [f64; CHANNELS],
    pub(crate) contrast_and_structure: [f64; CHANNELS],
}

/// Compares two pictures of one size, of at least one pixel.
pub(crate) fn similarity(x: &Plane, y: &Plane) -> Similarity {
    let (across, down) = (gaussian(x.width), gaussian(x.height));
    let (rows, places) = (x.height + 1 - down.len(), x.width + 1 - across.len());
    let row_values = x.width * CHANNELS;
    let mut sums = Moments::new(row_values);
    let mut means = Moments::new(places * CHANNELS);
    let mut total = Similarity { whole: [0.0; CHANNELS], contrast_and_structure: [0.0; CHANNELS] };
    for top in 0..rows {
        sums.clear();
        for (&weight, line) in down.iter().zip(top..) {
            let row = line * row_values..(line + 1) * row_values;
            sums.add_pixels(weight, &x.values[row.clone()], &y.values[row]);
        }
        means.clear();
        for (k, &weight) in across.iter().enumerate() {
            means.add_shifted(weight, &sums, k * CHANNELS);
        }
        means.add_similarity(&mut total);
    }
    for sum in total.whole.iter_mut().chain(&mut total.contrast_and_structure) {
        *sum /= (rows * places) as f64;
    }
    total
}

/// The weights of the window along an axis of `length` ≥ 1 pixels.
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

    fn add_pixels(&mut self, weight: f64, x: &[f64], y: &[f64]) {
        let sums = self.x.iter_mut().zip(&mut self.y).zip(self.squares.iter_mut().zip(&mut self.product));
        for (((sum_x, sum_y), (squares, product)), (&x, &y)) in sums.zip(x.iter().zip(y)) {
            *sum_x += weight * x;
            *sum_y += weight * y;
            *squares += weight * (x * x + y * y);
            *product += weight * (x * y);
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

    /// Adds the similarities of a row.
    fn add_similarity(&self, total: &mut Similarity) {
        let means = self.x.iter().zip(&self.y).zip(self.squares.iter().zip(&self.product));
        for (i, ((&x, &y), (&squares, &product))) in means.enumerate() {
            let (xy, xx_yy) = (x * y, x * x + y * y);
            let covariance = product - xy;
            let variances = squares - xx_yy;
            let contrast_and_structure = (2.0 * covariance + C2) / (variances + C2);
            total.contrast_and_structure[i % CHANNELS] += contrast_and_structure;
            total.whole[i % CHANNELS] += (2.0 * xy + C1) / (xx_yy + C1) * contrast_and_structure;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fit_and_sum_to_one() {
        assert_eq!([1, 2, 3, 10, 11, 500].map(|length| gaussian(length).len()), [1, 1, 3, 9, 11, 11]);
        assert!((gaussian(7).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn odd_sides_repeat_their_last() {
        let picture = RgbImage::from_fn(3, 1, |x, _| image::Rgb([10 * x as u8, 0, 8]));
        let half = Plane::of(&picture).halved();
        assert_eq!((half.width, half.height, &half.values[..]), (2, 1, &[5.0, 0.0, 8.0, 20.0, 0.0, 8.0][..]));
    }
}
