//! Batches, decoded by worker threads ahead of who uses them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use candle_core::{Device, Tensor};

use crate::error::DatasetError;
use crate::loading::convert::Converter;
use crate::loading::normalization::Normalization;
use crate::loading::order::{Batches, Cursor};
use crate::loading::preprocess::Preprocess;
use crate::loading::share::Share;
use crate::sources::source::ImageSource;

/// Pictures as the model takes them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Normalized pixels [B, 3, H, W], f32, on the CPU.
    pub pixels: Tensor,
    /// Which pictures of the source these are.
    pub indices: Vec<usize>,
}

/// How a [`Loader`] prepares pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderOptions {
    /// Resize, crop and flip.
    pub preprocess: Preprocess,
    /// The normalization.
    pub normalization: Normalization,
    /// What the random part of the preprocessing is drawn from.
    pub seed: u64,
    /// How many threads decode; 0 counts as 1. By default as many as there are cores, 4 at most.
    pub workers: usize,
    /// How many batches may be in work or wait; 0 counts as 1. By default one more than there are workers.
    pub ahead: usize,
    /// The part of each batch that is prepared, where several loaders share the batches out. By default all of it.
    pub share: Share,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
        Self {
            preprocess: Preprocess::default(),
            normalization: Normalization::default(),
            seed: 0,
            workers,
            ahead: workers + 1,
            share: Share::default(),
        }
    }
}

/// An iterator over batches, in order.
///
/// Worker threads each prepare a whole batch, at most `ahead` of them beyond the one handed out last. What comes out
/// does not depend on the number of workers. An error names the picture's file, comes in place of its batch, and ends
/// the stream. Dropping the loader stops and joins its workers.
pub struct Loader {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    finished: bool,
}

/// What the workers and the loader share.
struct Shared {
    source: Arc<dyn ImageSource>,
    converter: Converter,
    options: LoaderOptions,
    state: Mutex<State>,
    /// Told when a batch is ready, or there will be none.
    ready: Condvar,
    /// Told when there is room for another batch.
    room: Condvar,
}

struct State {
    cursor: Cursor,
    /// The batch that the next free worker takes.
    claim: u64,
    /// The batch that is handed out next.
    next: u64,
    done: BTreeMap<u64, Result<Batch, DatasetError>>,
    /// The number of batches, once it is known.
    end: Option<u64>,
    /// Why a worker stopped in a way it should not.
    failure: Option<String>,
    stop: bool,
}

impl Loader {
    /// Starts to prepare the batches of `source` that `batches` names, from batch number `start`.
    ///
    /// # Errors
    /// When the options or the batches make no sense for this source.
    pub fn new(
        source: Arc<dyn ImageSource>,
        batches: impl Into<Batches>,
        start: u64,
        options: LoaderOptions,
    ) -> Result<Self, DatasetError> {
        let batches = batches.into();
        batches.check(source.len())?;
        options.preprocess.check()?;
        let shared = Arc::new(Shared {
            converter: Converter::new(&options.normalization)?,
            source,
            options,
            state: Mutex::new(State {
                cursor: Cursor::new(batches),
                claim: start,
                next: start,
                done: BTreeMap::new(),
                end: None,
                failure: None,
                stop: false,
            }),
            ready: Condvar::new(),
            room: Condvar::new(),
        });
        let mut loader = Self { shared, workers: Vec::new(), finished: false };
        for _ in 0..options.workers.max(1) {
            let shared = loader.shared.clone();
            let worker = std::thread::Builder::new().name("ksom-loader".to_owned()).spawn(move || shared.work());
            // Where the system allows no more threads, fewer will do, and none: batches then come one at a time.
            let Ok(worker) = worker else { break };
            loader.workers.push(worker);
        }
        Ok(loader)
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        if self.workers.is_empty() {
            self.shared.one_batch();
        }
        let mut state = self.shared.lock();
        let batch = loop {
            let number = state.next;
            if let Some(batch) = state.done.remove(&number) {
                state.next += 1;
                break Some(batch);
            }
            if let Some(failure) = state.failure.take() {
                break Some(Err(DatasetError::Worker(failure)));
            }
            if state.end.is_some_and(|end| number >= end) {
                break None;
            }
            state = wait(&self.shared.ready, state);
        };
        self.finished = !matches!(batch, Some(Ok(_)));
        state.stop |= self.finished;
        drop(state);
        self.shared.room.notify_all();
        batch
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its own panics, so there is nothing to learn from the result.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a worker does until there is no more work.
    fn work(&self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| while self.one_batch() {})) {
            let text =
                panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            self.lock().failure = Some(text.unwrap_or("it panicked").to_owned());
            self.ready.notify_all();
        }
    }

    /// Takes and prepares the next batch; false when there is none.
    fn one_batch(&self) -> bool {
        let mut state = self.lock();
        let ahead = self.options.ahead.max(1) as u64;
        while !state.stop && state.claim >= state.next.saturating_add(ahead) {
            state = wait(&self.room, state);
        }
        if state.stop {
            return false;
        }
        let number = state.claim;
        let Some(indices) = state.cursor.indices(number) else {
            state.end = Some(number);
            drop(state);
            self.ready.notify_all();
            return false;
        };
        state.claim += 1;
        let part = self.options.share.range(indices.len());
        let position =
            state.cursor.is_training().then(|| state.cursor.position(number).wrapping_add(part.start as u64));
        let indices = indices[part].to_vec();
        drop(state);
        let batch = self.prepare(indices, position);
        self.lock().done.insert(number, batch);
        self.ready.notify_all();
        true
    }

    /// Decodes, changes and normalizes the pictures `indices`; `position` is where the first lies in the stream.
    fn prepare(&self, indices: Vec<usize>, position: Option<u64>) -> Result<Batch, DatasetError> {
        let mut pixels: Vec<f32> = Vec::new();
        let mut first: Option<(String, (u32, u32))> = None;
        for (within, &index) in indices.iter().enumerate() {
            let name = self.source.name(index);
            let sample = position.map(|start| (self.options.seed, start.wrapping_add(within as u64)));
            let image = self.source.image(index)?;
            let image = self.options.preprocess.apply(image, &name, sample)?;
            let size = image.dimensions();
            let each = image.as_raw().len();
            match &first {
                Some((first, first_size)) if *first_size != size => {
                    return Err(DatasetError::Sizes {
                        first: first.clone(),
                        first_size: *first_size,
                        second: name,
                        second_size: size,
                    });
                }
                Some(_) => (),
                None => {
                    pixels.reserve_exact(each.saturating_mul(indices.len()));
                    first = Some((name, size));
                }
            }
            let start = pixels.len();
            pixels.resize(start + each, 0.0);
            self.converter.write_chw(&image, &mut pixels[start..])?;
        }
        let (width, height) = first.map_or((0, 0), |(_, size)| size);
        let shape = (indices.len(), 3, height as usize, width as usize);
        Ok(Batch { pixels: Tensor::from_vec(pixels, shape, &Device::Cpu)?, indices })
    }
}

fn wait<'a>(on: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    on.wait(state).unwrap_or_else(PoisonError::into_inner)
}

/// All pictures of `source` once, in order, in batches of `batch` (the last may be smaller); nothing is random.
///
/// # Errors
/// As [`Loader::new`]. The batches themselves fail where pictures of a batch differ in size.
pub fn batches(source: Arc<dyn ImageSource>, batch: usize, options: LoaderOptions) -> Result<Loader, DatasetError> {
    let len = source.len();
    Loader::new(source, Batches::Once { len, batch }, 0, options)
}
