//! How pictures are decoded, and what comes out.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::DatasetError;

/// The most bytes a pixel takes in any format: four channels of 64 bits.
pub(super) const MAX_BYTES_PER_PIXEL: u64 = 32;

/// How pictures are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeOptions {
    /// What transparent pictures are composed over: R, G, B. White by default.
    pub background: [u8; 3],
    /// Pictures of more pixels are refused before their memory is allocated. 256 million by default.
    pub max_pixels: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { background: [255; 3], max_pixels: 256_000_000 }
    }
}

impl DecodeOptions {
    /// The most bytes of a picture's file. No format takes much more than its pixels do uncompressed; 1 MiB is for headers
    /// and metadata.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL).saturating_add(1 << 20)
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Its pixels.
    pub pixels: RgbImage,
    /// What was odd about its file, though all pixels were there.
    pub remark: Option<&'static str>,
}

/// Refuses sizes that nobody means, before memory is asked for.
pub(super) fn check_size((width, height): (u32, u32), name: &str, options: &DecodeOptions) -> Result<(), DatasetError> {
    if u64::from(width) * u64::from(height) > options.max_pixels {
        return Err(DatasetError::TooLarge { name: name.to_owned(), width, height, max_pixels: options.max_pixels });
    }
    if width == 0 || height == 0 {
        return Err(DatasetError::image(name, format!("it claims {width}x{height} pixels")));
    }
    Ok(())
}
