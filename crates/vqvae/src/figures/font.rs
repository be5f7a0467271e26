//! Text on pictures: DejaVu Sans at two sizes, kept as a picture of its letters (`scripts/make_font.py` draws them;
//! `font/LICENSE-DejaVu.txt` is their license).

use std::collections::HashMap;
use std::sync::LazyLock;

use image::{GrayImage, ImageFormat, Rgb, RgbImage};

/// For labels.
pub(super) static LABEL: LazyLock<Font> =
    LazyLock::new(|| Font::read(include_bytes!("font/sans-13.png"), include_str!("font/sans-13.txt")));
/// For titles.
pub(super) static TITLE: LazyLock<Font> =
    LazyLock::new(|| Font::read(include_bytes!("font/sans-18.png"), include_str!("font/sans-18.txt")));

/// Stands for letters that the font does not have.
const UNKNOWN: char = '\u{fffd}';
/// Pixels that each letter's cell has beyond its advance, on either side.
const BLEED: u32 = 1;

/// Ink.
pub(super) const BLACK: Rgb<u8> = Rgb([0; 3]);

/// A font of one size.
pub(super) struct Font {
    letters: GrayImage,
    /// Where each letter's cell begins, and its advance.
    places: HashMap<char, (u32, u32)>,
}

impl Font {
    fn read(png: &[u8], advances: &str) -> Self {
        // Part of the program, and read by a test.
        let letters = image::load_from_memory_with_format(png, ImageFormat::Png).expect("the font is a PNG");
        let (mut places, mut x) = (HashMap::new(), 0);
        for line in advances.lines() {
            let (letter, advance) = line.split_once(' ').expect("a letter and its advance");
            let letter = u32::from_str_radix(letter, 16).ok().and_then(char::from_u32).expect("a letter");
            let advance = advance.parse().expect("a number of pixels");
            places.insert(letter, (x, advance));
            x += advance + 2 * BLEED;
        }
        Self { letters: letters.into_luma8(), places }
    }

    /// Pixels from a line to the next.
    pub(super) fn height(&self) -> u32 {
        self.letters.height()
    }

    fn place(&self, letter: char) -> (u32, u32) {
        self.places.get(&letter).or_else(|| self.places.get(&UNKNOWN)).copied().unwrap_or_default()
    }

    /// Pixels that a text takes to the right.
    pub(super) fn width(&self, text: &str) -> u32 {
        text.chars().map(|letter| self.place(letter).1).sum()
    }

    /// Tells every pixel with ink, from the text's upper left corner, and how much ink it has (0..1).
    pub(super) fn for_each_pixel(&self, text: &str, mut pixel: impl FnMut(i32, i32, f64)) {
        let mut pen = 0;
        for letter in text.chars() {
            let (from, advance) = self.place(letter);
            for y in 0..self.height() {
                for x in 0..advance + 2 * BLEED {
                    let ink = self.letters.get_pixel(from + x, y).0[0];
                    if ink > 0 {
                        pixel(pen + x as i32 - BLEED as i32, y as i32, f64::from(ink) / 255.0);
                    }
                }
            }
            pen += advance as i32;
        }
    }

    /// Writes a text with its upper left corner at `(x, y)`; what lies outside of the picture is left out.
    pub(super) fn write(&self, picture: &mut RgbImage, (x, y): (u32, u32), text: &str) {
        self.for_each_pixel(text, |dx, dy, ink| {
            blend(picture, (x as i32 + dx, y as i32 + dy), BLACK, ink);
        });
    }

    /// The text, cut to `width` pixels with an ellipsis where it is longer.
    pub(super) fn cut(&self, text: &str, width: u32) -> String {
        if self.width(text) <= width {
            return text.to_string();
        }
        let mut kept = String::new();
        for letter in text.chars() {
            let longer = format!("{kept}{letter}");
            if self.width(&longer) + self.width("…") > width {
                break;
            }
            kept = longer;
        }
        kept + "…"
    }

    /// The text in lines of at most `width` pixels, broken between words; a longer word is cut.
    pub(super) fn wrap(&self, text: &str, width: u32) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if self.width(line) + self.width(" ") + self.width(word) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_string()),
            }
        }
        lines.iter().map(|line| self.cut(line, width)).collect()
    }
}

/// Mixes so much of a color into a pixel, if the picture has it.
pub(super) fn blend(picture: &mut RgbImage, (x, y): (i32, i32), color: Rgb<u8>, share: f64) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
        for (value, ink) in pixel.0.iter_mut().zip(color.0) {
            *value = (f64::from(*value) * (1.0 - share) + f64::from(ink) * share).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_ink_and_unknown_ones_a_sign() {
        for font in [&*LABEL, &*TITLE] {
            let ink = |text: &str| {
                let mut picture = RgbImage::from_pixel(200, 40, Rgb([255; 3]));
                font.write(&mut picture, (4, 4), text);
                picture.pixels().filter(|pixel| pixel.0[0] < 128).count()
            };
            assert_eq!(ink(" "), 0);
            for letter in "aZ09%×−±…äτ₀".chars() {
                assert!(ink(&letter.to_string()) > 0, "{letter}");
            }
            assert_eq!(ink("漢"), ink("\u{fffd}"));
            assert!(font.width("ww") == 2 * font.width("w") && font.height() > 10);
        }
    }

    #[test]
    fn long_texts_are_cut_or_broken() {
        let (short, long) = ("a name", "a name that goes on and on");
        let width = LABEL.width(short) + 5;
        assert_eq!(LABEL.cut(short, width), short);
        let cut = LABEL.cut(long, width);
        assert!(cut.ends_with('…') && LABEL.width(&cut) <= width, "{cut}");
        let lines = LABEL.wrap(long, width);
        assert!(lines.len() > 2 && lines.iter().all(|line| LABEL.width(line) <= width), "{lines:?}");
        assert_eq!(lines.join(" "), long);
    }

    #[test]
    fn nothing_is_written_beyond_the_edge() {
        let mut picture = RgbImage::new(5, 5);
        LABEL.write(&mut picture, (3, 3), "wide text");
        blend(&mut picture, (-1, 2), BLACK, 1.0);
    }
}
