//! Which pictures form which batch.

use std::path::Path;
use std::sync::Arc;

use crate::error::DatasetError;
use crate::loading::random::{Purpose, generator, permutation};
use crate::loading::runs::by_runs;
use crate::sources::source::ImageSource;

/// The seeded, shuffled, endless order of training.
///
/// The stream of pictures is one permutation of the set after another, epoch by epoch; batch number s is its s-th
/// piece of `batch` pictures, so batches run across the boundaries of epochs and are always full. The pictures of a
/// batch are a pure function of the seed and its number: an order is restored from the step alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    seed: u64,
    len: usize,
    batch: usize,
}

impl Order {
    /// The order of `len` pictures in batches of `batch`.
    ///
    /// # Errors
    /// When either is 0.
    pub fn new(seed: u64, len: usize, batch: usize) -> Result<Self, DatasetError> {
        at_least_one("the number of images", len)?;
        at_least_one("the batch size", batch)?;
        Ok(Self { seed, len, batch })
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many pictures the set has.
    pub fn images(&self) -> usize {
        self.len
    }

    /// How many pictures a batch has.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The pictures of batch number `step` (from 0).
    pub fn indices(&self, step: u64) -> Vec<usize> {
        Cursor::new(Batches::Shuffled(*self)).indices(step).unwrap_or_default()
    }
}

/// Which pictures form which batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batches {
    /// Shuffled and endless, for training.
    Shuffled(Order),
    /// The same for pictures that lie in runs, as those of shards do: shards in shuffled order, pictures shuffled among
    /// those of a few shards.
    ByRuns {
        /// The seed, and how many pictures there are in all and in a batch.
        order: Order,
        /// How many pictures each run has.
        runs: Arc<[usize]>,
    },
    /// Stated outright, e.g. to feed two programs the same.
    Listed(Vec<Vec<usize>>),
    /// All pictures once, in order; the last batch may be smaller. Nothing random is done to the pictures.
    Once {
        /// How many pictures the set has.
        len: usize,
        /// How many pictures a batch has.
        batch: usize,
    },
}

impl From<Order> for Batches {
    fn from(order: Order) -> Self {
        Self::Shuffled(order)
    }
}

impl Batches {
    /// Shuffled and endless, for training on `source`: by its runs where it has some.
    ///
    /// # Errors
    /// As [`Order::new`].
    pub fn shuffled(seed: u64, source: &dyn ImageSource, batch: usize) -> Result<Self, DatasetError> {
        let order = Order::new(seed, source.len(), batch)?;
        let runs = source.runs();
        Ok(if runs.is_empty() { Self::Shuffled(order) } else { Self::ByRuns { order, runs: runs.into() } })
    }

    /// Reads a list of batches: text, a line per batch, the numbers of its pictures separated by blanks or commas;
    /// lines that begin with `#` are comments.
    ///
    /// # Errors
    /// When the file cannot be read, a word is not a number, or there is no batch.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(DatasetError::io("read", path))?;
        let mut batches = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let words = line.split(|c: char| c.is_whitespace() || c == ',');
            let indices: Result<Vec<usize>, _> = words.filter(|word| !word.is_empty()).map(str::parse).collect();
            batches.push(
                indices.map_err(|error| DatasetError::layout("batch list", path, format!("line {number}: {error}")))?,
            );
        }
        if batches.is_empty() {
            return Err(DatasetError::layout("batch list", path, "it has no batch"));
        }
        Ok(Self::Listed(batches))
    }

    /// How many batches there are; `None` when there is no end.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Shuffled(_) | Self::ByRuns { .. } => None,
            Self::Listed(batches) => Some(batches.len() as u64),
            Self::Once { len, batch } => Some(len.div_ceil((*batch).max(1)) as u64),
        }
    }

    /// Whether every batch is made of pictures 0 … `len` − 1 and has at least one.
    ///
    /// # Errors
    /// When not: names the batch.
    pub(crate) fn check(&self, len: usize) -> Result<(), DatasetError> {
        match self {
            Self::ByRuns { order, runs } if runs.iter().sum::<usize>() != order.len => Err(DatasetError::Option {
                option: "the number of images of the runs",
                value: runs.iter().sum::<usize>().to_string(),
                reason: format!("the order has {}", order.len),
            }),
            Self::Shuffled(order) | Self::ByRuns { order, .. } if order.len != len => Err(DatasetError::Option {
                option: "the number of images of the order",
                value: order.len.to_string(),
                reason: format!("the data set has {len}"),
            }),
            Self::Shuffled(_) | Self::ByRuns { .. } => Ok(()),
            Self::Once { len: own, batch } => {
                at_least_one("the batch size", *batch)?;
                if *own > len {
                    return Err(crate::sources::source::out_of_range("the data set", *own - 1, len));
                }
                Ok(())
            }
            Self::Listed(batches) => {
                for (number, batch) in batches.iter().enumerate() {
                    at_least_one("the size of a listed batch", batch.len())?;
                    if let Some(&index) = batch.iter().find(|index| **index >= len) {
                        let what = format!("the data set by batch {number} of the list");
                        return Err(crate::sources::source::out_of_range(&what, index, len));
                    }
                }
                Ok(())
            }
        }
    }
}

/// Reads batches one after the other without drawing an epoch's permutation anew for each.
pub(crate) struct Cursor {
    batches: Batches,
    /// The epoch drawn last, and its permutation.
    drawn: Option<(u64, Vec<usize>)>,
}

impl Cursor {
    pub fn new(batches: Batches) -> Self {
        Self { batches, drawn: None }
    }

    /// Where in the stream of pictures batch `step` begins.
    pub fn position(&self, step: u64) -> u64 {
        let size = match &self.batches {
            Batches::Shuffled(order) | Batches::ByRuns { order, .. } => order.batch,
            Batches::Once { batch, .. } => *batch,
            // The batches of a list may differ in size; all that matters is that positions differ.
            Batches::Listed(batches) => batches.iter().map(Vec::len).max().unwrap_or(0),
        };
        step.wrapping_mul(size as u64)
    }

    /// Whether pictures may be changed at random.
    pub fn is_training(&self) -> bool {
        !matches!(self.batches, Batches::Once { .. })
    }

    /// The pictures of batch `step`; `None` past the end.
    pub fn indices(&mut self, step: u64) -> Option<Vec<usize>> {
        match &self.batches {
            Batches::Shuffled(order) | Batches::ByRuns { order, .. } => {
                let order = *order;
                Some(self.shuffled(order, step))
            }
            Batches::Listed(batches) => batches.get(usize::try_from(step).ok()?).cloned(),
            Batches::Once { len, batch } => {
                let start = usize::try_from(step).ok()?.checked_mul(*batch)?;
                (start < *len).then(|| (start..(start + batch).min(*len)).collect())
            }
        }
    }

    fn shuffled(&mut self, order: Order, step: u64) -> Vec<usize> {
        let mut indices = Vec::with_capacity(order.batch);
        let start = u128::from(step) * order.batch as u128;
        let mut epoch = (start / order.len as u128) as u64;
        let mut within = (start % order.len as u128) as usize;
        while indices.len() < order.batch {
            let permutation = self.epoch(order, epoch);
            let wanted = order.batch - indices.len();
            indices.extend(permutation.iter().skip(within).take(wanted));
            (epoch, within) = (epoch + 1, 0);
        }
        indices
    }

    fn epoch(&mut self, order: Order, epoch: u64) -> &[usize] {
        let drawn = match self.drawn.take() {
            Some(drawn) if drawn.0 == epoch => drawn,
            _ => {
                let mut rng = generator(order.seed, Purpose::Order, epoch);
                let drawn = match &self.batches {
                    Batches::ByRuns { runs, .. } => by_runs(&mut rng, runs),
                    _ => permutation(&mut rng, order.len),
                };
                (epoch, drawn)
            }
        };
        &self.drawn.insert(drawn).1
    }
}

fn at_least_one(option: &'static str, value: usize) -> Result<(), DatasetError> {
    if value == 0 {
        return Err(DatasetError::Option { option, value: "0".to_owned(), reason: "it must be at least 1".to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_concatenation_of_permutations() {
        let order = Order::new(9, 10, 4).unwrap();
        let stream: Vec<usize> = (0..15).flat_map(|step| order.indices(step)).collect();
        assert_eq!(stream.len(), 60);
        for epoch in stream.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(stream[..10], stream[10..20]);
    }

    #[test]
    fn is_restored_from_the_step_alone() {
        let order = Order::new(1, 7, 3).unwrap();
        let mut cursor = Cursor::new(order.into());
        for step in [0, 1, 2, 3, 9, 4, 2, 1_000_000_007] {
            assert_eq!(cursor.indices(step).unwrap(), order.indices(step));
        }
    }

    #[test]
    fn a_batch_may_hold_several_epochs() {
        let batch = Order::new(1, 3, 8).unwrap().indices(5);
        assert_eq!(batch.len(), 8);
        assert!(batch.iter().all(|index| *index < 3));
    }

    #[test]
    fn once_ends_with_a_smaller_batch() {
        let mut cursor = Cursor::new(Batches::Once { len: 5, batch: 2 });
        let all: Vec<_> = (0..4).map(|step| cursor.indices(step)).collect();
        assert_eq!(all, [Some(vec![0, 1]), Some(vec![2, 3]), Some(vec![4]), None]);
    }

    #[test]
    fn refuses_nothing() {
        assert!(Order::new(0, 0, 1).is_err());
        assert!(Order::new(0, 1, 0).is_err());
    }
}
