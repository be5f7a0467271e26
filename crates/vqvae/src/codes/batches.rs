//! Which pictures go through the network together.

use crate::error::{Error, Result};

/// Pictures go through the network together up to this many pixels.
const PIXELS_PER_BATCH: usize = 1 << 18;

/// Runs of neighbors of one size, none longer than a batch holds.
pub(super) fn groups<T>(items: &[T], size: impl Fn(&T) -> (u32, u32) + Copy) -> impl Iterator<Item = &[T]> {
    items.chunk_by(move |a, b| size(a) == size(b)).flat_map(move |run| {
        let (width, height) = size(&run[0]);
        let pixels = (width as usize * height as usize).max(1);
        run.chunks((PIXELS_PER_BATCH / pixels).max(1))
    })
}

/// What `work` makes of all items at once, or of fewer at a time where a device has no memory for so many.
pub(super) fn in_halves<T, R>(items: &[T], work: &mut dyn FnMut(&[T]) -> Result<Vec<R>>) -> Result<Vec<R>> {
    match work(items) {
        Err(Error::OutOfMemory { .. }) if items.len() > 1 => {
            let (first, second) = items.split_at(items.len() / 2);
            let mut made = in_halves(first, work)?;
            made.extend(in_halves(second, work)?);
            Ok(made)
        }
        made => made,
    }
}
