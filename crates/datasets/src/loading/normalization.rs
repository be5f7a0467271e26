//! Per-channel mean and standard deviation.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DatasetError;
use crate::loading::preprocess::Preprocess;
use crate::sources::source::ImageSource;

/// A pixel value v in 0 … 255 becomes (v / 255 − mean) / std, channel by channel: R, G, B.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// The mean of each channel, in units of 255.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, in units of 255.
    pub std: [f32; 3],
}

impl Default for Normalization {
    /// [`Self::HALF`].
    fn default() -> Self {
        Self::HALF
    }
}

impl Normalization {
    /// 0 … 255 → 0 … 1.
    pub const IDENTITY: Self = Self { mean: [0.0; 3], std: [1.0; 3] };

    /// 0 … 255 → −1 … 1.
    pub const HALF: Self = Self { mean: [0.5; 3], std: [0.5; 3] };

    /// The statistics of ImageNet's training images, as torchvision states them.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// Whether it can be applied and undone.
    ///
    /// # Errors
    /// When a value is not finite or a standard deviation is not above 0.
    pub fn check(&self) -> Result<(), DatasetError> {
        let finite = self.mean.iter().chain(&self.std).all(|v| v.is_finite());
        if finite && self.std.iter().all(|std| *std > 0.0) {
            return Ok(());
        }
        Err(DatasetError::Option {
            option: "the normalization",
            value: format!("mean {:?}, std {:?}", self.mean, self.std),
            reason: "all must be finite and each std above 0".to_owned(),
        })
    }

    /// Measures the mean and the population standard deviation of every pixel of `source`, after the part of
    /// `preprocess` that is not random.
    ///
    /// One pass on all cores, a picture per thread at a time. The sums are whole numbers, so the result is exact
    /// until it is rounded, and does not depend on the number of threads. A channel that is the same everywhere gets
    /// a standard deviation of 1/255, so that it can be divided by.
    ///
    /// # Errors
    /// When there is no picture, or one cannot be decoded.
    pub fn measure(source: &dyn ImageSource, preprocess: &Preprocess) -> Result<Self, DatasetError> {
        preprocess.check()?;
        let sums = (0..source.len())
            .into_par_iter()
            .map(|index| {
                let name = source.name(index);
                let image = preprocess.apply(source.image(index)?, &name, None)?;
                Ok(Sums::of(image.as_raw()))
            })
            .try_reduce(Sums::default, |a, b| Ok::<_, DatasetError>(a.plus(b)))?;
        if sums.count == 0 {
            return Err(DatasetError::Option {
                option: "the number of images to measure",
                value: "0".to_owned(),
                reason: "at least one is needed".to_owned(),
            });
        }
        Ok(sums.normalization())
    }
}

/// Per channel, the sums over pixels of the value and of its square.
#[derive(Default, Clone, Copy)]
struct Sums {
    count: u128,
    values: [u128; 3],
    squares: [u128; 3],
}

impl Sums {
    fn of(pixels: &[u8]) -> Self {
        let (mut values, mut squares) = ([0u64; 3], [0u64; 3]);
        let pixels = pixels.chunks_exact(3);
        let count = pixels.len() as u128;
        for pixel in pixels {
            for (channel, value) in pixel.iter().enumerate() {
                let value = u64::from(*value);
                values[channel] += value;
                squares[channel] += value * value;
            }
        }
        Self { count, values: values.map(u128::from), squares: squares.map(u128::from) }
    }

    fn plus(mut self, other: Self) -> Self {
        self.count += other.count;
        for channel in 0..3 {
            self.values[channel] += other.values[channel];
            self.squares[channel] += other.squares[channel];
        }
        self
    }

    fn normalization(&self) -> Normalization {
        let n = self.count as f64;
        let mean = self.values.map(|sum| (sum as f64 / n / 255.0) as f32);
        let std = std::array::from_fn(|channel| {
            let sum = self.values[channel];
            // n² · variance, in whole numbers: nothing cancels.
            let scaled = self.count * self.squares[channel] - sum * sum;
            let std = (scaled as f64).sqrt() / n / 255.0;
            if scaled == 0 { 1.0 / 255.0 } else { std as f32 }
        });
        Normalization { mean, std }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::memory::MemorySource;
    use crate::sources::source::Version;

    #[test]
    fn is_exact_over_pictures() {
        // Channel values: R 0, 255; G 10, 10; B 1, 3.
        let pixels = vec![0, 10, 1, 255, 10, 3];
        let source = MemorySource::new("two", (1, 1), pixels, None, Version::default()).unwrap();
        let found = Normalization::measure(&source, &Preprocess::default()).unwrap();
        assert_eq!(found.mean, [0.5, 10.0 / 255.0, 2.0 / 255.0]);
        assert_eq!(found.std, [0.5, 1.0 / 255.0, 1.0 / 255.0]);
    }

    #[test]
    fn refuses_what_cannot_be_undone() {
        assert!(Normalization::IMAGENET.check().is_ok());
        for std in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let bad = Normalization { mean: [0.0; 3], std: [1.0, std, 1.0] };
            assert!(bad.check().is_err(), "{std}");
        }
    }
}
