//! Where the codes of a grid lie on a flat picture.

use ksom_quantizers::Grid;

/// Numbers at a side of a picture, each with its pixel.
pub type Marks = Vec<(u32, String)>;

/// A grid laid out flat: the first axis to the right, the second downwards, slices along the third side by side, and
/// along the axes after it below each other. A grid of one axis is wrapped into lines.
#[derive(Clone, Debug)]
pub struct GridLayout {
    /// Cells of a slice to the right and downwards.
    slice: (usize, usize),
    /// Slices to the right and downwards.
    slices: (usize, usize),
    len: usize,
    /// Whether a line of codes is wrapped.
    wrapped: bool,
    /// Pixels of a cell's side, and between slices.
    cell: u32,
    gap: u32,
}

impl GridLayout {
    /// The layout of `grid` with square cells of `cell` pixels.
    pub fn new(grid: &Grid, cell: u32) -> Self {
        let len = grid.len();
        // Axes of a single cell change nothing but would make a line look like a plane.
        let axes: Vec<usize> = grid.shape().iter().copied().filter(|&axis| axis > 1).collect();
        let (slice, slices) = match axes[..] {
            [] => ((1, 1), (1, 1)),
            [length] => {
                let columns = (length as f64).sqrt().ceil() as usize;
                ((columns, length.div_ceil(columns)), (1, 1))
            }
            [x, y] => ((x, y), (1, 1)),
            [x, y, z, ref more @ ..] => ((x, y), (z, more.iter().product())),
        };
        Self { slice, slices, len, wrapped: axes.len() < 2, cell, gap: cell.div_ceil(2) }
    }

    /// Pixels of a cell's side.
    pub fn cell(&self) -> u32 {
        self.cell
    }

    /// Width and height of the picture in pixels; the largest number where they are larger than that.
    pub fn size(&self) -> (u32, u32) {
        let side = |cells: usize, slices: usize| {
            let pixels =
                (cells as u64 * slices as u64) * u64::from(self.cell) + (slices as u64 - 1) * u64::from(self.gap);
            u32::try_from(pixels).unwrap_or(u32::MAX)
        };
        (side(self.slice.0, self.slices.0), side(self.slice.1, self.slices.1))
    }

    /// Numbers for the upper and the left side, each with its pixel: of a grid of two axes the places along them, of
    /// one that is wrapped into lines the first code of each; none of others, whose slices stand side by side.
    pub fn marks(&self) -> (Marks, Marks) {
        /// Marks are at least so many pixels apart.
        const APART: (u32, u32) = (28, 16);
        if self.slices != (1, 1) {
            return (Vec::new(), Vec::new());
        }
        let marks = |cells: usize, apart: u32, number: &dyn Fn(usize) -> usize| -> Marks {
            let step = apart.div_ceil(self.cell).max(1) as usize;
            (0..cells).step_by(step).map(|at| (at as u32 * self.cell, number(at).to_string())).collect()
        };
        let line = self.slice.0;
        if self.wrapped {
            (Vec::new(), marks(self.slice.1, APART.1, &|at| at * line))
        } else {
            (marks(self.slice.0, APART.0, &|at| at), marks(self.slice.1, APART.1, &|at| at))
        }
    }

    /// The upper left corner of a code's cell in pixels; nothing if the grid has no such code.
    pub fn place(&self, code: usize) -> Option<(u32, u32)> {
        if code >= self.len {
            return None;
        }
        let per_slice = self.slice.0 * self.slice.1;
        let (within, slice) = if self.slices == (1, 1) { (code, 0) } else { (code % per_slice, code / per_slice) };
        let place = |cell: usize, slice: usize, length: usize| {
            (cell + slice * length) as u32 * self.cell + slice as u32 * self.gap
        };
        Some((
            place(within % self.slice.0, slice % self.slices.0, self.slice.0),
            place(within / self.slice.0, slice / self.slices.0, self.slice.1),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shape: &[usize]) -> GridLayout {
        GridLayout::new(&Grid::new(shape.to_vec()).unwrap(), 4)
    }

    #[test]
    fn planes_lie_as_they_are() {
        let plane = layout(&[3, 2]);
        assert_eq!(plane.size(), (12, 8));
        assert_eq!([0, 2, 3, 5].map(|code| plane.place(code).unwrap()), [(0, 0), (8, 0), (0, 4), (8, 4)]);
        assert_eq!(plane.place(6), None);
    }

    #[test]
    fn lines_are_wrapped() {
        let line = layout(&[7]);
        assert_eq!(line.size(), (12, 12));
        assert_eq!(line.place(6), Some((0, 8)));
        assert_eq!(layout(&[7, 1]).size(), (12, 12));
        assert_eq!(layout(&[1]).size(), (4, 4));
    }

    #[test]
    fn sides_are_numbered_where_they_mean_something() {
        let grid = |shape: &[usize]| GridLayout::new(&Grid::new(shape.to_vec()).unwrap(), 16).marks();
        let (across, down) = grid(&[4, 2]);
        assert_eq!(across, [(0, "0".to_string()), (32, "2".to_string())]);
        assert_eq!(down, [(0, "0".to_string()), (16, "1".to_string())]);
        assert_eq!(grid(&[7]), (vec![], vec![(0, "0".into()), (16, "3".into()), (32, "6".into())]));
        assert_eq!(grid(&[2, 2, 2]), (vec![], vec![]));
    }

    #[test]
    fn slices_lie_side_by_side_and_then_below() {
        let cube = layout(&[2, 3, 4]);
        assert_eq!(cube.size(), (2 * 4 * 4 + 3 * 2, 3 * 4));
        assert_eq!(cube.place(6), Some((10, 0)));
        let four = layout(&[2, 2, 2, 2]);
        assert_eq!(four.size(), (18, 18));
        assert_eq!((four.place(4), four.place(8), four.place(15)), (Some((10, 0)), Some((0, 10)), Some((14, 14))));
    }

    #[test]
    fn no_two_codes_share_a_place() {
        for shape in [&[5][..], &[4, 4], &[2, 3, 2], &[2, 2, 2, 3], &[1, 4, 1, 2]] {
            let layout = layout(shape);
            let mut places: Vec<_> = (0..layout.len).map(|code| layout.place(code).unwrap()).collect();
            let (width, height) = layout.size();
            assert!(places.iter().all(|(x, y)| x + 4 <= width && y + 4 <= height), "{shape:?}");
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), layout.len, "{shape:?}");
        }
    }
}
