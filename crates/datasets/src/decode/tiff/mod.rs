//! TIFF and BigTIFF: samples of any kind → 8 bits.
//!
//! The crate `tiff` unpacks samples; what they mean is told here. Whole numbers are read over their type's range, floats
//! over 0 … 1, palettes and YCbCr become RGB. Of several pictures the first is read.

mod colors;
mod palette;
mod sample;

use std::io::{Cursor, Read, Seek};

use image::metadata::Orientation;
use image::{DynamicImage, RgbaImage};
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{PlanarConfiguration, Predictor, Tag};
use tiff::{ColorType, TiffError};

use crate::decode::options::{DecodeOptions, MAX_BYTES_PER_PIXEL, check_size};
use crate::decode::pixels::turned;
use crate::decode::tiff::colors::{Colors, Palette, YCbCr};
use crate::decode::tiff::palette::as_gray;
use crate::decode::tiff::sample::Values;
use crate::error::DatasetError;

/// Tags of values beside pixels: a few MB of color map, offsets and metadata.
const MOST_OF_A_TAG: usize = 64 << 20;

/// The width and height that a file's first picture has.
pub(super) fn size(file: impl Read + Seek, name: &str) -> Result<(u32, u32), DatasetError> {
    let mut decoder = Decoder::new(file).map_err(|error| refused(error, name))?;
    let size = decoder.dimensions().map_err(|error| refused(error, name))?;
    Ok(turned(size, orientation(&mut decoder)))
}

/// Decodes the first picture.
pub(super) fn decode(bytes: &[u8], name: &str, options: &DecodeOptions) -> Result<DynamicImage, DatasetError> {
    let failed = |error| refused(error, name);
    let unsupported = |what: &str| {
        DatasetError::image(name, format!("TIFF files of this kind are not read ({what}); convert it to PNG"))
    };
    let mut limits = Limits::unlimited();
    let most = usize::try_from(options.max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL)).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = most;
    limits.intermediate_buffer_size = most;
    limits.ifd_value_size = MOST_OF_A_TAG.min(bytes.len());

    // The crate does not unpack indices into a palette, but gray values of as many bits.
    let gray = as_gray(bytes);
    let mut decoder = Decoder::new(Cursor::new(gray.as_deref().unwrap_or(bytes))).map_err(failed)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(failed)?;
    check_size((width, height), name, options)?;
    let color = decoder.colortype().map_err(failed)?;
    let number = |decoder: &mut Decoder<Cursor<&[u8]>>, tag| decoder.find_tag_unsigned::<u16>(tag).map_err(failed);
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(failed)?.unwrap_or_default();
    let samples = number(&mut decoder, Tag::SamplesPerPixel)?.unwrap_or(1);
    let predictor = number(&mut decoder, Tag::Predictor)?.unwrap_or(1);
    let planar = number(&mut decoder, Tag::PlanarConfiguration)? == Some(PlanarConfiguration::Planar.to_u16());
    if color.num_samples() != samples && predictor != Predictor::None.to_u16() {
        return Err(unsupported("a predictor over samples that are no colors"));
    }
    let colors = if gray.is_some() {
        let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(failed)?;
        Colors::Palette(Palette::new(&map, color.bit_depth()).ok_or_else(|| unsupported("a color map of odd length"))?)
    } else {
        match color {
            ColorType::Gray(_) => Colors::Gray,
            // Gray with something else: transparency, if it says so.
            ColorType::Multiband { num_samples: 2, .. } => Colors::Gray,
            ColorType::Multiband { num_samples, .. } => return Err(unsupported(&format!("{num_samples} bands"))),
            ColorType::RGB(_) | ColorType::RGBA(_) => Colors::Rgb,
            ColorType::CMYK(_) | ColorType::CMYKA(_) => Colors::Cmyk,
            ColorType::YCbCr(8) => Colors::YCbCr(ycbcr(&mut decoder).map_err(failed)?),
            other => return Err(unsupported(&format!("colors of kind {other:?}"))),
        }
    };
    // Where the samples hold transparency too, and whether colors are multiplied by it already.
    let alpha = match (color, extra.first()) {
        (ColorType::RGBA(_) | ColorType::CMYKA(_) | ColorType::Multiband { .. }, Some(kind @ (1 | 2))) => {
            Some((colors.samples(), *kind == 1))
        }
        (ColorType::RGBA(_), None) => Some((colors.samples(), false)),
        _ => None,
    };
    let orientation = orientation(&mut decoder);

    let mut result = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut result).map_err(failed)?;
    let values = Values::new(result, color.bit_depth());
    let stored = usize::from(if planar { 1 } else { color.num_samples() });
    let per_row = (width as usize * stored).next_multiple_of(values.per_unit());
    let per_plane = if planar { per_row * height as usize } else { 0 };
    if values.len() < layout.planes.max(1) * per_row * height as usize {
        return Err(DatasetError::image(name, "the TIFF file claims more pixels than may be decoded"));
    }
    let sample = |x: u32, y: u32, channel: usize| {
        let at = y as usize * per_row + x as usize * stored;
        if planar { values.get(channel * per_plane + at) } else { values.get(at + channel) }
    };
    let picture = RgbaImage::from_fn(width, height, |x, y| {
        let mut rgb = colors.rgb(|channel| sample(x, y, channel));
        let alpha = alpha.map_or(1.0, |(channel, multiplied)| {
            let alpha = sample(x, y, channel).fraction;
            if multiplied && alpha > 0.0 {
                rgb = rgb.map(|color| color / alpha);
            }
            alpha
        });
        // `as` saturates, and makes 0 of what is no number.
        [rgb[0], rgb[1], rgb[2], alpha].map(|value| (value * 255.0).round() as u8).into()
    });
    let mut picture = match alpha {
        Some(_) => DynamicImage::ImageRgba8(picture),
        None => DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(picture).into_rgb8()),
    };
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// How the picture is to be turned; one that makes no sense is no reason to refuse it.
fn orientation(decoder: &mut Decoder<impl Read + Seek>) -> Orientation {
    let value = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// How a file's YCbCr is meant.
fn ycbcr(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<YCbCr, TiffError> {
    let numbers = |decoder: &mut Decoder<Cursor<&[u8]>>, tag| Ok::<_, TiffError>(decoder.find_tag(tag)?.map(reals));
    let weights = numbers(decoder, Tag::Unknown(529))?;
    let range = numbers(decoder, Tag::Unknown(532))?;
    Ok(YCbCr::new(weights.as_deref(), range.as_deref()))
}

/// A list of numbers of any type; those of none are left out.
fn reals(value: Value) -> Vec<f64> {
    let real = |value| match value {
        Value::Rational(over, under) => Some(f64::from(over) / f64::from(under)),
        Value::Float(value) => Some(value.into()),
        Value::Double(value) => Some(value),
        other => other.into_u32().ok().map(f64::from),
    };
    match value {
        Value::List(values) => values.into_iter().filter_map(real).collect(),
        value => real(value).into_iter().collect(),
    }
}

/// Why a file is refused.
fn refused(error: TiffError, name: &str) -> DatasetError {
    let reason = match error {
        TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the Tiff file is truncated".to_owned()
        }
        TiffError::UnsupportedError(what) => {
            format!("TIFF files of this kind are not read ({what}); convert it to PNG")
        }
        TiffError::LimitsExceeded => "the TIFF file claims more than may be decoded".to_owned(),
        error => error.to_string(),
    };
    DatasetError::image(name, reason)
}
