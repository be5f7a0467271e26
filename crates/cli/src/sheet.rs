//! Bare pictures side by side; `ksom_vqvae::figures::Sheet` draws labelled ones.

use image::RgbImage;
use image::imageops::replace;

/// How many of a command's pictures are shown.
pub const ROWS: usize = 4;

/// Pixels between pictures, and their shade.
const GAP: u32 = 4;
const GAP_SHADE: u8 = 255;

/// Rows of pictures; each row is as high as its highest picture.
pub fn sheet(rows: &[Vec<RgbImage>]) -> RgbImage {
    let span = |sides: &mut dyn Iterator<Item = u32>| {
        let (count, sum) = sides.fold((0, 0), |(count, sum), side| (count + 1, sum + side));
        sum + GAP * u32::saturating_sub(count, 1)
    };
    let height_of = |row: &[RgbImage]| row.iter().map(RgbImage::height).max().unwrap_or(0);
    let width = rows.iter().map(|row| span(&mut row.iter().map(RgbImage::width))).max().unwrap_or(0);
    let height = span(&mut rows.iter().map(|row| height_of(row)));
    let mut sheet = RgbImage::from_pixel(width, height, image::Rgb([GAP_SHADE; 3]));
    let mut y = 0;
    for row in rows {
        let mut x = 0;
        for picture in row {
            replace(&mut sheet, picture, i64::from(x), i64::from(y));
            x += picture.width() + GAP;
        }
        y += height_of(row) + GAP;
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_beside_and_below_each_other() {
        let picture = |width, height, shade| RgbImage::from_pixel(width, height, image::Rgb([shade; 3]));
        let sheet = sheet(&[vec![picture(2, 3, 1), picture(5, 1, 2)], vec![picture(4, 2, 3)]]);
        assert_eq!(sheet.dimensions(), (2 + GAP + 5, 3 + GAP + 2));
        let shade = |x, y| sheet.get_pixel(x, y).0[0];
        assert_eq!((shade(1, 2), shade(2, 2), shade(2 + GAP, 0), shade(2 + GAP, 1)), (1, 255, 2, 255));
        assert_eq!((shade(3, 3 + GAP), shade(4, 3 + GAP)), (3, 255));
    }
}
