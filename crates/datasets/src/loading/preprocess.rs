//! Resize, crop and flip.

use image::RgbImage;
use image::imageops;
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::error::DatasetError;
use crate::loading::random::{Purpose, below, generator};
use crate::loading::resize::{Filter, resize};

/// The largest width or height that can be asked for.
const MAX_SIDE: u32 = 65_535;

/// What is done to a picture before it is normalized: resize, then crop, then flip. By default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocess {
    /// The size pictures are brought to.
    pub resize: Option<Resize>,
    /// The part that is kept.
    pub crop: Crop,
    /// Whether each picture is mirrored left to right with probability ½ (in training only).
    pub flip: bool,
}

/// The size pictures are brought to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What happens to pictures of another shape.
    #[serde(default)]
    pub mode: ResizeMode,
    /// How pixels are interpolated.
    #[serde(default)]
    pub filter: Filter,
}

/// What a resize does to pictures of another shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// Exactly the given size; the aspect is ignored.
    #[default]
    Squash,
    /// The aspect is kept and the picture covers the given size: for a square one, its shorter side fits exactly.
    /// A crop should follow. A side grows to 65,535 pixels at most.
    ShorterSide,
    /// As [`Self::ShorterSide`] for pictures that do not cover the given size; all others stay as they are.
    Enlarge,
}

/// The part of a picture that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Crop {
    /// All of it.
    #[default]
    None,
    /// The middle.
    Center {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Anywhere, each place equally likely; outside of training the middle.
    Random {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

impl Preprocess {
    /// Squashes every picture to `width` × `height`, ignoring its aspect.
    pub fn squash(width: u32, height: u32) -> Self {
        Self {
            resize: Some(Resize { width, height, mode: ResizeMode::Squash, filter: Filter::default() }),
            ..Self::default()
        }
    }

    /// The part that does the same to a picture every time; what a cache holds.
    pub fn fixed(&self) -> Self {
        Self {
            resize: self.resize,
            crop: match self.crop {
                Crop::Random { .. } => Crop::None,
                crop => crop,
            },
            flip: false,
        }
    }

    /// What is left to do after [`Self::fixed`].
    pub fn remaining(&self) -> Self {
        Self {
            resize: None,
            crop: match self.crop {
                Crop::Center { .. } => Crop::None,
                crop => crop,
            },
            flip: self.flip,
        }
    }

    /// The width and height of every picture that comes out, where that does not depend on the picture.
    pub fn size(&self) -> Option<(u32, u32)> {
        match (self.crop, self.resize) {
            (Crop::Center { width, height } | Crop::Random { width, height }, _) => Some((width, height)),
            (Crop::None, Some(resize)) if resize.mode == ResizeMode::Squash => Some((resize.width, resize.height)),
            _ => None,
        }
    }

    /// Whether the sizes make sense.
    ///
    /// # Errors
    /// When a side is 0 or above 65,535, or the crop is larger than the resize.
    pub fn check(&self) -> Result<(), DatasetError> {
        let refuse = |option, (width, height), reason: &str| DatasetError::Option {
            option,
            value: format!("{width}x{height}"),
            reason: reason.to_owned(),
        };
        let resize = self.resize.map(|resize| (resize.width, resize.height));
        let crop = match self.crop {
            Crop::None => None,
            Crop::Center { width, height } | Crop::Random { width, height } => Some((width, height)),
        };
        for (option, size) in [("resize", resize), ("crop", crop)] {
            if let Some((width, height)) = size
                && ![width, height].iter().all(|side| (1..=MAX_SIDE).contains(side))
            {
                let reason = "each side must be between 1 and 65535 pixels";
                return Err(refuse(option, (width, height), reason));
            }
        }
        if let (Some(resize), Some(crop)) = (resize, crop)
            && (crop.0 > resize.0 || crop.1 > resize.1)
        {
            let reason = format!("it is larger than the resize ({}x{})", resize.0, resize.1);
            return Err(refuse("crop", crop, &reason));
        }
        Ok(())
    }

    /// Applies it to a picture that errors call `name`.
    ///
    /// `sample` is the seed and the picture's position in the stream of training; what is random is a function of
    /// these. Without it nothing is random: random crops are taken from the middle and nothing is mirrored.
    ///
    /// # Errors
    /// When the picture is smaller than the crop.
    pub fn apply(&self, image: RgbImage, name: &str, sample: Option<(u64, u64)>) -> Result<RgbImage, DatasetError> {
        let mut image = match self.resize {
            Some(resize) => resize.apply(image),
            None => image,
        };
        let mut rng = sample.map(|(seed, position)| generator(seed, Purpose::Augmentation, position));
        let size = image.dimensions();
        if let Crop::Center { width, height } | Crop::Random { width, height } = self.crop {
            if width > size.0 || height > size.1 {
                return Err(DatasetError::Crop { name: name.to_owned(), size, crop: (width, height) });
            }
            let (free_x, free_y) = (size.0 - width, size.1 - height);
            let (x, y) = match (self.crop, &mut rng) {
                // Below 2^32, so they fit.
                (Crop::Random { .. }, Some(rng)) => {
                    (below(rng, u64::from(free_x) + 1) as u32, below(rng, u64::from(free_y) + 1) as u32)
                }
                _ => (free_x / 2, free_y / 2),
            };
            if (width, height) != size {
                image = imageops::crop_imm(&image, x, y, width, height).to_image();
            }
        }
        if let Some(rng) = &mut rng
            && self.flip
            && rng.next_u32() & 1 == 1
        {
            imageops::flip_horizontal_in_place(&mut image);
        }
        Ok(image)
    }
}

impl Resize {
    fn apply(&self, image: RgbImage) -> RgbImage {
        let (old_width, old_height) = image.dimensions();
        let (width, height) = match self.mode {
            ResizeMode::Squash => (self.width, self.height),
            ResizeMode::Enlarge if old_width >= self.width && old_height >= self.height => (old_width, old_height),
            ResizeMode::ShorterSide | ResizeMode::Enlarge => {
                let scale = |side: u32, of: u32| f64::from(side) / f64::from(of.max(1));
                let by = scale(self.width, old_width).max(scale(self.height, old_height));
                let side =
                    |old: u32, least: u32| ((f64::from(old) * by).round() as u32).clamp(least, MAX_SIDE.max(least));
                (side(old_width, self.width), side(old_height, self.height))
            }
        };
        if (old_width, old_height) == (width, height) {
            return image;
        }
        resize(&image, width, height, self.filter)
    }
}
