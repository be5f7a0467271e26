//! Pictures and folders to test with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{Rgb, RgbImage};
use ksom_datasets::sources::Version;
use ksom_datasets::{DatasetError, ImageSource};

/// A picture that is unlike its mirror images and its transpose; `seed` tells pictures apart.
pub fn picture(seed: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(seed * 7 + x * 5) as u8, (seed * 3 + y * 11) as u8, (seed + x * y) as u8])
    })
}

/// Writes a picture to a file whose folders are made; the extension tells the format.
pub fn save(folder: &Path, name: &str, picture: &RgbImage) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(&path).unwrap();
    path
}

/// The file `name` beside the tests.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/datasets/data").join(name)
}

/// `len` pictures of 6 × 4 pixels, made when they are asked for; one of them may fail or panic.
pub struct Made {
    pub len: usize,
    pub fails: Option<usize>,
    pub panics: Option<usize>,
}

impl Made {
    pub fn good(len: usize) -> Arc<Self> {
        Arc::new(Self { len, fails: None, panics: None })
    }
}

impl ImageSource for Made {
    fn len(&self) -> usize {
        self.len
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        assert_ne!(Some(index), self.panics, "picture {index} panics");
        if Some(index) == self.fails {
            return Err(DatasetError::Image { name: self.name(index), reason: "made to fail".to_owned() });
        }
        // Later pictures are done first, so that batches finish out of order.
        std::thread::sleep(std::time::Duration::from_micros(200 * (index as u64 % 3)));
        Ok(picture(index as u32, 6, 4))
    }

    fn name(&self, index: usize) -> String {
        format!("made/{index}")
    }

    fn label(&self, index: usize) -> Option<u32> {
        Some(index as u32 % 2)
    }

    fn version(&self, _: usize) -> Result<Version, DatasetError> {
        Ok(Version { bytes: self.len as u64, modified: 1 })
    }
}

/// The pixels of every picture of a source.
pub fn all(source: &dyn ImageSource) -> Vec<RgbImage> {
    (0..source.len()).map(|index| source.image(index).unwrap()).collect()
}

/// The largest difference between two pictures of one size.
pub fn difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}
