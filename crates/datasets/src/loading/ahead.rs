//! Work that threads do ahead of who wants its results, which come in order.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A batch ends once it holds this many pixels, or this many results.
const PIXELS_PER_BATCH: usize = 1 << 20;
const RESULTS_PER_BATCH: usize = 1024;
/// At most so many threads work: each holds a picture.
const MOST_WORKERS: usize = 4;

/// A piece of work.
pub(crate) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// What can be made ahead.
pub trait Made: Send + 'static {
    /// How many pixels it holds, or what takes as much memory.
    fn pixels(&self) -> usize;
}

/// The results of jobs, in the jobs' order. Memory is bounded by the batch that was handed out last, one that waits, and a
/// result for each thread. There may be no threads where the system grants none. Dropping it stops and joins them.
pub struct Ahead<T: Made> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

/// What the threads share.
struct Shared<T> {
    jobs: Mutex<Jobs<T>>,
    state: Mutex<State<T>>,
    /// Told when a result is there, and when there is room for more.
    changed: Condvar,
}

struct Jobs<T> {
    jobs: Box<dyn Iterator<Item = Job<T>> + Send>,
    taken: usize,
}

struct State<T> {
    /// The result that is handed out next.
    next: usize,
    done: BTreeMap<usize, T>,
    /// How many pixels wait in `done`.
    waiting: usize,
    /// The number of jobs, once it is known.
    end: Option<usize>,
    /// A worker's panic.
    panic: Option<Box<dyn Any + Send>>,
    stop: bool,
}

impl<T: Made> Ahead<T> {
    /// Starts to do the jobs, of which there may be any number. One thread at a time draws from `jobs`.
    pub(crate) fn new(jobs: impl Iterator<Item = Job<T>> + Send + 'static) -> Self {
        let (_, most) = jobs.size_hint();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS));
        let state = State { next: 0, done: BTreeMap::new(), waiting: 0, end: None, panic: None, stop: false };
        let shared = Arc::new(Shared {
            jobs: Mutex::new(Jobs { jobs: Box::new(jobs.fuse()), taken: 0 }),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let mut workers = Vec::new();
        for _ in 0..cores.min(most.unwrap_or(cores)) {
            let own = shared.clone();
            let worker = std::thread::Builder::new().name("ksom-read".to_owned()).spawn(move || while own.one(true) {});
            // With fewer threads it takes longer; that is all.
            let Ok(worker) = worker else { break };
            workers.push(worker);
        }
        Self { shared, workers }
    }

    /// How many results have been handed out.
    pub fn done(&self) -> usize {
        self.shared.lock().next
    }

    /// The next result, once it is there.
    fn result(&self) -> Option<T> {
        let mut state = self.shared.lock();
        let number = state.next;
        let result = loop {
            if let Some(result) = state.done.remove(&number) {
                break result;
            }
            if let Some(panic) = state.panic.take() {
                drop(state);
                resume_unwind(panic);
            }
            if state.end.is_some_and(|end| number >= end) {
                return None;
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
        state.waiting -= result.pixels();
        drop(state);
        self.shared.changed.notify_all();
        Some(result)
    }
}

/// Batches of results.
impl<T: Made> Iterator for Ahead<T> {
    type Item = Vec<T>;

    fn next(&mut self) -> Option<Vec<T>> {
        let (mut batch, mut held) = (Vec::new(), 0);
        while held < PIXELS_PER_BATCH && batch.len() < RESULTS_PER_BATCH {
            let Some(result) = self.result() else { break };
            held += result.pixels();
            batch.push(result);
        }
        (!batch.is_empty()).then_some(batch)
    }
}

impl<T: Made> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its own panics, so there is nothing to learn from the result.
            let _ = worker.join();
        }
    }
}

impl<T: Made> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the next job, once there is room for its result if `wait` says so; false when there is none.
    fn one(&self, wait: bool) -> bool {
        let mut state = self.lock();
        // Jobs are taken in order, so whichever result is handed out next is in work or among those that wait.
        while wait && !state.stop && (state.waiting >= PIXELS_PER_BATCH || state.done.len() >= RESULTS_PER_BATCH) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return false;
        }
        drop(state);
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let number = jobs.taken;
            let job = jobs.jobs.next();
            jobs.taken += usize::from(job.is_some());
            drop(jobs);
            (number, job.map(|job| job()))
        }));
        let mut state = self.lock();
        let goes_on = match done {
            Ok((number, Some(result))) => {
                state.waiting += result.pixels();
                state.done.insert(number, result);
                true
            }
            Ok((number, None)) => {
                state.end = Some(number);
                false
            }
            Err(panic) => {
                state.panic = Some(panic);
                state.stop = true;
                false
            }
        };
        drop(state);
        self.changed.notify_all();
        goes_on
    }
}
