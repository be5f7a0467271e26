//! Sources made of other sources.

use std::sync::Arc;

use image::RgbImage;

use crate::error::DatasetError;
use crate::sources::source::{ImageSource, Version, out_of_range};

/// So many pictures of a source without shards are taken as a run among those that have some.
const RUN: usize = 1024;

/// Some of the pictures of another source.
pub struct Subset {
    source: Arc<dyn ImageSource>,
    indices: Vec<usize>,
}

impl Subset {
    /// The pictures `indices` of `source`, in this order.
    ///
    /// # Errors
    /// When an index is not below the source's length.
    pub fn new(source: Arc<dyn ImageSource>, indices: Vec<usize>) -> Result<Self, DatasetError> {
        let len = source.len();
        match indices.iter().find(|index| **index >= len) {
            Some(&index) => Err(out_of_range("a data set to select from", index, len)),
            None => Ok(Self { source, indices }),
        }
    }

    /// Which pictures of the other source these are.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn at(&self, index: usize) -> Result<usize, DatasetError> {
        let at = self.indices.get(index).copied();
        at.ok_or_else(|| out_of_range("part of a data set", index, self.indices.len()))
    }
}

impl ImageSource for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        self.source.image(self.at(index)?)
    }

    fn size(&self, index: usize) -> Result<(u32, u32), DatasetError> {
        self.source.size(self.at(index)?)
    }

    fn name(&self, index: usize) -> String {
        self.at(index).map_or_else(|_| format!("#{index}"), |at| self.source.name(at))
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.at(index).ok().and_then(|at| self.source.label(at))
    }

    fn runs(&self) -> Vec<usize> {
        let mut ends = self.source.runs();
        if !self.indices.is_sorted() {
            return Vec::new();
        }
        let (mut end, mut taken) = (0, 0);
        for run in &mut ends {
            end += *run;
            let upto = self.indices.partition_point(|index| *index < end);
            *run = upto - taken;
            taken = upto;
        }
        ends
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        self.source.version(self.at(index)?)
    }
}

/// Several sources, one after the other: a mixture, once it is shuffled.
pub struct Concat {
    sources: Vec<Arc<dyn ImageSource>>,
    /// `ends[i]` is the number of pictures in the sources up to and with the i-th.
    ends: Vec<usize>,
}

impl Concat {
    /// The pictures of all `sources`, in order.
    pub fn new(sources: Vec<Arc<dyn ImageSource>>) -> Self {
        let ends = sources
            .iter()
            .scan(0, |end, source| {
                *end += source.len();
                Some(*end)
            })
            .collect();
        Self { sources, ends }
    }

    /// The source that holds picture `index`, and the picture's number there.
    fn at(&self, index: usize) -> Result<(&dyn ImageSource, usize), DatasetError> {
        let which = self.ends.partition_point(|end| *end <= index);
        let start = which.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        match self.sources.get(which) {
            Some(source) => Ok((source.as_ref(), index - start)),
            None => Err(out_of_range("a mixture of data sets", index, self.len())),
        }
    }
}

impl ImageSource for Concat {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let (source, at) = self.at(index)?;
        source.image(at)
    }

    fn size(&self, index: usize) -> Result<(u32, u32), DatasetError> {
        let (source, at) = self.at(index)?;
        source.size(at)
    }

    fn name(&self, index: usize) -> String {
        self.at(index).map_or_else(|_| format!("#{index}"), |(source, at)| source.name(at))
    }

    /// The class within the picture's own data set: classes of different sets share their numbers.
    fn label(&self, index: usize) -> Option<u32> {
        let (source, at) = self.at(index).ok()?;
        source.label(at)
    }

    /// Where some sources have runs, the others are taken as if they lay in some, too.
    fn runs(&self) -> Vec<usize> {
        let runs: Vec<Vec<usize>> = self.sources.iter().map(|source| source.runs()).collect();
        if runs.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let cut = |(runs, source): (Vec<usize>, &Arc<dyn ImageSource>)| match runs.is_empty() {
            true => (0..source.len()).step_by(RUN).map(|start| RUN.min(source.len() - start)).collect(),
            false => runs,
        };
        runs.into_iter().zip(&self.sources).flat_map(cut).collect()
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        let (source, at) = self.at(index)?;
        source.version(at)
    }
}
