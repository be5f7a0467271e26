//! How often each code is used, on the grid.

use std::sync::Arc;

use image::{Rgb, RgbImage};
use ksom_datasets::{ImageSource, Preprocess};
use ksom_quantizers::Grid;

use crate::error::{Error, Result};
use crate::evaluation::prepared::for_each_prepared;
use crate::figures::code_map::white;
use crate::figures::layout::GridLayout;
use crate::model::Model;

/// The shade of a code that is not used.
const UNUSED: Rgb<u8> = Rgb([190, 190, 190]);

/// From rare to frequent: pale yellow, orange, red, dark.
const SHADES: [[f64; 3]; 4] = [[255.0, 247.0, 188.0], [254.0, 153.0, 41.0], [190.0, 40.0, 20.0], [50.0, 0.0, 30.0]];

/// How often each code of each level is chosen for the pictures of `source`, `[level][code]`. `progress` is told the
/// pictures done.
///
/// # Errors
/// There is no picture, one cannot be read, or sizes do not fit.
pub fn count_codes(
    model: &Model,
    source: &Arc<dyn ImageSource>,
    preprocess: Preprocess,
    batch_size: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Vec<u64>>> {
    if source.is_empty() {
        return Err(Error::Invalid("there are no pictures to count codes of".into()));
    }
    let mut counts: Vec<Vec<u64>> =
        model.quantizers().into_iter().map(|quantizer| vec![0; quantizer.grid().len()]).collect();
    let mut count = |pictures: &[RgbImage]| {
        for codes in model.encode_images(pictures)? {
            for (counts, level) in counts.iter_mut().zip(codes.levels) {
                for code in level.codes {
                    counts[code as usize] += 1;
                }
            }
        }
        Ok(())
    };
    for_each_prepared(source.as_ref(), 0..source.len(), &preprocess, batch_size, &mut count, progress)?;
    Ok(counts)
}

/// Draws how often each code is used in its place on the grid ([`GridLayout`]), a square of `cell` pixels a code: the
/// darker, the more often, by the square root of its share of the most frequent code's; gray where it is never used.
///
/// # Errors
/// There is not one count per code, or the picture does not fit into memory.
pub fn usage_map(grid: &Grid, counts: &[u64], cell: u32) -> Result<RgbImage> {
    if counts.len() != grid.len() || cell == 0 {
        return Err(Error::Invalid(format!(
            "expected {} counts and cells of at least 1 pixel, found {} and {cell}",
            grid.len(),
            counts.len()
        )));
    }
    let layout = GridLayout::new(grid, cell);
    let mut map = white(layout.size())?;
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    for (code, &count) in counts.iter().enumerate() {
        let shade = if count == 0 { UNUSED } else { shade((count as f64 / most).sqrt()) };
        fill_cell(&mut map, &layout, code, shade);
    }
    Ok(map)
}

/// The shades of [`usage_map`], from a code that is hardly used to the most frequent one.
pub fn usage_scale(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| shade(f64::from(x) / f64::from(width.max(2) - 1)))
}

/// Paints a code's cell.
pub(super) fn fill_cell(map: &mut RgbImage, layout: &GridLayout, code: usize, shade: Rgb<u8>) {
    let Some((left, top)) = layout.place(code) else { return };
    for y in top..top + layout.cell() {
        for x in left..left + layout.cell() {
            map.put_pixel(x, y, shade);
        }
    }
}

/// The shade of a share from 0 to 1.
pub(super) fn shade(share: f64) -> Rgb<u8> {
    let place = share.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64;
    let below = (place as usize).min(SHADES.len() - 2);
    let mix = place - below as f64;
    let channel = |at: usize| (SHADES[below][at] * (1.0 - mix) + SHADES[below + 1][at] * mix).round() as u8;
    Rgb([channel(0), channel(1), channel(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_follow_the_counts() {
        let grid = Grid::new(vec![2, 2]).unwrap();
        let map = usage_map(&grid, &[0, 1, 4, 100], 3).unwrap();
        assert_eq!(map.dimensions(), (6, 6));
        let sum = |x, y| map.get_pixel(x, y).0.iter().map(|&value| u32::from(value)).sum::<u32>();
        assert_eq!(*map.get_pixel(1, 1), UNUSED);
        assert!(sum(4, 1) > sum(1, 4) && sum(1, 4) > sum(4, 4));
        assert!(usage_map(&grid, &[1, 2], 3).is_err());
        assert!(usage_map(&grid, &[0; 4], 1).unwrap().pixels().all(|&pixel| pixel == UNUSED));
    }
}
