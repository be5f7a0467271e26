//! Pictures' files, decoded on threads ahead of who uses them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::decode::{DecodeOptions, Decoded, decode_file};
use crate::error::DatasetError;
use crate::files::picture_files::PictureFiles;

/// A batch ends once it holds this many pixels, or this many pictures.
const PIXELS_PER_BATCH: usize = 1 << 20;
const PICTURES_PER_BATCH: usize = 1024;
/// At most so many threads decode: each holds a picture.
const MOST_WORKERS: usize = 4;

/// A picture that was read, or why it could not be.
#[derive(Debug)]
pub struct Read {
    /// Its number among the files.
    pub number: usize,
    /// Its name below what was asked for.
    pub name: String,
    /// Its pixels and what was odd about its file, or why it cannot be read.
    pub outcome: Result<Decoded, DatasetError>,
}

/// An iterator over batches of pictures, in order; each picture is decoded once, on one of a few threads.
///
/// Memory is bounded by the batch that was handed out last, one that waits, and a picture for each thread. What comes
/// out does not depend on the number of threads, of which there may be none where the system grants no more. Dropping
/// it stops and joins them.
pub struct ReadAhead {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What the threads share.
struct Shared {
    files: Vec<(PathBuf, String)>,
    options: DecodeOptions,
    state: Mutex<State>,
    /// Told when a picture is decoded, and when there is room for more.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The picture that the next free thread takes.
    claim: usize,
    /// The picture that is handed out next.
    next: usize,
    done: BTreeMap<usize, Result<Decoded, DatasetError>>,
    /// How many pixels wait in `done`.
    waiting: usize,
    stop: bool,
}

impl ReadAhead {
    /// Starts to decode the given files.
    pub fn new(files: &PictureFiles, options: &DecodeOptions) -> Self {
        let files: Vec<_> = files.iter().map(|file| (file.path.clone(), file.name.clone())).collect();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS));
        let wanted = cores.min(files.len());
        let shared =
            Arc::new(Shared { files, options: *options, state: Mutex::new(State::default()), changed: Condvar::new() });
        let mut workers = Vec::new();
        for _ in 0..wanted {
            let own = shared.clone();
            let worker = std::thread::Builder::new().name("ksom-read".to_owned()).spawn(move || while own.one(true) {});
            // With fewer threads it takes longer; that is all.
            let Ok(worker) = worker else { break };
            workers.push(worker);
        }
        Self { shared, workers }
    }

    /// How many pictures have been handed out.
    pub fn done(&self) -> usize {
        self.shared.lock().next
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.shared.files.len()
    }

    /// The next picture, once it is decoded.
    fn picture(&self) -> Option<Read> {
        let mut state = self.shared.lock();
        let number = state.next;
        let (_, name) = self.shared.files.get(number)?;
        let outcome = loop {
            if let Some(outcome) = state.done.remove(&number) {
                break outcome;
            }
            if self.workers.is_empty() {
                drop(state);
                self.shared.one(false);
                state = self.shared.lock();
            } else {
                state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        state.next += 1;
        state.waiting -= pixels(&outcome);
        drop(state);
        self.shared.changed.notify_all();
        Some(Read { number, name: name.clone(), outcome })
    }
}

impl Iterator for ReadAhead {
    type Item = Vec<Read>;

    fn next(&mut self) -> Option<Vec<Read>> {
        let (mut batch, mut held) = (Vec::new(), 0);
        while held < PIXELS_PER_BATCH && batch.len() < PICTURES_PER_BATCH {
            let Some(read) = self.picture() else { break };
            held += pixels(&read.outcome);
            batch.push(read);
        }
        (!batch.is_empty()).then_some(batch)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // Decoding catches its own panics, so there is nothing to learn from the result.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes the next picture, once there is room for it if `wait` says so; false when there is none.
    fn one(&self, wait: bool) -> bool {
        let mut state = self.lock();
        // Pictures are claimed in order, so whichever is handed out next is in work or among those that wait.
        while wait && !state.stop && (state.waiting >= PIXELS_PER_BATCH || state.done.len() >= PICTURES_PER_BATCH) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.claim;
        let Some((path, _)) = self.files.get(number).filter(|_| !state.stop) else { return false };
        state.claim += 1;
        drop(state);
        let outcome = decode_file(path, &self.options);
        let mut state = self.lock();
        state.waiting += pixels(&outcome);
        state.done.insert(number, outcome);
        drop(state);
        self.changed.notify_all();
        true
    }
}

fn pixels(outcome: &Result<Decoded, DatasetError>) -> usize {
    outcome.as_ref().map_or(0, |decoded| decoded.pixels.pixels().len())
}
