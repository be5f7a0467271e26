//! A team as a training sees it.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ksom_datasets::loading::Share;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::team::communicator::{Alone, Communicator};

/// How long the others are waited for, unless it is said otherwise.
const LIMIT: Duration = Duration::from_secs(300);
/// The same while one process does something for all that can take long, such as decoding all pictures once.
const PATIENT: Duration = Duration::from_secs(24 * 3600);

/// The processes that train one model together; by default this one alone.
#[derive(Clone)]
pub struct Team {
    communicator: Arc<dyn Communicator>,
    limit: Duration,
    traffic: Arc<Mutex<Traffic>>,
}

/// What the sums of training steps have cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Sums that were taken.
    pub sums: u64,
    /// Bytes that this process has sent for them; it has received as many.
    pub bytes: u64,
    /// Seconds from giving the numbers until the sums were there, waiting for slower processes included.
    pub seconds: f64,
    /// The same of the fastest sum, for which hardly anybody had to be waited for.
    pub fastest: f64,
}

impl Team {
    /// A team over `communicator`.
    pub fn new(communicator: impl Communicator + 'static) -> Self {
        Self { communicator: Arc::new(communicator), limit: LIMIT, traffic: Arc::default() }
    }

    /// The same, with another limit for how long the others are waited for.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// What the team speaks by.
    pub fn communicator(&self) -> Arc<dyn Communicator> {
        self.communicator.clone()
    }

    /// The same for when one process does for all what can take long.
    pub(crate) fn patient(&self) -> Self {
        self.clone().with_limit(PATIENT)
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.communicator.rank()
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.communicator.size()
    }

    /// Whether there is no other process.
    pub fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Whether this process is the one that writes, draws and tells.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Which part of something is this process's.
    pub fn share(&self) -> Share {
        Share { number: self.rank(), of: self.size() }
    }

    /// This process's part of `count` things in order.
    pub(crate) fn part_of(&self, count: usize) -> Range<usize> {
        self.share().range(count)
    }

    /// What the sums have cost so far.
    pub fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sums of all processes' `values`.
    pub(crate) fn sum(&self, mut values: Vec<f32>) -> Result<Vec<f32>> {
        if self.is_alone() {
            return Ok(values);
        }
        let started = Instant::now();
        self.communicator.all_reduce(&mut values, self.limit)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all = 2 * size_of::<f32>() * values.len();
        traffic.bytes += (of_all - of_all / self.size()) as u64;
        traffic.seconds += seconds;
        traffic.fastest = if traffic.sums == 0 { seconds } else { traffic.fastest.min(seconds) };
        traffic.sums += 1;
        Ok(values)
    }

    /// What every process has to say, by rank.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(&self, own: &T) -> Result<Vec<T>> {
        let all = self.communicator.all_gather(to_bytes(own)?, self.limit)?;
        all.iter().map(|bytes| from_bytes(bytes)).collect()
    }

    /// The bytes of every process, by rank.
    pub(crate) fn gather_bytes(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.communicator.all_gather(own, self.limit)
    }

    /// What the first process makes, for all.
    pub(crate) fn first_makes<T: Serialize + DeserializeOwned>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.is_alone() {
            return make();
        }
        let own = if self.leads() { to_bytes(&make()?)? } else { Vec::new() };
        from_bytes(&self.communicator.broadcast(own, self.limit)?)
    }

    /// The bytes that the first process has, for all.
    pub(crate) fn bytes_of_first(&self, own: Vec<u8>) -> Result<Vec<u8>> {
        self.communicator.broadcast(own, self.limit)
    }

    /// Waits for all.
    ///
    /// # Errors
    /// A process has gone or is late.
    pub fn barrier(&self) -> Result<()> {
        self.communicator.barrier(self.limit)
    }

    /// Waits for all, a day if need be: before the program ends, since a process that ends early can take the others
    /// along.
    ///
    /// # Errors
    /// A process has gone.
    pub fn wait_for_all(&self) -> Result<()> {
        self.patient().barrier()
    }

    /// Ends the other processes, as far as this can be done: for a process that cannot go on.
    pub fn abort(&self) {
        self.communicator.abort();
    }
}

impl Default for Team {
    fn default() -> Self {
        Self::new(Alone)
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of {}", self.rank(), self.size())
    }
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Team(format!("cannot tell the other processes: {error}")))
}

fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Team(format!("cannot read what another process says: {error}")))
}
