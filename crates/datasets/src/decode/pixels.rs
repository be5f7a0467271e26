//! Pixels of any kind → 8-bit RGB.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage, RgbaImage};

/// 8-bit RGB of the same size; what is transparent is composed over `background`.
pub fn to_rgb(picture: DynamicImage, background: [u8; 3]) -> RgbImage {
    if picture.color().has_alpha() { over(&picture.to_rgba8(), background) } else { picture.into_rgb8() }
}

/// A picture over a background: `alpha · color + (1 − alpha) · background`, rounded to the nearest of 256 values.
pub fn over(rgba: &RgbaImage, background: [u8; 3]) -> RgbImage {
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

/// Width and height after a picture of that orientation is turned upright.
pub(super) fn turned((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    match orientation {
        Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH => (height, width),
        _ => (width, height),
    }
}
