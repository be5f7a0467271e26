//! IMAGES → batches of decoded pictures, decoded on worker threads while the model computes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, Result, bail};
use ksom_datasets::{DecodeOptions, RgbImage, decode_image, find_images, image_size};

use crate::arguments::PictureArgs;
use crate::console::Console;
use crate::progress::Counter;

/// A batch ends once it holds this many pixels, or this many pictures.
const PIXELS_PER_BATCH: usize = 1 << 20;
const PICTURES_PER_BATCH: usize = 1024;
/// At most so many threads decode: each holds a picture.
const MAX_WORKERS: usize = 4;

/// A picture to read.
#[derive(Clone, Debug)]
pub struct Input {
    pub path: PathBuf,
    /// Its name below what was asked for, with `/` between its parts.
    pub name: String,
}

/// Finds the pictures that the arguments name.
pub fn find(args: &PictureArgs) -> Result<Vec<Input>> {
    let paths = find_images(&args.images)?;
    let bases: Vec<PathBuf> = args.images.iter().map(|image| base(image)).collect();
    Ok(paths.into_iter().map(|path| Input { name: name_below(&path, &bases), path }).collect())
}

/// The size of the first picture whose head can be read.
pub fn first_size(inputs: &[Input]) -> Option<(u32, u32)> {
    inputs.iter().find_map(|input| image_size(&input.path).ok())
}

/// The folder that names are told from: a folder itself, a file's folder, what stands before a pattern's first wildcard.
fn base(image: &str) -> PathBuf {
    let path = Path::new(image);
    if path.is_dir() {
        return path.to_path_buf();
    }
    let is_plain = |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    if path.exists() || path.components().all(|part| is_plain(&part)) {
        return path.parent().map(Path::to_path_buf).unwrap_or_default();
    }
    path.components().take_while(is_plain).collect()
}

fn name_below(path: &Path, bases: &[PathBuf]) -> String {
    let below =
        bases.iter().filter_map(|base| path.strip_prefix(base).ok()).min_by_key(|rest| rest.components().count());
    let below = below.filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// What became of all pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub read: usize,
    pub skipped: usize,
}

/// Hands all pictures to `work`, in order and in batches: their numbers among `inputs`, and their pixels.
///
/// Memory is bounded by a few batches, whatever the number of pictures. A picture that cannot be read ends the work
/// with an error that names it, or is skipped with a warning; that none could be read is an error.
pub fn for_each_batch(
    inputs: Vec<Input>,
    skip_unreadable: bool,
    console: &Console,
    mut work: impl FnMut(&[usize], &[RgbImage]) -> Result<()>,
) -> Result<Count> {
    let counter = Counter::new(console, inputs.len(), "pictures");
    let mut count = Count::default();
    let total = inputs.len();
    for batch in stream(inputs)? {
        let (mut numbers, mut pictures) = (Vec::new(), Vec::new());
        for Decoded { number, picture } in batch {
            match picture {
                Ok(picture) => {
                    numbers.push(number);
                    pictures.push(picture);
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
    if count.read + count.skipped != total {
        bail!(
            "decoding stopped after {} of {total} pictures: this is a bug, please report it",
            count.read + count.skipped
        );
    }
    if count.read == 0 {
        bail!("none of the {total} pictures could be read");
    }
    if count.skipped > 0 {
        console.warn(&format!("{} of {total} pictures were skipped because they cannot be read", count.skipped), None);
    }
    Ok(count)
}

struct Decoded {
    number: usize,
    picture: Result<RgbImage>,
}

/// Starts to decode; batches come in order. Worker k takes every n-th picture and waits until it is taken over, so at
/// most one picture a worker, one batch being collected and one being used are in memory.
fn stream(inputs: Vec<Input>) -> Result<Receiver<Vec<Decoded>>> {
    let inputs = Arc::new(inputs);
    let workers =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS)).min(inputs.len());
    let mut pictures = Vec::new();
    for worker in 0..workers {
        let (send, receive) = sync_channel(0);
        let inputs = inputs.clone();
        spawn(move || decode_every(&inputs, worker, workers, &send))?;
        pictures.push(receive);
    }
    let (send, batches) = sync_channel(0);
    spawn(move || collect(&pictures, inputs.len(), &send))?;
    Ok(batches)
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name("ksom-decode".to_string())
        .spawn(work)
        .context("cannot start a thread to decode pictures")?;
    Ok(())
}

/// Decodes pictures `first`, `first + step`, … until nobody wants them.
fn decode_every(inputs: &[Input], first: usize, step: usize, send: &SyncSender<Result<RgbImage>>) {
    for input in inputs.iter().skip(first).step_by(step) {
        let picture = decode_image(&input.path, &DecodeOptions::default());
        if send.send(picture.map_err(anyhow::Error::from)).is_err() {
            return;
        }
    }
}

/// Takes the workers' pictures in turn and hands them on in batches, until nobody wants them.
fn collect(pictures: &[Receiver<Result<RgbImage>>], total: usize, send: &SyncSender<Vec<Decoded>>) {
    let (mut batch, mut pixels) = (Vec::new(), 0);
    for number in 0..total {
        let Ok(picture) = pictures[number % pictures.len()].recv() else { return };
        pixels += picture.as_ref().map_or(0, |picture| picture.width() as usize * picture.height() as usize);
        batch.push(Decoded { number, picture });
        let full = pixels >= PIXELS_PER_BATCH || batch.len() == PICTURES_PER_BATCH || number + 1 == total;
        if full {
            if send.send(std::mem::take(&mut batch)).is_err() {
                return;
            }
            pixels = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, shade: u8) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(3, 2, image::Rgb([shade; 3])).save(&path).unwrap();
        path
    }

    #[test]
    fn names_are_told_from_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "a/b/one.png", 0);
        write(root, "a/two.png", 0);
        let at = |image: &str| {
            let images = vec![root.join(image).to_str().unwrap().to_string()];
            let inputs = find(&PictureArgs { images, skip_unreadable: false }).unwrap();
            inputs.into_iter().map(|input| input.name).collect::<Vec<_>>()
        };
        assert_eq!(at("a"), ["b/one.png", "two.png"]);
        assert_eq!(at("a/two.png"), ["two.png"]);
        assert_eq!(at("a/*/*.png"), ["b/one.png"]);
        assert_eq!(at("a/**/*.png"), ["b/one.png", "two.png"]);
    }

    #[test]
    fn batches_are_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs: Vec<Input> = (0..40)
            .map(|i| Input { path: write(folder.path(), &format!("{i:02}.png"), i), name: String::new() })
            .collect();
        std::fs::write(&inputs[7].path, "no picture").unwrap();
        let console = Console { quiet: true, terminal: false };
        let mut seen = Vec::new();
        let mut work = |numbers: &[usize], pictures: &[RgbImage]| {
            for (number, picture) in numbers.iter().zip(pictures) {
                assert_eq!(*number, picture.as_raw()[0] as usize);
                seen.push(*number);
            }
            Ok(())
        };
        let count = for_each_batch(inputs.clone(), true, &console, &mut work).unwrap();
        assert_eq!((count.read, count.skipped), (39, 1));
        assert_eq!(seen, (0..40).filter(|&i| i != 7).collect::<Vec<_>>());
        let error = for_each_batch(inputs.split_off(7), false, &console, |_, _| Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("07.png"), "{error:#}");
    }
}
