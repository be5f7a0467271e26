//! Labelled pictures on one sheet.

use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};

use crate::error::Result;
use crate::figures::code_map::white;
use crate::figures::font::{LABEL, TITLE};

/// Pixels around the sheet and between pictures.
const MARGIN: u32 = 8;
/// Pixels between what stands above all columns and the first row.
const HEADER_GAP: u32 = 4;
/// A label may be this wide, in pixels, though its picture is narrower.
const LABEL_WIDTH: u32 = 176;
/// A title may be this wide, in pixels, though the pictures are not.
const TITLE_WIDTH: u32 = 420;

/// A sheet of pictures: a title, notes below it, and rows whose pictures stand in columns.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Stands above all; nothing where it is empty.
    pub title: String,
    /// Stand below it in smaller letters, broken into lines where they are long.
    pub notes: Vec<String>,
    /// What stands above each column.
    pub columns: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<SheetRow>,
}

/// A row of a sheet.
#[derive(Clone, Debug, Default)]
pub struct SheetRow {
    /// Stands above the row; nothing where it is empty.
    pub title: String,
    /// From left to right.
    pub cells: Vec<SheetCell>,
}

/// A picture and what stands below it.
#[derive(Clone, Debug)]
pub struct SheetCell {
    /// The picture, as large as it is shown.
    pub picture: RgbImage,
    /// Stands below it; nothing where no cell of the row has one.
    pub caption: String,
}

impl Sheet {
    /// Draws it.
    ///
    /// # Errors
    /// The sheet does not fit into memory.
    pub fn draw(&self) -> Result<RgbImage> {
        let columns = self.column_widths();
        let gaps = MARGIN * (columns.len() as u32).saturating_sub(1);
        let pictures = columns.iter().fold(gaps, |sum, width| sum.saturating_add(*width));
        let titles = self.rows.iter().map(|row| LABEL.width(&row.title));
        let titles = titles.chain([TITLE.width(&self.title)]).max().unwrap_or(0);
        let notes = self.notes.iter().map(|note| LABEL.width(note)).max().unwrap_or(0);
        let inner = pictures.max(titles.max(notes).min(TITLE_WIDTH));
        let head: Vec<String> = if self.title.is_empty() { Vec::new() } else { TITLE.wrap(&self.title, inner) };
        let notes: Vec<String> = self.notes.iter().flat_map(|note| LABEL.wrap(note, inner)).collect();
        let has_columns = self.columns.iter().any(|column| !column.is_empty());

        let mut height = 2 * MARGIN + head.len() as u32 * TITLE.height() + notes.len() as u32 * LABEL.height();
        height += if has_columns { LABEL.height() + HEADER_GAP } else { 0 };
        for (number, row) in self.rows.iter().enumerate() {
            let gap = if number > 0 { MARGIN } else { 0 };
            height = height.saturating_add(gap).saturating_add(row.height());
        }
        let mut sheet = white((inner.saturating_add(2 * MARGIN), height))?;

        let mut y = MARGIN;
        for line in &head {
            TITLE.write(&mut sheet, (MARGIN, y), line);
            y += TITLE.height();
        }
        for line in &notes {
            LABEL.write(&mut sheet, (MARGIN, y), line);
            y += LABEL.height();
        }
        let starts = || columns.iter().scan(MARGIN, |x, width| Some(std::mem::replace(x, *x + width + MARGIN)));
        if has_columns {
            for ((column, x), width) in self.columns.iter().zip(starts()).zip(&columns) {
                LABEL.write(&mut sheet, (x, y), &LABEL.cut(column, *width));
            }
            y += LABEL.height() + HEADER_GAP;
        }
        for (number, row) in self.rows.iter().enumerate() {
            y += if number > 0 { MARGIN } else { 0 };
            if !row.title.is_empty() {
                LABEL.write(&mut sheet, (MARGIN, y), &LABEL.cut(&row.title, inner));
                y += LABEL.height();
            }
            for ((cell, x), width) in row.cells.iter().zip(starts()).zip(&columns) {
                replace(&mut sheet, &cell.picture, x.into(), y.into());
                let below = y + row.picture_height();
                LABEL.write(&mut sheet, (x, below), &LABEL.cut(&cell.caption, *width));
            }
            y += row.height() - if row.title.is_empty() { 0 } else { LABEL.height() };
        }
        Ok(sheet)
    }

    /// How wide each column is: as its widest picture, or a label within bounds.
    fn column_widths(&self) -> Vec<u32> {
        let count = self.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = || self.rows.iter().filter_map(|row| row.cells.get(column));
            let captions = cells().map(|cell| LABEL.width(&cell.caption));
            let header = self.columns.get(column).map_or(0, |header| LABEL.width(header));
            let labels = captions.chain([header]).max().unwrap_or(0);
            cells().map(|cell| cell.picture.width()).max().unwrap_or(0).max(labels.min(LABEL_WIDTH))
        };
        (0..count).map(width).collect()
    }
}

impl SheetRow {
    fn picture_height(&self) -> u32 {
        self.cells.iter().map(|cell| cell.picture.height()).max().unwrap_or(0)
    }

    fn height(&self) -> u32 {
        let title = if self.title.is_empty() { 0 } else { LABEL.height() };
        let captions = if self.cells.iter().any(|cell| !cell.caption.is_empty()) { LABEL.height() } else { 0 };
        title + self.picture_height() + captions
    }
}

/// A flat picture with a title, notes, and numbers along its upper and left side.
#[derive(Clone, Debug, Default)]
pub struct Framed {
    /// Stands above it.
    pub title: String,
    /// Stand below the title.
    pub notes: Vec<String>,
    /// Numbers along the upper side, each with the pixel of the picture that it stands above.
    pub across: Vec<(u32, String)>,
    /// Numbers along the left side, each with the pixel of the picture that it stands beside.
    pub down: Vec<(u32, String)>,
}

impl Framed {
    /// Draws the picture with its frame; gives the place of its upper left corner, too.
    ///
    /// # Errors
    /// It does not fit into memory.
    pub fn draw(&self, picture: &RgbImage) -> Result<(RgbImage, (u32, u32))> {
        let left = self.down.iter().map(|(_, text)| LABEL.width(text) + 4).max().unwrap_or(0);
        let top = if self.across.is_empty() { 0 } else { LABEL.height() };
        let mut framed = white((picture.width().saturating_add(left), picture.height().saturating_add(top)))?;
        replace(&mut framed, picture, left.into(), top.into());
        for (x, text) in &self.across {
            LABEL.write(&mut framed, (left + x, 0), text);
        }
        for (y, text) in &self.down {
            LABEL.write(&mut framed, (left - LABEL.width(text) - 4, top + y), text);
        }
        let cell = SheetCell { picture: framed, caption: String::new() };
        let rows = vec![SheetRow { title: String::new(), cells: vec![cell] }];
        let sheet = Sheet { title: self.title.clone(), notes: self.notes.clone(), columns: Vec::new(), rows }.draw()?;
        // The picture is the last thing on the sheet.
        let corner = (MARGIN + left, sheet.height() - MARGIN - picture.height());
        Ok((sheet, corner))
    }
}

/// How much larger or smaller a picture is shown than it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale(f64);

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            scale if (scale - 1.0).abs() < 1e-9 => f.write_str("full size"),
            scale if scale > 1.0 => write!(f, "×{scale}"),
            scale => write!(f, "1:{}", format!("{:.2}", 1.0 / scale).trim_end_matches('0').trim_end_matches('.')),
        }
    }
}

/// A picture as large as it is shown, and at which scale that is: large ones are shrunk to `longest`, small ones
/// enlarged by a whole number.
pub fn fit(picture: &RgbImage, longest: u32) -> (RgbImage, Scale) {
    let (width, height) = picture.dimensions();
    let side = width.max(height).max(1);
    if side > longest {
        let shrunk = |of: u32| (u64::from(of) * u64::from(longest) / u64::from(side)).max(1) as u32;
        let scale = Scale(f64::from(longest) / f64::from(side));
        return (resize(picture, shrunk(width), shrunk(height), FilterType::CatmullRom), scale);
    }
    let factor = longest / side;
    (resize(picture, width * factor, height * factor, FilterType::Nearest), Scale(factor.into()))
}

/// A PSNR as it is written below a picture.
pub fn decibels(psnr: f64) -> String {
    if psnr.is_finite() { format!("{psnr:.2} dB") } else { "no error".to_string() }
}

/// A thin line around a picture, so that pale ones have an edge on white.
pub fn outlined(mut picture: RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    for (x, y) in (0..width).flat_map(|x| [(x, 0), (x, height.saturating_sub(1))]) {
        picture.put_pixel(x, y, Rgb([128; 3]));
    }
    for (x, y) in (0..height).flat_map(|y| [(0, y), (width.saturating_sub(1), y)]) {
        picture.put_pixel(x, y, Rgb([128; 3]));
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(width: u32, height: u32, shade: u8, caption: &str) -> SheetCell {
        SheetCell { picture: RgbImage::from_pixel(width, height, Rgb([shade; 3])), caption: caption.into() }
    }

    #[test]
    fn columns_line_up_over_rows_of_any_shape() {
        let rows = vec![
            SheetRow { title: "one".into(), cells: vec![cell(200, 30, 1, "a"), cell(50, 10, 2, "b")] },
            SheetRow { title: String::new(), cells: vec![cell(40, 20, 3, ""), cell(60, 20, 4, "")] },
        ];
        let columns = vec!["left".to_string(), "right".to_string()];
        let sheet = Sheet { title: "Title".into(), notes: vec!["a note".into()], columns, rows }.draw().unwrap();
        let first = MARGIN + TITLE.height() + 3 * LABEL.height() + HEADER_GAP;
        let second = first + 30 + LABEL.height() + MARGIN;
        assert_eq!(sheet.dimensions(), (MARGIN + 200 + MARGIN + 60 + MARGIN, second + 20 + MARGIN));
        let shade = |x, y| sheet.get_pixel(x, y).0[0];
        let right = MARGIN + 200 + MARGIN;
        assert_eq!((shade(MARGIN, first), shade(right, first)), (1, 2));
        assert_eq!((shade(MARGIN, second), shade(right, second)), (3, 4));
        // There is ink where the labels are.
        let ink = |from: u32, to: u32| (from..to).any(|y| (0..sheet.width()).any(|x| shade(x, y) < 100));
        assert!(ink(MARGIN, MARGIN + TITLE.height()) && ink(first + 30, second - MARGIN));
    }

    #[test]
    fn long_labels_are_bounded() {
        let long = "a model of a very long name that never seems to come to its end, however far it is read".repeat(3);
        let rows = vec![SheetRow { title: long.clone(), cells: vec![cell(20, 20, 1, &long)] }];
        let sheet = Sheet { title: long.clone(), notes: vec![long.clone()], columns: vec![long], rows }.draw().unwrap();
        assert_eq!(sheet.width(), TITLE_WIDTH + 2 * MARGIN);
    }

    #[test]
    fn frames_tell_where_the_picture_is() {
        let picture = RgbImage::from_pixel(30, 20, Rgb([7; 3]));
        let framed = Framed {
            title: "Map".into(),
            across: vec![(0, "0".into())],
            down: vec![(4, "12".into())],
            ..Framed::default()
        };
        let (sheet, (x, y)) = framed.draw(&picture).unwrap();
        let inside = |x: u32, y: u32| sheet.get_pixel(x, y).0 == [7; 3];
        assert!(inside(x, y) && inside(x + 29, y + 19) && !inside(x - 1, y) && !inside(x, y - 1));
    }

    #[test]
    fn pictures_are_shown_at_one_size_and_scales_are_told() {
        let told = |width, height| {
            let (picture, scale) = fit(&RgbImage::new(width, height), 128);
            (picture.dimensions(), scale.to_string())
        };
        assert_eq!(told(256, 64), ((128, 32), "1:2".into()));
        assert_eq!(told(32, 20), ((128, 80), "×4".into()));
        assert_eq!(told(100, 1), ((100, 1), "full size".into()));
        assert_eq!(told(1, 1000), ((1, 128), "1:7.81".into()));
        assert_eq!((decibels(24.128), decibels(f64::INFINITY)), ("24.13 dB".into(), "no error".into()));
    }
}
