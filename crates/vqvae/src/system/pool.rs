//! Entering a pool of threads once for a whole computation, instead of once for each of its operations.

use std::sync::{Condvar, Mutex, PoisonError};

use rayon::ThreadPool;

use crate::error::Result;
use crate::system::threads::{own_threads, threads};

/// Those who are in rayon's pool.
static GATE: Gate = Gate::new();

/// Runs `compute` on a thread of rayon's pool: on the current one if it is of a pool.
///
/// An operation that is shared out from a thread outside the pool is handed over, and that thread sleeps until it is done:
/// dozens of times for a small picture. As many computations as the pool has threads run at a time, and others wait: a
/// thread that waits for a part of its computation may take up another one meanwhile, on the same stack.
pub(crate) fn enter<R: Send>(compute: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return compute();
    }
    let _place = GATE.take(threads().count);
    rayon::scope(|_| compute())
}

/// Threads besides those of rayon's pool, as many. What runs on them shares its operations out among them.
///
/// For a process that was forked off: of rayon's pool, which a process has once, it has no thread.
pub struct Pool {
    threads: ThreadPool,
    gate: Gate,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system allows none.
    pub fn new() -> Result<Self> {
        Ok(Self { threads: own_threads()?, gate: Gate::new() })
    }

    /// Runs `compute` on one of the threads; as many computations at a time as there are threads.
    pub fn run<R: Send>(&self, compute: impl FnOnce() -> R + Send) -> R {
        let _place = self.gate.take(self.threads.current_num_threads());
        self.threads.install(compute)
    }
}

/// How many computations from outside are in a pool, and news of one that has left.
struct Gate {
    running: Mutex<usize>,
    left: Condvar,
}

impl Gate {
    const fn new() -> Self {
        Self { running: Mutex::new(0), left: Condvar::new() }
    }

    fn take(&self, places: usize) -> Place<'_> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running =
            self.left.wait_while(running, |running| *running >= places).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Place(self)
    }
}

/// A place in a pool, given back when it is dropped.
struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn many_threads_take_turns_even_after_a_panic() {
        // A place that a panic kept would be missing: without any left, the threads would wait for ever.
        for _ in 0..rayon::current_num_threads() {
            assert!(catch_unwind(|| enter(|| panic!("on purpose"))).is_err());
        }
        std::thread::scope(|scope| {
            for number in 0..4 * rayon::current_num_threads() {
                scope.spawn(move || {
                    let inside = enter(|| enter(|| (rayon::current_thread_index().is_some(), number)));
                    assert_eq!(inside, (true, number));
                });
            }
        });
    }

    #[test]
    fn a_pool_of_ones_own_has_threads_of_its_own() {
        let pool = Pool::new().unwrap();
        let name = || std::thread::current().name().map(str::to_string);
        let (inside, nested) = pool.run(|| (name(), enter(name)));
        assert_eq!(inside, nested);
        assert_ne!(inside, name());
        assert_eq!(pool.run(rayon::current_num_threads), threads().count);
        assert!(catch_unwind(std::panic::AssertUnwindSafe(|| pool.run(|| panic!("on purpose")))).is_err());
        assert_eq!(pool.run(|| rayon::join(|| 1, || 2)), (1, 2));
    }
}
