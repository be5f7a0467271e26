//! The pictures of a data set or mixture.

use std::path::Path;
use std::sync::Arc;

use crate::error::DatasetError;
use crate::files::passed_over::PassedOver;
use crate::loading::preprocess::Preprocess;
use crate::sources::cache::CachedSource;
use crate::sources::remarks::Remarks;
use crate::sources::source::ImageSource;

/// A source and what it is called.
pub type NamedSource = (String, Arc<dyn ImageSource>);

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The pictures that are trained on.
    Train,
    /// The pictures that a run is validated on.
    Valid,
    /// The pictures that are kept for the end.
    Test,
}

/// The pictures of a data set or mixture.
pub struct DataSet {
    /// What it is, for people: the kinds, the paths and how many pictures there are.
    pub description: String,
    /// The pictures to train on; of a mixture, those of all its members.
    pub train: Arc<dyn ImageSource>,
    /// The pictures to validate on, for each member by itself. Empty where there are too few to split.
    pub valid: Vec<NamedSource>,
    /// The pictures to test on, for each member that has some.
    pub test: Vec<NamedSource>,
    /// The pictures that were left out: their names and why they could not be decoded.
    pub unreadable: Vec<(String, String)>,
    /// The names of the same pictures for each source that was opened, in order: what [`open_again`](super::open_again)
    /// takes.
    pub left_out: Vec<Vec<String>>,
    /// What was passed over when files were looked for.
    pub passed_over: PassedOver,
    /// What is odd about pictures that are read all the same, as far as they have been.
    pub remarks: Remarks,
}

impl DataSet {
    /// One part, by member.
    pub fn part(&self, part: Part) -> Vec<NamedSource> {
        match part {
            Part::Train => vec![("train".to_owned(), self.train.clone())],
            Part::Valid => self.valid.clone(),
            Part::Test => self.test.clone(),
        }
    }

    /// The same with the training and validation pictures decoded into memory-mapped files in `folder`, which are
    /// written first where they are missing or stale. Loaders then apply [`Preprocess::remaining`].
    ///
    /// # Errors
    /// As [`CachedSource::open`].
    pub fn cached(mut self, preprocess: &Preprocess, folder: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let folder = folder.as_ref();
        let open = |source: &Arc<dyn ImageSource>, name: String| {
            let file = folder.join(name);
            let cached = CachedSource::open(source.clone(), preprocess, file)?;
            Ok::<Arc<dyn ImageSource>, DatasetError>(Arc::new(cached))
        };
        self.train = open(&self.train, "train.pixels".to_owned())?;
        for (number, (_, source)) in self.valid.iter_mut().enumerate() {
            *source = open(source, format!("valid-{number}.pixels"))?;
        }
        Ok(self)
    }
}
