//! Charts as pixels: what plotters needs to draw on a picture, with our own font.

use std::convert::Infallible;

use image::{Rgb, RgbImage};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

use crate::figures::font::{Font, LABEL, TITLE, blend};

/// From this size on, text is set as a title.
const TITLE_SIZE: f64 = 16.0;

/// A picture that is drawn on.
pub(super) struct Raster<'a>(pub(super) &'a mut RgbImage);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

fn font(size: f64) -> &'static Font {
    if size >= TITLE_SIZE { &TITLE } else { &LABEL }
}

impl Raster<'_> {
    fn blend(&mut self, point: BackendCoord, color: BackendColor, share: f64) {
        let (red, green, blue) = color.rgb;
        blend(self.0, point, Rgb([red, green, blue]), share * color.alpha);
    }
}

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.blend(point, color, 1.0);
        Ok(())
    }

    /// With soft edges: a pixel's share of ink falls off over the last pixel of the distance to the line.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        let (Some(left), Some(right)) = (points.iter().map(|p| p.0).min(), points.iter().map(|p| p.0).max()) else {
            return Ok(());
        };
        let (top, bottom) =
            (points.iter().map(|p| p.1).min().unwrap_or(0), points.iter().map(|p| p.1).max().unwrap_or(0));
        let half = f64::from(style.stroke_width()) / 2.0;
        let room = half.ceil() as i32 + 1;
        let (left, top) = ((left - room).max(0), (top - room).max(0));
        let (width, height) = self.get_size();
        let (right, bottom) = ((right + room).min(width as i32 - 1), (bottom + room).min(height as i32 - 1));
        if right < left || bottom < top {
            return Ok(());
        }
        // The most ink that any part of the line leaves: parts that meet do not darken each other.
        let columns = (right - left + 1) as usize;
        let mut ink = vec![0f64; columns * (bottom - top + 1) as usize];
        for part in points.windows(2) {
            let [from, to] = [part[0], part[1]];
            for y in (from.1.min(to.1) - room).max(top)..=(from.1.max(to.1) + room).min(bottom) {
                for x in (from.0.min(to.0) - room).max(left)..=(from.0.max(to.0) + room).min(right) {
                    let share = (half + 0.5 - distance((x, y), from, to)).clamp(0.0, 1.0);
                    let at = &mut ink[(y - top) as usize * columns + (x - left) as usize];
                    *at = at.max(share);
                }
            }
        }
        for (number, share) in ink.into_iter().enumerate().filter(|(_, share)| *share > 0.0) {
            let (x, y) = (left + (number % columns) as i32, top + (number / columns) as i32);
            self.blend((x, y), style.color(), share);
        }
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, position: BackendCoord) -> Drawn {
        let font = font(style.size());
        let (width, height) = (font.width(text) as i32, font.height() as i32);
        let anchor = style.anchor();
        let dx = match anchor.h_pos {
            HPos::Left => 0,
            HPos::Center => -width / 2,
            HPos::Right => -width,
        };
        let dy = match anchor.v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        let (color, transform) = (style.color(), style.transform());
        font.for_each_pixel(text, |x, y, ink| {
            let (x, y) = transform.transform(x + dx, y + dy);
            self.blend((position.0 + x, position.1 + y), color, ink);
        });
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let font = font(style.size());
        Ok((font.width(text), font.height()))
    }
}

/// From a point to a part of a line.
fn distance(point: BackendCoord, from: BackendCoord, to: BackendCoord) -> f64 {
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let (px, py) = (f64::from(point.0 - from.0), f64::from(point.1 - from.1));
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (px - along * dx).hypot(py - along * dy)
}
