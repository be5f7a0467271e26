//! Entering rayon's pool once for a whole computation, instead of once for each of its operations.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::system::threads::threads;

/// How many computations from outside are in the pool, and news of one that has left.
static RUNNING: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// Runs `compute` on a thread of rayon's pool: on the current one if it is of a pool.
///
/// An operation that is shared out from a thread outside the pool is handed over, and that thread sleeps until it is done:
/// dozens of times for a small picture. As many computations as the pool has threads run at a time, and others wait: a
/// thread that waits for a part of its computation may take up another one meanwhile, on the same stack.
pub(crate) fn enter<R: Send>(compute: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return compute();
    }
    let _place = Place::take(threads().count);
    rayon::scope(|_| compute())
}

/// A place in the pool, given back when it is dropped.
struct Place;

impl Place {
    fn take(places: usize) -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running =
            LEFT.wait_while(running, |running| *running >= places).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        LEFT.notify_one();
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
}
