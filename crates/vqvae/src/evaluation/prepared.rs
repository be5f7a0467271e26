//! The pictures of a source, some at a time, as they are measured.

use std::ops::Range;

use image::RgbImage;
use ksom_datasets::{ImageSource, Preprocess};
use rayon::prelude::*;

use crate::error::Result;
use crate::system::memory;

/// Where pictures keep their own size, which may be large, at most so many are decoded at a time.
const DECODED_TOGETHER: usize = 16;

/// Hands the pictures of `source` in `range` to `work`, in order, prepared without chance and at most `batch_size` at a time;
/// `progress` is told how many are done.
///
/// # Errors
/// A picture cannot be read, or does not fit into memory; what `work` says.
pub(crate) fn for_each_prepared(
    source: &dyn ImageSource,
    range: Range<usize>,
    preprocess: &Preprocess,
    batch_size: usize,
    work: &mut dyn FnMut(&[RgbImage]) -> Result<()>,
    progress: &mut dyn FnMut(usize),
) -> Result<()> {
    preprocess.check()?;
    let together = match preprocess.size() {
        Some(size) => {
            memory::require_for_pictures(batch_size.min(range.len()), size)?;
            batch_size
        }
        None => batch_size.min(DECODED_TOGETHER),
    };
    let mut done = range.start;
    while done < range.end {
        let next = range.end.min(done + together.max(1));
        let pictures: Vec<Result<RgbImage>> = (done..next)
            .into_par_iter()
            .map(|index| Ok(preprocess.apply(source.image(index)?, &source.name(index), None)?))
            .collect();
        work(&pictures.into_iter().collect::<Result<Vec<_>>>()?)?;
        done = next;
        progress(done - range.start);
    }
    Ok(())
}
