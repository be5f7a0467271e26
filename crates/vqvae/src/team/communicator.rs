//! What processes can do together.

use std::time::Duration;

use crate::error::Result;

/// A way for the processes of a team to exchange numbers. All of them make the same calls in the same order; each call
/// returns once all have made it, and fails if one of them has gone, or does not come within `limit`.
pub trait Communicator: Send + Sync {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// Adds up the `values` of all processes, as many on each, in the order of their ranks: ((v₀ + v₁) + v₂) + …, so
    /// that the sums are the same bits on all of them and in every run with as many.
    ///
    /// # Errors
    /// A process has gone or is late; `values` are lost then.
    fn all_reduce(&self, values: &mut Vec<f32>, limit: Duration) -> Result<()>;

    /// The `bytes` of every process, by rank; each may have another number of them.
    ///
    /// # Errors
    /// A process has gone or is late.
    fn all_gather(&self, bytes: Vec<u8>, limit: Duration) -> Result<Vec<Vec<u8>>>;

    /// The bytes of process 0, whatever the others give.
    ///
    /// # Errors
    /// As [`Communicator::all_gather`].
    fn broadcast(&self, bytes: Vec<u8>, limit: Duration) -> Result<Vec<u8>> {
        let given = if self.rank() == 0 { bytes } else { Vec::new() };
        Ok(self.all_gather(given, limit)?.swap_remove(0))
    }

    /// Waits until all processes have come here.
    ///
    /// # Errors
    /// As [`Communicator::all_gather`].
    fn barrier(&self, limit: Duration) -> Result<()> {
        self.all_gather(Vec::new(), limit).map(drop)
    }

    /// Ends the other processes, as far as this can be done: for a process that cannot go on.
    fn abort(&self);
}

/// One process.
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce(&self, _: &mut Vec<f32>, _: Duration) -> Result<()> {
        Ok(())
    }

    fn all_gather(&self, bytes: Vec<u8>, _: Duration) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes])
    }

    fn abort(&self) {}
}

/// Adds the `part`s of all processes up in the order of their ranks.
pub(super) fn add_in_order<'a>(parts: impl IntoIterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut sums = parts.next().map(<[f32]>::to_vec).unwrap_or_default();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sums
}
