//! What a TIFF file's samples mean as colors.

use crate::decode::tiff::sample::Sample;

/// How colors are made of samples.
pub(super) enum Colors {
    Gray,
    Rgb,
    Cmyk,
    Palette(Palette),
    YCbCr(YCbCr),
}

impl Colors {
    /// How many samples make a color.
    pub fn samples(&self) -> usize {
        match self {
            Self::Gray | Self::Palette(_) => 1,
            Self::Rgb | Self::YCbCr(_) => 3,
            Self::Cmyk => 4,
        }
    }

    /// The color of a pixel, 0 … 1, from its samples by their number.
    pub fn rgb(&self, sample: impl Fn(usize) -> Sample) -> [f32; 3] {
        match self {
            Self::Gray => [sample(0).fraction; 3],
            Self::Rgb => [0, 1, 2].map(|channel| sample(channel).fraction),
            Self::Cmyk => {
                let light = 1.0 - sample(3).fraction;
                [0, 1, 2].map(|ink| (1.0 - sample(ink).fraction) * light)
            }
            Self::Palette(palette) => palette.color(sample(0).number),
            Self::YCbCr(meant) => meant.rgb([0, 1, 2].map(|channel| sample(channel).fraction * 255.0)),
        }
    }
}

/// A color map.
pub(super) struct Palette(Vec<[f32; 3]>);

impl Palette {
    /// From all reds, all greens, all blues, of 16 bits (of 8 in some old files): as many as `bits` can count.
    pub fn new(map: &[u16], bits: u8) -> Option<Self> {
        let count = 1usize.checked_shl(bits.into())?;
        if map.len() != 3 * count {
            return None;
        }
        // The upper byte counts: writers make 16 bits of 8 by 256 or by 257.
        let shift = if map.iter().all(|value| *value < 256) { 0 } else { 8 };
        let color = |at: usize| [at, at + count, at + 2 * count].map(|at| f32::from(map[at] >> shift) / 255.0);
        Some(Self((0..count).map(color).collect()))
    }

    fn color(&self, index: usize) -> [f32; 3] {
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// How YCbCr is meant: the share of each color in the luminance, and the values of black and white.
pub(super) struct YCbCr {
    weights: [f32; 3],
    range: [f32; 6],
}

impl YCbCr {
    /// From the file's own numbers, else those that TIFF names as the usual ones.
    pub fn new(weights: Option<&[f64]>, range: Option<&[f64]>) -> Self {
        let usual = [0.299, 0.587, 0.114];
        let weights = weights.and_then(|given| <[f64; 3]>::try_from(given).ok()).filter(|given| given[1] > 0.0);
        let usual_range = [0.0, 255.0, 128.0, 255.0, 128.0, 255.0];
        let range = range.and_then(|given| <[f64; 6]>::try_from(given).ok());
        let range = range.filter(|given| given.as_chunks::<2>().0.iter().all(|[black, white]| white > black));
        Self {
            weights: weights.unwrap_or(usual).map(|weight| weight as f32),
            range: range.unwrap_or(usual_range).map(|value| value as f32),
        }
    }

    fn rgb(&self, [y, cb, cr]: [f32; 3]) -> [f32; 3] {
        let [y_black, y_white, b_black, b_white, r_black, r_white] = self.range;
        let y = (y - y_black) / (y_white - y_black);
        let cb = (cb - b_black) / (b_white - b_black) * 127.0 / 255.0;
        let cr = (cr - r_black) / (r_white - r_black) * 127.0 / 255.0;
        let [red_share, green_share, blue_share] = self.weights;
        let red = y + cr * (2.0 - 2.0 * red_share);
        let blue = y + cb * (2.0 - 2.0 * blue_share);
        let green = (y - blue_share * blue - red_share * red) / green_share;
        [red, green, blue]
    }
}
