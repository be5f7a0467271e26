//! One encoded picture → 8-bit RGB, whatever the file held.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};
use serde::{Deserialize, Serialize};

use crate::error::DatasetError;

/// The most bytes a pixel takes in any format: four channels of 32 bits.
const MAX_BYTES_PER_PIXEL: u64 = 16;

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

/// Decodes a JPEG, PNG, WebP, BMP, GIF or TIFF file.
///
/// The file's content decides its format, its name does not. The EXIF orientation is applied; 16-bit and float
/// samples are rounded to 8 bits, gray becomes R = G = B, alpha is composed over `options.background`, and of an
/// animation the first frame is taken. Color profiles are not applied.
///
/// # Errors
/// When the file cannot be read, is empty, truncated, of another format, or has more than `options.max_pixels`.
pub fn decode_image(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<RgbImage, DatasetError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let read = DatasetError::io("read", path);
    // No format takes much more than its pixels do uncompressed; 1 MiB is for headers and metadata.
    let max_bytes = options.max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL).saturating_add(1 << 20);
    let mut bytes = Vec::new();
    let result = std::fs::metadata(path).and_then(|metadata| {
        // Before it is opened: to open a pipe is to wait for its other end.
        if !metadata.is_file() {
            return Err(std::io::Error::other("expected a file, found a folder, pipe or device"));
        }
        if let Ok(len) = usize::try_from(metadata.len().min(max_bytes)) {
            bytes.try_reserve_exact(len)?;
        }
        File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)
    });
    result.map_err(read)?;
    if bytes.len() as u64 > max_bytes {
        return Err(DatasetError::image(
            &name,
            format!("the file is larger than {max_bytes} bytes, more than {} pixels can need", options.max_pixels),
        ));
    }
    decode_bytes(&bytes, &name, options)
}

/// The width and height that the head of a picture's file tells, as stored: the EXIF orientation may swap them.
///
/// # Errors
/// When the file cannot be read, or is no picture of a known format.
pub fn image_size(path: impl AsRef<Path>) -> Result<(u32, u32), DatasetError> {
    let path = path.as_ref();
    // Before it is opened: to open a pipe is to wait for its other end.
    if !path.is_file() {
        return Err(DatasetError::io("read", path)(std::io::Error::other("expected a file")));
    }
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(DatasetError::io("read", path))?;
    let name = path.display().to_string();
    contained(&name, || reader.into_dimensions().map_err(|error| DatasetError::image(&name, error)))
}

/// What `decode` says. A decoder can panic on a damaged picture: that is an error like any other.
fn contained<T>(name: &str, decode: impl FnOnce() -> Result<T, DatasetError>) -> Result<T, DatasetError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(DatasetError::image(name, "it is damaged: its decoder failed on it")))
}

/// Decodes a picture that is already in memory; see [`decode_image`]. `name` is what errors call it.
///
/// # Errors
/// When the bytes are none, truncated, of another format, or a picture of more than `options.max_pixels`.
pub fn decode_bytes(bytes: &[u8], name: &str, options: &DecodeOptions) -> Result<RgbImage, DatasetError> {
    if bytes.is_empty() {
        return Err(DatasetError::image(name, "it is empty (0 bytes)"));
    }
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(options.max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL));
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| DatasetError::image(name, error))?;
    reader.limits(limits);
    let format = reader.format().ok_or_else(|| {
        DatasetError::image(name, format!("its {} bytes are not a JPEG, PNG, WebP, BMP, GIF or TIFF file", bytes.len()))
    })?;
    let failed = |error: ImageError| {
        DatasetError::image(
            name,
            match error {
                ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    format!("the {format:?} file is truncated")
                }
                ImageError::Unsupported(_) => {
                    format!("{format:?} files of this kind are not supported ({error}); convert it to PNG")
                }
                error => error.to_string(),
            },
        )
    };
    let mut decoder = contained(name, || reader.into_decoder().map_err(failed))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > options.max_pixels {
        return Err(DatasetError::TooLarge { name: name.to_owned(), width, height, max_pixels: options.max_pixels });
    }
    if width == 0 || height == 0 {
        return Err(DatasetError::image(name, format!("it claims {width}x{height} pixels")));
    }
    if format == ImageFormat::Jpeg && jpeg_lacks_end(bytes) {
        // The decoder would fill what is missing with gray.
        return Err(DatasetError::image(name, "the Jpeg file is truncated (no end-of-image marker)"));
    }
    // Unreadable EXIF data is no reason to refuse a picture.
    let decoded = contained(name, || {
        let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut decoded = DynamicImage::from_decoder(decoder).map_err(failed)?;
        decoded.apply_orientation(orientation);
        Ok(decoded)
    })?;
    Ok(if decoded.color().has_alpha() { compose_over(&decoded, options.background) } else { decoded.into_rgb8() })
}

/// `alpha · color + (1 − alpha) · background`, rounded to the nearest of 256 values.
fn compose_over(picture: &DynamicImage, background: [u8; 3]) -> RgbImage {
    let rgba = picture.to_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, alpha] = from.0.map(u32::from);
        for (channel, (color, behind)) in [r, g, b].into_iter().zip(background).enumerate() {
            let sum = color * alpha + u32::from(behind) * (255 - alpha);
            // At most 255 · 255 + 127, so the quotient fits.
            to.0[channel] = ((sum + 127) / 255) as u8;
        }
    }
    rgb
}

/// Whether a JPEG file's compressed data have begun but no end-of-image marker follows.
fn jpeg_lacks_end(bytes: &[u8]) -> bool {
    /// Where the data after the first start-of-scan header begin.
    fn scan_data(bytes: &[u8]) -> Option<&[u8]> {
        let mut at = 2;
        loop {
            while bytes.get(at)? == &0xFF && bytes.get(at + 1)? == &0xFF {
                at += 1;
            }
            let (&0xFF, &marker) = (bytes.get(at)?, bytes.get(at + 1)?) else {
                return None;
            };
            at += 2;
            if marker == 0x01 || (0xD0..=0xD8).contains(&marker) {
                continue;
            }
            let len = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
            at += usize::from(len);
            if marker == 0xDA {
                return bytes.get(at..);
            }
        }
    }
    // Within compressed data 0xFF is always followed by something else than 0xD9.
    scan_data(bytes).is_some_and(|data| !data.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]))
}
