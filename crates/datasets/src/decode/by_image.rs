//! What the crate `image` decodes.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

use crate::decode::options::{DecodeOptions, MAX_BYTES_PER_PIXEL, check_size};
use crate::decode::pixels::to_rgb;
use crate::error::DatasetError;

/// Decodes by the crate `image`.
pub(super) fn by_image(
    bytes: &[u8],
    format: ImageFormat,
    name: &str,
    options: &DecodeOptions,
) -> Result<RgbImage, DatasetError> {
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
                error => {
                    let said = error.to_string();
                    // How the decoder of JPEG says it.
                    match said.contains("Not enough bytes") || said.contains("exhausted data") {
                        true => format!("the {format:?} file is truncated"),
                        false => said.trim().to_owned(),
                    }
                }
            },
        )
    };
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(options.max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    check_size(decoder.dimensions(), name, options)?;
    // Unreadable EXIF data is no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(failed)?;
    decoded.apply_orientation(orientation);
    Ok(to_rgb(decoded, options.background))
}
