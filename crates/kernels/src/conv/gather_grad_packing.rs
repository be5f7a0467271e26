//! How the two sides of a weight's gradient are laid out for the kernels of [`super::gather_grad`].

use super::gather_grad::{Band, Job};
use std::ops::Range;

/// Calls a function that is generic over a length with that length, of those that tiles have.
macro_rules! by_size {
    ($size:expr, $function:ident($($argument:expr),*)) => {
        match $size {
            4 => $function::<4>($($argument),*),
            6 => $function::<6>($($argument),*),
            8 => $function::<8>($($argument),*),
            11 => $function::<11>($($argument),*),
            12 => $function::<12>($($argument),*),
            13 => $function::<13>($($argument),*),
            14 => $function::<14>($($argument),*),
            16 => $function::<16>($($argument),*),
            24 => $function::<24>($($argument),*),
            32 => $function::<32>($($argument),*),
            48 => $function::<48>($($argument),*),
            size => unreachable!("no tile has {size} rows or columns"),
        }
    };
}

impl Job<'_> {
    /// Packs the pixels' channels into groups [group][pixel][row], padded with zeros.
    pub(super) fn pack_pixels(&self, band: &Band, to: &mut [f32]) {
        let dims = self.pixel_dims;
        let mut pixel = 0;
        for image in band.images.clone() {
            for y in band.rows.clone() {
                let from = (image * dims.height + y) * dims.line() + band.columns.start * dims.channels;
                let line = &self.pixels[from..from + band.columns.len() * dims.channels];
                let layout = (pixel, band.pixels());
                by_size!(self.tile.rows, pack_line(line, dims.channels, layout, to));
                pixel += band.columns.len();
            }
        }
    }

    /// Packs one block of the patches' channels: [image][line][column][channel], zero outside the image.
    pub(super) fn pack_block(&self, band: &Band, block: usize, to: &mut [f32]) {
        let cols = self.tile.cols;
        let dims = self.patch_dims;
        let [lines, width] = self.extent(band.rows.len(), band.columns.len());
        let first = block * cols;
        let channels = cols.min(dims.channels - first);
        let (top, left) = self.corner(band);
        let mut to = to.chunks_exact_mut(width * cols);
        for image in band.images.clone() {
            for y in (0..lines).map(|line| top + line as isize) {
                let Some(to) = to.next() else { return };
                if y < 0 || y >= dims.height as isize {
                    to.fill(0.0);
                    continue;
                }
                let line = &self.patches[image * dims.image() + y as usize * dims.line()..][..dims.line()];
                let (start, end) =
                    (left.clamp(0, dims.width as isize), (left + width as isize).clamp(0, dims.width as isize));
                let before = ((start - left) as usize).min(width) * cols;
                let inside = (end - start).max(0) as usize;
                let (zeros, rest) = to.split_at_mut(before);
                let (values, more_zeros) = rest.split_at_mut(inside * cols);
                zeros.fill(0.0);
                more_zeros.fill(0.0);
                let line = &line[start as usize * dims.channels..][..inside * dims.channels];
                by_size!(cols, take_block(line, dims.channels, first..first + channels, values));
            }
        }
    }

    /// Packs one block of the patches laid out in full: [pixel][tap, channel], zero outside the image.
    pub(super) fn pack_unrolled(&self, band: &Band, block: usize, to: &mut [f32]) {
        let cols = self.tile.cols;
        let (dims, window) = (self.patch_dims, self.window);
        let run = window.width * dims.channels;
        let first = block * cols;
        let last = (first + cols).min(window.height * run);
        to.fill(0.0);
        let (top, left) = self.corner(band);
        let mut to = to.chunks_exact_mut(cols);
        for image in band.images.clone() {
            let image = &self.patches[image * dims.image()..][..dims.image()];
            for y in 0..band.rows.len() {
                let y = top + (y * window.stride) as isize;
                for x in 0..band.columns.len() {
                    let Some(to) = to.next() else { return };
                    let x = left + (x * window.stride) as isize;
                    // Elements of a line that the window covers, and those of them inside the image.
                    let start = x * dims.channels as isize;
                    let clip = |at: isize| at.clamp(0, dims.line() as isize);
                    let inside = (clip(start) - start)..(clip(start + run as isize) - start);
                    for ky in first / run..last.div_ceil(run) {
                        let y = y + ky as isize;
                        if y < 0 || y >= dims.height as isize {
                            continue;
                        }
                        // This line's part of the block, in elements of its run.
                        let from = (first.saturating_sub(ky * run) as isize).max(inside.start);
                        let until = ((last - ky * run).min(run) as isize).min(inside.end);
                        if from < until {
                            let len = (until - from) as usize;
                            let source = (y * dims.line() as isize + start + from) as usize;
                            let target = ky * run + from as usize - first;
                            to[target..target + len].copy_from_slice(&image[source..source + len]);
                        }
                    }
                }
            }
        }
    }
}

/// Packs a line of pixels, the first of which is number `pixel` of `pixels`, into groups of `ROWS` channels.
fn pack_line<const ROWS: usize>(line: &[f32], channels: usize, (pixel, pixels): (usize, usize), to: &mut [f32]) {
    for (i, values) in line.chunks_exact(channels).enumerate() {
        let (whole, rest) = values.as_chunks::<ROWS>();
        for (group, values) in whole.iter().enumerate() {
            to[(group * pixels + pixel + i) * ROWS..][..ROWS].copy_from_slice(values);
        }
        if !rest.is_empty() {
            copy_padded(&mut to[(whole.len() * pixels + pixel + i) * ROWS..][..ROWS], rest);
        }
    }
}

/// Takes a range of at most `COLS` channels out of a line, padded with zeros.
fn take_block<const COLS: usize>(line: &[f32], channels: usize, block: Range<usize>, to: &mut [f32]) {
    let (to, _) = to.as_chunks_mut::<COLS>();
    for (to, values) in to.iter_mut().zip(line.chunks_exact(channels)) {
        match values[block.start..].first_chunk::<COLS>() {
            Some(values) if block.len() == COLS => *to = *values,
            _ => copy_padded(to, &values[block.clone()]),
        }
    }
}

/// Copies `from` to the beginning of `to` and zeros the rest.
fn copy_padded(to: &mut [f32], from: &[f32]) {
    let (values, rest) = to.split_at_mut(from.len());
    values.copy_from_slice(from);
    rest.fill(0.0);
}
