//! Pictures that could be read when a training started, and cannot be any more: others stand in for them.

use std::sync::Arc;

use ksom_datasets::sources::{Subset, Version};
use ksom_datasets::{DatasetError, ImageSource, RgbImage};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Which pictures of a source are passed over, and why.
pub(crate) struct StandIns {
    passed_over: Vec<(usize, String, String)>,
}

impl StandIns {
    /// Tries every picture. Those that `known` names count as unreadable, too: what was passed over once stays so, or a
    /// training that is resumed twice would not be the same.
    pub(crate) fn find(source: &Arc<dyn ImageSource>, known: &[usize]) -> Self {
        let passed_over = (0..source.len())
            .into_par_iter()
            .filter_map(|index| {
                let reason = match source.image(index) {
                    Err(error) => error.to_string(),
                    Ok(_) if known.contains(&index) => "it could not be read before".to_string(),
                    Ok(_) => return None,
                };
                Some((index, source.name(index), reason))
            })
            .collect();
        Self { passed_over }
    }

    /// Their places in the source.
    pub(crate) fn indices(&self) -> Vec<usize> {
        self.passed_over.iter().map(|(index, ..)| *index).collect()
    }

    /// Names and reasons, with what became of them.
    pub(crate) fn told(&self, outcome: &str) -> impl Iterator<Item = (String, String)> {
        self.passed_over.iter().map(move |(_, name, reason)| (name.clone(), format!("{reason}; {outcome}")))
    }

    /// The source with the next picture that can be read in the place of each.
    ///
    /// # Errors
    /// None can be read.
    pub(crate) fn stand_in(&self, source: &Arc<dyn ImageSource>) -> Result<Arc<dyn ImageSource>> {
        if self.passed_over.is_empty() {
            return Ok(source.clone());
        }
        let readable = self.readable(source)?;
        let shown = (0..source.len())
            .map(|index| match readable.binary_search(&index) {
                Ok(_) => index,
                // The next one, or the first after the last.
                Err(next) => readable[next % readable.len()],
            })
            .collect();
        Ok(Arc::new(WithStandIns { source: source.clone(), shown }))
    }

    /// The source without them.
    ///
    /// # Errors
    /// None is left.
    pub(crate) fn without(&self, source: &Arc<dyn ImageSource>) -> Result<Arc<dyn ImageSource>> {
        if self.passed_over.is_empty() {
            return Ok(source.clone());
        }
        Ok(Arc::new(Subset::new(source.clone(), self.readable(source)?)?))
    }

    /// The places of the others, in order.
    fn readable(&self, source: &Arc<dyn ImageSource>) -> Result<Vec<usize>> {
        let passed_over = self.indices();
        let readable: Vec<usize> =
            (0..source.len()).filter(|index| passed_over.binary_search(index).is_err()).collect();
        if readable.is_empty() {
            let first = self.passed_over.first().map_or("", |(_, _, reason)| reason);
            return Err(Error::Invalid(format!("none of {} pictures can be read: {first}", source.len())));
        }
        Ok(readable)
    }
}

/// A source that shows other pictures of its own in the place of some. Names stay.
struct WithStandIns {
    source: Arc<dyn ImageSource>,
    /// What is shown at each place.
    shown: Vec<usize>,
}

impl WithStandIns {
    /// Beyond the last place, what was asked for: the source refuses it.
    fn at(&self, index: usize) -> usize {
        self.shown.get(index).copied().unwrap_or(index)
    }
}

impl ImageSource for WithStandIns {
    fn len(&self) -> usize {
        self.shown.len()
    }

    fn image(&self, index: usize) -> std::result::Result<RgbImage, DatasetError> {
        self.source.image(self.at(index))
    }

    fn size(&self, index: usize) -> std::result::Result<(u32, u32), DatasetError> {
        self.source.size(self.at(index))
    }

    fn name(&self, index: usize) -> String {
        self.source.name(index)
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.source.label(self.at(index))
    }

    fn runs(&self) -> Vec<usize> {
        self.source.runs()
    }

    fn version(&self, index: usize) -> std::result::Result<Version, DatasetError> {
        self.source.version(self.at(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbered pictures of one pixel, of which some cannot be read.
    struct Numbers(Vec<bool>);

    impl ImageSource for Numbers {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn image(&self, index: usize) -> std::result::Result<RgbImage, DatasetError> {
            match self.0[index] {
                true => Ok(RgbImage::from_pixel(1, 1, image::Rgb([index as u8; 3]))),
                false => Err(DatasetError::Image { name: self.name(index), reason: "torn".into() }),
            }
        }
        fn name(&self, index: usize) -> String {
            format!("{index}.png")
        }
        fn label(&self, _: usize) -> Option<u32> {
            None
        }
        fn version(&self, index: usize) -> std::result::Result<Version, DatasetError> {
            Ok(Version { bytes: index as u64, modified: 0 })
        }
    }

    #[test]
    fn the_next_readable_picture_stands_in() {
        let source: Arc<dyn ImageSource> = Arc::new(Numbers(vec![true, false, false, true, false]));
        let found = StandIns::find(&source, &[]);
        assert_eq!(found.indices(), [1, 2, 4]);
        let shown = found.stand_in(&source).unwrap();
        let pixels: Vec<u8> = (0..5).map(|index| shown.image(index).unwrap().as_raw()[0]).collect();
        assert_eq!(pixels, [0, 3, 3, 3, 0]);
        assert_eq!((shown.len(), shown.name(1), shown.version(1).unwrap().bytes), (5, "1.png".to_string(), 3));
        assert_eq!(found.without(&source).unwrap().len(), 2);
        // What was passed over once stays so.
        assert_eq!(StandIns::find(&source, &[0]).indices(), [0, 1, 2, 4]);
        let none: Arc<dyn ImageSource> = Arc::new(Numbers(vec![false]));
        assert!(StandIns::find(&none, &[]).stand_in(&none).is_err());
    }
}
