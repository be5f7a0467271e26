//! The one place where pixels change their form: [H, W, 3] bytes ↔ [3, H, W] normalized floats.

use candle_core::{DType, Device, Tensor};
use image::RgbImage;

use crate::error::DatasetError;
use crate::loading::normalization::Normalization;

/// Converts pictures to tensors and back under one normalization.
#[derive(Debug, Clone)]
pub struct Converter {
    normalization: Normalization,
    /// What each byte becomes, per channel.
    table: Box<[[f32; 256]; 3]>,
}

impl Converter {
    /// A converter under `normalization`.
    ///
    /// # Errors
    /// When the normalization cannot be undone; see [`Normalization::check`].
    pub fn new(normalization: &Normalization) -> Result<Self, DatasetError> {
        normalization.check()?;
        let table = std::array::from_fn(|channel| {
            let (mean, std) = (normalization.mean[channel], normalization.std[channel]);
            // In f32 and in this order, as torchvision's ToTensor and Normalize do.
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
        });
        Ok(Self { normalization: *normalization, table: Box::new(table) })
    }

    /// The normalization it applies and undoes.
    pub fn normalization(&self) -> &Normalization {
        &self.normalization
    }

    /// Writes a picture of H × W pixels as [3, H, W] to `out`.
    ///
    /// # Errors
    /// When `out` has not 3 · H · W elements.
    pub fn write_chw(&self, image: &RgbImage, out: &mut [f32]) -> Result<(), DatasetError> {
        let pixels = image.as_raw();
        if out.len() != pixels.len() {
            return Err(DatasetError::Shape {
                operation: "converting a picture",
                expected: "room for 3 · height · width elements",
                found: vec![out.len()],
            });
        }
        let (red, rest) = out.split_at_mut(pixels.len() / 3);
        let (green, blue) = rest.split_at_mut(pixels.len() / 3);
        let [r, g, b] = self.table.as_ref();
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in pixels.as_chunks::<3>().0.iter().zip(planes) {
            *red = r[usize::from(pixel[0])];
            *green = g[usize::from(pixel[1])];
            *blue = b[usize::from(pixel[2])];
        }
        Ok(())
    }

    /// Reads a picture of `width` × `height` pixels from [3, height, width] normalized values: undoes the
    /// normalization, rounds to the nearest of 256 values and clamps (NaN becomes 0).
    ///
    /// # Errors
    /// When there are not 3 · height · width values.
    pub fn read_chw(&self, values: &[f32], width: u32, height: u32) -> Result<RgbImage, DatasetError> {
        let wrong = || DatasetError::Shape {
            operation: "reading a picture",
            expected: "3 · height · width elements",
            found: vec![values.len()],
        };
        let plane = values.len() / 3;
        if Some(values.len() as u64) != (u64::from(width) * u64::from(height)).checked_mul(3) {
            return Err(wrong());
        }
        let Normalization { mean, std } = self.normalization;
        // `as` saturates and takes NaN to 0.
        let byte = |value: f32, channel: usize| ((value * std[channel] + mean[channel]) * 255.0).round() as u8;
        let (red, rest) = values.split_at(plane);
        let (green, blue) = rest.split_at(plane);
        let mut pixels = Vec::with_capacity(values.len());
        for ((red, green), blue) in red.iter().zip(green).zip(blue) {
            pixels.extend([byte(*red, 0), byte(*green, 1), byte(*blue, 2)]);
        }
        RgbImage::from_raw(width, height, pixels).ok_or_else(wrong)
    }

    /// Pictures of one size → a tensor [B, 3, H, W] (f32, on the CPU).
    ///
    /// # Errors
    /// When there is no picture or their sizes differ.
    pub fn to_tensor(&self, images: &[RgbImage]) -> Result<Tensor, DatasetError> {
        let (width, height) = images.first().map_or((0, 0), RgbImage::dimensions);
        let each = images.first().map_or(0, |image| image.as_raw().len());
        if each == 0 || images.iter().any(|image| image.dimensions() != (width, height)) {
            return Err(DatasetError::Shape {
                operation: "stacking pictures",
                expected: "at least one picture, none empty, all of one size",
                found: images.iter().flat_map(|image| [image.height() as usize, image.width() as usize]).collect(),
            });
        }
        let mut values = vec![0.0; each * images.len()];
        for (image, out) in images.iter().zip(values.chunks_exact_mut(each)) {
            self.write_chw(image, out)?;
        }
        let shape = (images.len(), 3, height as usize, width as usize);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// A tensor [B, 3, H, W] of any floating type on any device → B pictures; see [`Self::read_chw`].
    ///
    /// # Errors
    /// When the tensor has another shape.
    pub fn to_images(&self, tensor: &Tensor) -> Result<Vec<RgbImage>, DatasetError> {
        let wrong = || DatasetError::Shape {
            operation: "converting a tensor to pictures",
            expected: "[batch, 3, height, width]",
            found: tensor.dims().to_vec(),
        };
        let (batch, 3, height, width) = tensor.dims4().map_err(|_| wrong())? else {
            return Err(wrong());
        };
        let (Ok(wide), Ok(high)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(wrong());
        };
        if batch == 0 || width == 0 || height == 0 {
            return Err(wrong());
        }
        let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        values.chunks_exact(3 * width * height).map(|values| self.read_chw(values, wide, high)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 wide, 2 high; every value tells where it is.
    fn picture() -> RgbImage {
        RgbImage::from_fn(3, 2, |x, y| {
            let at = (10 * y + x) as u8;
            image::Rgb([at, 100 + at, 200 + at])
        })
    }

    #[test]
    fn a_non_square_picture_keeps_its_axes() {
        let converter = Converter::new(&Normalization::IDENTITY).unwrap();
        let tensor = converter.to_tensor(&[picture()]).unwrap();
        assert_eq!(tensor.dims(), [1, 3, 2, 3]);
        let values = tensor.get(0).unwrap().to_vec3::<f32>().unwrap();
        for (channel, plane) in values.iter().enumerate() {
            for (y, row) in plane.iter().enumerate() {
                for (x, value) in row.iter().enumerate() {
                    let expected = (100 * channel + 10 * y + x) as f32 / 255.0;
                    assert_eq!(*value, expected, "channel {channel}, row {y}, column {x}");
                }
            }
        }
        assert_eq!(converter.to_images(&tensor).unwrap(), [picture()]);
    }

    #[test]
    fn every_byte_survives_every_normalization() {
        let all = RgbImage::from_fn(256, 1, |x, _| image::Rgb([x as u8; 3]));
        let odd = Normalization { mean: [0.1, 0.9, -3.0], std: [7.0, 0.01, 0.3] };
        for normalization in [Normalization::IDENTITY, Normalization::HALF, Normalization::IMAGENET, odd] {
            let converter = Converter::new(&normalization).unwrap();
            let tensor = converter.to_tensor(std::slice::from_ref(&all)).unwrap();
            assert_eq!(converter.to_images(&tensor).unwrap(), std::slice::from_ref(&all));
        }
    }

    #[test]
    fn values_are_rounded_and_clamped() {
        let converter = Converter::new(&Normalization::HALF).unwrap();
        let values = [-9.0, 9.0, f32::NAN, 0.0, 1.0 / 255.0, f32::INFINITY];
        let image = converter.read_chw(&values, 2, 1).unwrap();
        // 0.5 · 255 = 127.5 rounds away from zero.
        assert_eq!(image.as_raw(), &[0, 0, 128, 255, 128, 255]);
    }

    #[test]
    fn refuses_other_shapes() {
        let converter = Converter::new(&Normalization::HALF).unwrap();
        let wrong = |shape: &[usize]| {
            let tensor = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            assert!(converter.to_images(&tensor).is_err(), "{shape:?}");
        };
        wrong(&[1, 4, 2, 2]);
        wrong(&[3, 2, 2]);
        assert!(converter.read_chw(&[0.0; 5], 1, 2).is_err());
        assert!(converter.to_tensor(&[]).is_err());
        assert!(converter.to_tensor(&[RgbImage::new(1, 2), RgbImage::new(2, 1)]).is_err());
        assert!(converter.write_chw(&RgbImage::new(1, 1), &mut [0.0; 4]).is_err());
    }
}
