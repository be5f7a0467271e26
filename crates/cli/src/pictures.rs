//! IMAGES → batches of decoded pictures, decoded on worker threads while the model computes.

use anyhow::{Result, bail};
use ksom_datasets::decode::{Decoded, image_size};
use ksom_datasets::files::PictureFile;
use ksom_datasets::{DecodeOptions, PictureFiles, ReadAhead, RgbImage};

use crate::arguments::PictureArgs;
use crate::console::Console;
use crate::left_out::tell_passed_over;
use crate::progress::Counter;

/// Finds the pictures that the arguments name.
pub fn find(args: &PictureArgs) -> Result<PictureFiles> {
    Ok(PictureFiles::find(&args.images)?)
}

/// The size of the first picture whose head can be read.
pub fn first_size(inputs: &PictureFiles) -> Option<(u32, u32)> {
    inputs.iter().find_map(|PictureFile { path, .. }| image_size(path).ok())
}

/// What became of all pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub read: usize,
    pub skipped: usize,
    /// Files beside them that are no pictures, and entries that cannot be opened.
    pub passed_over: usize,
}

/// Hands all pictures to `work`, in order and in batches: their numbers among `inputs`, and their pixels.
///
/// What was passed over when they were looked for is told first. A picture that cannot be read ends the work with an
/// error that names it, or is skipped with a warning; that none could be read is an error.
pub fn for_each_batch(
    inputs: PictureFiles,
    skip_unreadable: bool,
    console: &Console,
    mut work: impl FnMut(&[usize], &[RgbImage]) -> Result<()>,
) -> Result<Count> {
    tell_passed_over(inputs.passed_over(), console);
    let total = inputs.len();
    let counter = Counter::new(console, total, "pictures");
    let mut count = Count { passed_over: inputs.passed_over().len(), ..Count::default() };
    for batch in ReadAhead::new(&inputs, &DecodeOptions::default()) {
        let (mut numbers, mut pictures) = (Vec::new(), Vec::new());
        for read in batch {
            match read.outcome {
                Ok(Decoded { pixels, remark }) => {
                    if let Some(remark) = remark {
                        console.warn(&format!("{}: {remark}", read.name), counter.bar());
                    }
                    numbers.push(read.number);
                    pictures.push(pixels);
                }
                Err(error) if skip_unreadable => {
                    count.skipped += 1;
                    console.warn(&format!("skipped: {error:#}"), counter.bar());
                }
                Err(error) => {
                    bail!("{error:#}; pass --skip-unreadable to leave out pictures that cannot be read");
                }
            }
        }
        count.read += pictures.len();
        if !pictures.is_empty() {
            work(&numbers, &pictures)?;
        }
        counter.set(count.read + count.skipped);
    }
    if count.read == 0 {
        bail!("none of the {total} pictures could be read");
    }
    if count.skipped > 0 {
        console.warn(&format!("{} of {total} pictures were skipped because they cannot be read", count.skipped), None);
    }
    Ok(count)
}
