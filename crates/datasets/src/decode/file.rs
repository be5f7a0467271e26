//! A file, or the bytes of one, by the format that they have.

use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader, RgbImage};

use crate::decode::by_image::by_image;
use crate::decode::options::{DecodeOptions, Decoded};
use crate::decode::pixels::{to_rgb, turned};
use crate::decode::{jpeg, png, tiff};
use crate::error::DatasetError;
use crate::files::formats::{format_of_named, known_otherwise};

/// Decodes a picture's file, of any format of [`crate::decode`].
///
/// The file's content decides its format (its name only whether it is TGA). The EXIF orientation is applied; samples of
/// more than 8 bits are rounded, gray becomes R = G = B, alpha is composed over `options.background`. Color profiles
/// are not applied.
///
/// # Errors
/// When the file cannot be read, is empty, lacks pixels, is of another format, or has more than `options.max_pixels`.
pub fn decode_image(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<RgbImage, DatasetError> {
    Ok(decode_file(path, options)?.pixels)
}

/// As [`decode_image`], with what was odd about the file.
///
/// # Errors
/// As [`decode_image`].
pub fn decode_file(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Decoded, DatasetError> {
    let path = path.as_ref();
    let max_bytes = options.max_bytes();
    let bytes = read(path, max_bytes).map_err(DatasetError::io("read", path))?;
    let name = path.display().to_string();
    if bytes.len() as u64 > max_bytes {
        return Err(DatasetError::image(
            &name,
            format!("the file is larger than {max_bytes} bytes, more than {} pixels can need", options.max_pixels),
        ));
    }
    decode_bytes(&bytes, &name, options)
}

/// A file's bytes, up to one more than `max_bytes`.
fn read(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    // Before it is opened: to open a pipe is to wait for its other end.
    if !metadata.is_file() {
        return Err(std::io::Error::other("expected a file, found a folder, pipe or device"));
    }
    let mut bytes = Vec::new();
    if let Ok(len) = usize::try_from(metadata.len().min(max_bytes)) {
        bytes.try_reserve_exact(len)?;
    }
    File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The width and height that the head of a picture's file tells, with the EXIF orientation applied: those of
/// [`decode_image`]'s result.
///
/// # Errors
/// When the file cannot be read, or is no picture of a known format.
pub fn image_size(path: impl AsRef<Path>) -> Result<(u32, u32), DatasetError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    // Before it is opened: to open a pipe is to wait for its other end.
    if !path.is_file() {
        return Err(DatasetError::io("read", path)(std::io::Error::other("expected a file")));
    }
    let mut start = Vec::new();
    let mut file = File::open(path).map_err(DatasetError::io("read", path))?;
    file.by_ref().take(64).read_to_end(&mut start).map_err(DatasetError::io("read", path))?;
    let format = format_of_named(&start, &name).ok_or_else(|| unknown(&start, &name))?;
    let file = File::open(path).map_err(DatasetError::io("read", path))?;
    contained(&name, || match format {
        ImageFormat::Tiff => tiff::size(BufReader::new(file), &name),
        format => {
            let reader = ImageReader::with_format(BufReader::new(file), format);
            let mut decoder = reader.into_decoder().map_err(|error| DatasetError::image(&name, error))?;
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            Ok(turned(decoder.dimensions(), orientation))
        }
    })
}

/// What `decode` says. A decoder can panic on a damaged picture: that is an error like any other.
fn contained<T>(name: &str, decode: impl FnOnce() -> Result<T, DatasetError>) -> Result<T, DatasetError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(DatasetError::image(name, "it is damaged: its decoder failed on it")))
}

/// Decodes a picture that is already in memory; see [`decode_file`]. `name` is what errors call it.
///
/// # Errors
/// When the bytes are none, lack pixels, are of another format, or a picture of more than `options.max_pixels`.
pub fn decode_bytes(bytes: &[u8], name: &str, options: &DecodeOptions) -> Result<Decoded, DatasetError> {
    if bytes.is_empty() {
        return Err(DatasetError::image(name, "it is empty (0 bytes)"));
    }
    if let Some(what) = known_otherwise(bytes, name) {
        return Err(DatasetError::image(name, format!("it is {what}")));
    }
    let format = format_of_named(bytes, name).ok_or_else(|| unknown(bytes, name))?;
    contained(name, || match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, name, options),
        ImageFormat::Png => png::decode(bytes, name, options),
        ImageFormat::Tiff => {
            let pixels = to_rgb(tiff::decode(bytes, name, options)?, options.background);
            Ok(Decoded { pixels, remark: None })
        }
        format => Ok(Decoded { pixels: by_image(bytes, format, name, options)?, remark: None }),
    })
}

/// For bytes of no format that is read.
fn unknown(bytes: &[u8], name: &str) -> DatasetError {
    let reason = match known_otherwise(bytes, name) {
        Some(what) => format!("it is {what}"),
        None => {
            format!("its {} bytes are not a JPEG, PNG, WebP, BMP, GIF, TIFF, TGA, QOI or PNM file", bytes.len())
        }
    };
    DatasetError::image(name, reason)
}
