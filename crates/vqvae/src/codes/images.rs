//! Pictures of any size ↔ codes: padding to the stride, batches of equal size, tiles of large pictures, cropping back.

use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use ksom_datasets::loading::Converter;

use crate::codes::batches::{groups, in_halves};
use crate::codes::tiling::{Span, tiles};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::system::memory;

/// The longest side of a decoded picture, as PNG has it.
const MAX_SIDE: u32 = (1 << 31) - 64;

/// One level of a picture's codes, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeGrid {
    /// Number of rows.
    pub height: usize,
    /// Codes in each row.
    pub width: usize,
    /// The codes, `height × width` of them.
    pub codes: Vec<u32>,
}

impl CodeGrid {
    fn tensor(&self, rows: (usize, usize), columns: (usize, usize)) -> Result<Tensor> {
        let mut codes = Vec::with_capacity((rows.1 - rows.0) * (columns.1 - columns.0));
        for row in rows.0..rows.1 {
            codes.extend_from_slice(&self.codes[row * self.width + columns.0..row * self.width + columns.1]);
        }
        Ok(Tensor::from_vec(codes, (1, rows.1 - rows.0, columns.1 - columns.0), &Device::Cpu)?)
    }
}

/// A picture as discrete codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCodes {
    /// The picture's width in pixels, before padding.
    pub width: u32,
    /// The picture's height in pixels, before padding.
    pub height: u32,
    /// One grid per level, in the order of [`crate::model::Architecture::levels`].
    pub levels: Vec<CodeGrid>,
}

impl ImageCodes {
    /// Checks sizes and codes against a model's levels.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn validate(&self, model: &Model) -> std::result::Result<(), String> {
        let architecture = &model.config().architecture;
        let levels = architecture.levels();
        let num_codes = model.config().quantizer.num_codes;
        if ![self.width, self.height].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return Err(format!("a picture cannot be {}×{}", self.width, self.height));
        }
        if self.levels.len() != levels.len() {
            return Err(format!("expected {} levels of codes, found {}", levels.len(), self.levels.len()));
        }
        for (level, grid) in levels.iter().zip(&self.levels) {
            let expected = architecture.grid_shape(level, self.width, self.height);
            if (grid.height, grid.width) != expected || grid.codes.len() != grid.height * grid.width {
                return Err(format!(
                    "{}: a picture of {}×{} has {}×{} codes, found {}×{}",
                    level.name, self.width, self.height, expected.1, expected.0, grid.width, grid.height
                ));
            }
            if let Some(code) = grid.codes.iter().find(|&&code| code as usize >= num_codes) {
                // What becomes of −1 in a type without signs.
                let bits = [8, 16, 32].into_iter().find(|bits| u64::from(*code) + 1 == 1 << bits);
                let meant = bits.map(|bits| format!(" (-1 as a number of {bits} bits)")).unwrap_or_default();
                return Err(format!("{}: expected codes below {num_codes}, found {code}{meant}", level.name));
            }
        }
        Ok(())
    }
}

impl Model {
    /// Pictures of any sizes → codes. Neighbors of equal size share a batch; large ones are tiled.
    ///
    /// # Errors
    /// A picture is empty, or a tensor operation fails.
    pub fn encode_images(&self, pictures: &[RgbImage]) -> Result<Vec<ImageCodes>> {
        let mut encoded = Vec::with_capacity(pictures.len());
        for group in groups(pictures, RgbImage::dimensions) {
            encoded.extend(self.encode_group(group, &mut |_, _| ())?);
        }
        Ok(encoded)
    }

    /// A picture of any size → codes: those of [`Model::encode_images`]. `progress` is told tiles done, and how many
    /// there are.
    ///
    /// # Errors
    /// As [`Model::encode_images`].
    pub fn encode_image(&self, picture: &RgbImage, progress: &mut dyn FnMut(usize, usize)) -> Result<ImageCodes> {
        Ok(self.encode_group(std::slice::from_ref(picture), progress)?.remove(0))
    }

    /// Encodes pictures of one size.
    fn encode_group(&self, group: &[RgbImage], progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<ImageCodes>> {
        let (width, height) = group[0].dimensions();
        if width == 0 || height == 0 {
            return Err(Error::Invalid(format!("a picture cannot be {width}×{height}")));
        }
        let stride = self.stride();
        let padded: Vec<RgbImage> = group.iter().map(|picture| pad_edges(picture, stride as u32)).collect();
        let (columns, rows) = (padded[0].width() as usize / stride, padded[0].height() as usize / stride);
        let tiles = tiles(&self.config().architecture, rows, columns);
        if let [_] = tiles[..] {
            let encoded = in_halves(&padded, &mut |padded| {
                let what = || format!("encoding {} pictures of {width}×{height} at once", padded.len());
                let levels =
                    self.encode(&self.pixels(padded)?).map_err(|error| error.while_computing(|| (what(), None)))?;
                unstack(&levels, width, height)
            })?;
            progress(1, 1);
            return Ok(encoded);
        }
        padded.iter().map(|picture| self.encode_tiles(picture, (width, height), &tiles, progress)).collect()
    }

    /// Codes → pictures of their original sizes. Neighbors of equal size share a batch; large ones are tiled.
    ///
    /// # Errors
    /// Sizes or codes do not fit the model ([`ImageCodes::validate`]).
    pub fn decode_images(&self, codes: &[ImageCodes]) -> Result<Vec<RgbImage>> {
        for codes in codes {
            codes.validate(self).map_err(Error::Invalid)?;
        }
        let mut pictures = Vec::with_capacity(codes.len());
        for group in groups(codes, |codes| (codes.width, codes.height)) {
            pictures.extend(self.decode_group(group, &mut |_, _| ())?);
        }
        Ok(pictures)
    }

    /// Codes → a picture of its original size: that of [`Model::decode_images`]. `progress` is told tiles done, and how
    /// many there are.
    ///
    /// # Errors
    /// As [`Model::decode_images`].
    pub fn decode_image(&self, codes: &ImageCodes, progress: &mut dyn FnMut(usize, usize)) -> Result<RgbImage> {
        codes.validate(self).map_err(Error::Invalid)?;
        Ok(self.decode_group(std::slice::from_ref(codes), progress)?.remove(0))
    }

    /// Decodes valid codes of pictures of one size.
    fn decode_group(&self, group: &[ImageCodes], progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<RgbImage>> {
        let (width, height) = (group[0].width, group[0].height);
        memory::require(3 * u64::from(width) * u64::from(height), || format!("a picture of {width}×{height}"))?;
        let stride = self.stride();
        let (columns, rows) = ((width as usize).div_ceil(stride), (height as usize).div_ceil(stride));
        let tiles = tiles(&self.config().architecture, rows, columns);
        if let [_] = tiles[..] {
            let decoded = in_halves(group, &mut |group| {
                let what = || format!("decoding {} pictures of {width}×{height} at once", group.len());
                let pixels = self.decode(&stack(group)?).map_err(|error| error.while_computing(|| (what(), None)))?;
                self.images(&pixels)
            })?;
            progress(1, 1);
            return Ok(decoded.iter().map(|picture| crop(picture, (0, 0), (width, height))).collect());
        }
        group.iter().map(|codes| self.decode_tiles(codes, (columns, rows), &tiles, progress)).collect()
    }

    /// Pictures → codes → pictures: what [`Model::encode_images`] and [`Model::decode_images`] give in turn.
    ///
    /// # Errors
    /// As the two.
    pub fn reconstruct_images(&self, pictures: &[RgbImage]) -> Result<Vec<RgbImage>> {
        self.decode_images(&self.encode_images(pictures)?)
    }

    fn pixels(&self, pictures: &[RgbImage]) -> Result<Tensor> {
        Ok(Converter::new(&self.config().preprocessing.normalization)?.to_tensor(pictures)?)
    }

    fn images(&self, pixels: &Tensor) -> Result<Vec<RgbImage>> {
        Ok(Converter::new(&self.config().preprocessing.normalization)?.to_images(pixels)?)
    }

    fn encode_tiles(
        &self,
        picture: &RgbImage,
        (width, height): (u32, u32),
        tiles: &[(Span, Span)],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<ImageCodes> {
        let stride = self.stride();
        let levels = self.config().architecture.levels();
        let mut grids: Vec<CodeGrid> = levels
            .iter()
            .map(|level| {
                let (h, w) = (picture.height() as usize / level.stride, picture.width() as usize / level.stride);
                CodeGrid { height: h, width: w, codes: vec![0; h * w] }
            })
            .collect();
        for (tile, (row, column)) in tiles.iter().enumerate() {
            let origin = ((column.outer.0 * stride) as u32, (row.outer.0 * stride) as u32);
            let size =
                (((column.outer.1 - column.outer.0) * stride) as u32, ((row.outer.1 - row.outer.0) * stride) as u32);
            let codes = self.encode(&self.pixels(&[crop(picture, origin, size)])?)?;
            for ((level, grid), codes) in levels.iter().zip(&mut grids).zip(codes) {
                let scale = stride / level.stride;
                let core = codes
                    .narrow(1, row.offset() * scale, row.len() * scale)?
                    .narrow(2, column.offset() * scale, column.len() * scale)?
                    .squeeze(0)?
                    .to_vec2::<u32>()?;
                for (i, line) in core.iter().enumerate() {
                    let start = (row.core.0 * scale + i) * grid.width + column.core.0 * scale;
                    grid.codes[start..start + line.len()].copy_from_slice(line);
                }
            }
            progress(tile + 1, tiles.len());
        }
        Ok(ImageCodes { width, height, levels: grids })
    }

    fn decode_tiles(
        &self,
        codes: &ImageCodes,
        (columns, rows): (usize, usize),
        tiles: &[(Span, Span)],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<RgbImage> {
        let stride = self.stride();
        let mut picture = RgbImage::new((columns * stride) as u32, (rows * stride) as u32);
        for (tile, (row, column)) in tiles.iter().enumerate() {
            let core = self.decode_tile(codes, *row, *column)?;
            let place = ((column.core.0 * stride) as i64, (row.core.0 * stride) as i64);
            image::imageops::replace(&mut picture, &core, place.0, place.1);
            progress(tile + 1, tiles.len());
        }
        Ok(crop(&picture, (0, 0), (codes.width, codes.height)))
    }

    /// The pixels of a tile's core.
    pub(super) fn decode_tile(&self, codes: &ImageCodes, row: Span, column: Span) -> Result<RgbImage> {
        let stride = self.stride();
        let levels = self.config().architecture.levels();
        let parts = levels.iter().zip(&codes.levels).map(|(level, grid)| {
            let scale = stride / level.stride;
            let scaled = |span: (usize, usize)| (span.0 * scale, span.1 * scale);
            grid.tensor(scaled(row.outer), scaled(column.outer))
        });
        let decoded = self.images(&self.decode(&parts.collect::<Result<Vec<_>>>()?)?)?;
        let from = ((column.offset() * stride) as u32, (row.offset() * stride) as u32);
        Ok(crop(&decoded[0], from, ((column.len() * stride) as u32, (row.len() * stride) as u32)))
    }
}

/// Repeats the last column and row until both sides are multiples of `stride`.
pub(crate) fn pad_edges(picture: &RgbImage, stride: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (padded_width, padded_height) = (width.next_multiple_of(stride), height.next_multiple_of(stride));
    if (width, height) == (padded_width, padded_height) {
        return picture.clone();
    }
    RgbImage::from_fn(padded_width, padded_height, |x, y| *picture.get_pixel(x.min(width - 1), y.min(height - 1)))
}

pub(super) fn crop(picture: &RgbImage, (x, y): (u32, u32), (width, height): (u32, u32)) -> RgbImage {
    image::imageops::crop_imm(picture, x, y, width, height).to_image()
}

/// Per-level tensors of a batch → one [`ImageCodes`] per picture.
fn unstack(levels: &[Tensor], width: u32, height: u32) -> Result<Vec<ImageCodes>> {
    let n = levels[0].dim(0)?;
    let mut pictures = vec![ImageCodes { width, height, levels: Vec::with_capacity(levels.len()) }; n];
    for level in levels {
        let (_, h, w) = level.dims3()?;
        let codes = level.to_dtype(DType::U32)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<u32>()?;
        for (picture, codes) in pictures.iter_mut().zip(codes.chunks_exact(h * w)) {
            picture.levels.push(CodeGrid { height: h, width: w, codes: codes.to_vec() });
        }
    }
    Ok(pictures)
}

/// One [`ImageCodes`] per picture, all of one size → per-level tensors.
fn stack(pictures: &[ImageCodes]) -> Result<Vec<Tensor>> {
    (0..pictures[0].levels.len())
        .map(|level| {
            let (h, w) = (pictures[0].levels[level].height, pictures[0].levels[level].width);
            let codes: Vec<u32> =
                pictures.iter().flat_map(|picture| picture.levels[level].codes.iter().copied()).collect();
            Ok(Tensor::from_vec(codes, (pictures.len(), h, w), &Device::Cpu)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ksom_quantizers::QuantizerConfig;
    use rand::{RngCore, SeedableRng};

    use super::*;
    use crate::model::Architecture;
    use crate::{Compute, ModelConfig};

    fn small_models() -> [Model; 4] {
        let coarse = |downsample| Architecture { downsample, ..Architecture::vqvae() };
        [Architecture::vqvae(), Architecture::vqvae2(), coarse(8), coarse(16)].map(|architecture| {
            let architecture = Architecture { hidden: 32, residual_hidden: 16, ..architecture };
            Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(16, 16)), 3, &Compute::cpu()).unwrap()
        })
    }

    fn noise(seed: u64, width: u32, height: u32) -> RgbImage {
        let mut pixels = vec![0; (width * height * 3) as usize];
        rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut pixels);
        RgbImage::from_raw(width, height, pixels).unwrap()
    }

    /// The kernels' transforms round by where a tile begins, so a code between two vectors, or a pixel between two
    /// levels, may fall to the other side: hardly ever, and never far.
    #[test]
    fn tiles_show_no_seams() {
        let picture = noise(1, 1090, 2061);
        for model in small_models() {
            let padded = pad_edges(&picture, model.stride() as u32);
            let whole = model.encode(&model.pixels(&[padded]).unwrap()).unwrap();
            let codes = model.encode_images(std::slice::from_ref(&picture)).unwrap().remove(0);
            let whole_codes = unstack(&whole, picture.width(), picture.height()).unwrap().remove(0);
            for (tiled, whole) in codes.levels.iter().zip(&whole_codes.levels) {
                let differ = tiled.codes.iter().zip(&whole.codes).filter(|(a, b)| a != b).count();
                assert!(differ * 1000 < whole.codes.len(), "{differ} of {} codes differ", whole.codes.len());
            }
            let decoded = model.images(&model.decode(&whole).unwrap()).unwrap();
            let cropped = crop(&decoded[0], (0, 0), picture.dimensions());
            let tiled = model.decode_images(std::slice::from_ref(&whole_codes)).unwrap();
            let far = tiled[0].iter().zip(cropped.iter()).filter(|(a, b)| a.abs_diff(**b) > 1).count();
            assert_eq!(far, 0, "pixels of decoded tiles differ from the whole by more than one level");

            let (mut done, mut told) = (Vec::new(), Vec::new());
            assert_eq!(model.encode_image(&picture, &mut |tile, of| done.push((tile, of))).unwrap(), codes);
            let alone = model.decode_image(&whole_codes, &mut |tile, of| told.push((tile, of)));
            assert!(alone.unwrap() == tiled[0], "a picture decoded with progress differs");
            let all: Vec<_> = (1..=6).map(|tile| (tile, 6)).collect();
            assert_eq!((&done, &told), (&all, &all));
        }
    }

    #[test]
    fn codes_do_not_depend_on_the_batch() {
        let pictures: Vec<RgbImage> = (0..7).map(|seed| noise(seed, 32, 24)).collect();
        for model in small_models() {
            let codes = model.encode_images(&pictures).unwrap();
            let decoded = model.decode_images(&codes).unwrap();
            for ((picture, codes), decoded) in pictures.iter().zip(&codes).zip(&decoded) {
                let alone = model.encode_images(std::slice::from_ref(picture)).unwrap();
                assert_eq!(&alone[0], codes);
                assert!(&model.decode_images(&alone).unwrap()[0] == decoded, "a picture decoded alone differs");
            }
        }
    }

    #[test]
    fn where_memory_lacks_fewer_pictures_go_at_a_time() {
        let full = || candle_core::Error::Cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
        let items: Vec<usize> = (0..23).collect();
        for room in 1..=23 {
            let mut most = 0;
            let made = in_halves(&items, &mut |items| {
                if items.len() > room {
                    return Err(full().into());
                }
                most = most.max(items.len());
                Ok(items.to_vec())
            });
            assert_eq!(made.unwrap(), items, "each once and in order");
            assert!(2 * most >= room.min(12), "room for {room}, {most} at a time");
        }
        let alone = in_halves(&items, &mut |_| Err::<Vec<()>, _>(Error::from(full())));
        assert!(matches!(alone, Err(Error::OutOfMemory { .. })), "{alone:?}");
        let mut calls = 0;
        let other = in_halves(&items, &mut |_| {
            calls += 1;
            Err::<Vec<()>, _>(Error::Invalid("other".into()))
        });
        assert!(matches!(other, Err(Error::Invalid(_))) && calls == 1, "only memory is worth another try");
    }

    #[test]
    fn codes_that_do_not_fit_are_refused() {
        let [model, ..] = small_models();
        let mut codes = model.encode_images(&[noise(1, 5, 9)]).unwrap().remove(0);
        assert_eq!((codes.levels[0].width, codes.levels[0].height), (2, 3));
        codes.levels[0].codes[0] = 16;
        assert!(model.decode_images(&[codes.clone()]).unwrap_err().to_string().contains("below 16, found 16"));
        codes.levels[0].width = 3;
        assert!(model.decode_images(&[codes]).is_err());
    }
}
