//! Pictures: decoded by `ksom-datasets` as the command decodes them, never by a canvas.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use ksom_datasets::DecodeOptions;
use ksom_datasets::decode::{decode_bytes, to_rgb};
use ksom_vqvae::evaluation::metrics;
use wasm_bindgen::Clamped;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::failure::Failure;

/// Pictures of more pixels are refused before their memory is allocated: addresses have 32 bits here.
pub const MAX_PIXELS: u64 = 50_000_000;

/// An RGB picture.
#[wasm_bindgen]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub(crate) pixels: RgbImage,
    pub(crate) name: String,
}

impl Picture {
    pub(crate) fn new(pixels: RgbImage, name: impl Into<String>) -> Self {
        Self { pixels, name: name.into() }
    }
}

#[wasm_bindgen]
impl Picture {
    /// Decodes a picture's file, of any format that `ksom-datasets` reads; `name` is its file's name, for messages and
    /// for the codes' file.
    ///
    /// # Errors
    /// It is of no such format, damaged, or larger than [`MAX_PIXELS`].
    pub fn decode(bytes: &[u8], name: Option<String>) -> Result<Self, Failure> {
        let name = name.unwrap_or_else(|| "picture".to_string());
        let options = DecodeOptions { max_pixels: MAX_PIXELS, ..DecodeOptions::default() };
        Ok(Self::new(decode_bytes(bytes, &name, &options)?.pixels, name))
    }

    /// A picture of pixels as a canvas gives them, row by row; what is transparent is composed over white.
    ///
    /// # Errors
    /// There is none, it is larger than [`MAX_PIXELS`], or there are not four bytes for each pixel.
    #[wasm_bindgen(js_name = fromRgba)]
    pub fn from_rgba(data: &[u8], width: u32, height: u32) -> Result<Self, Failure> {
        let refused = |message: String| Failure::new("Picture", message);
        let count = u64::from(width) * u64::from(height);
        if !(1..=MAX_PIXELS).contains(&count) {
            return Err(refused(format!("expected a picture of 1 to {MAX_PIXELS} pixels, found {width}×{height}")));
        }
        if data.len() as u64 != 4 * count {
            return Err(refused(format!("{width}×{height} pixels have {} bytes, found {}", 4 * count, data.len())));
        }
        let Some(pixels) = RgbaImage::from_raw(width, height, data.to_vec()) else {
            return Err(refused(format!("a picture cannot be {width}×{height}")));
        };
        let pixels = to_rgb(DynamicImage::ImageRgba8(pixels), DecodeOptions::default().background);
        Ok(Self::new(pixels, "picture"))
    }

    /// Its width in pixels.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Its height in pixels.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// The name that it was decoded with.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Its pixels for a canvas's `ImageData`.
    pub fn rgba(&self) -> Clamped<Vec<u8>> {
        let mut rgba = Vec::with_capacity(self.pixels.len() / 3 * 4);
        for pixel in self.pixels.pixels() {
            rgba.extend_from_slice(&[pixel.0[0], pixel.0[1], pixel.0[2], 255]);
        }
        Clamped(rgba)
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn png(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.pixels
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .map_err(|error| Failure::new("Picture", format!("{} cannot be written as PNG: {error}", self.name)))?;
        Ok(bytes)
    }

    /// Mean squared error of another picture of the same size, of values in 0..255.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn mse(&self, other: &Picture) -> Result<f64, Failure> {
        Ok(metrics::mse(&self.pixels, &other.pixels)?)
    }

    /// Peak signal-to-noise ratio of another picture of the same size, in dB.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn psnr(&self, other: &Picture) -> Result<f64, Failure> {
        Ok(metrics::psnr(self.mse(other)?))
    }
}
