//! Computing while Python goes on: without the interpreter's lock, on threads that outlive a fork, and with panics caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ksom_vqvae::Error;
use ksom_vqvae::system::Pool;
use pyo3::prelude::*;

use crate::errors::{internal, raised};

/// The threads of one process.
struct Owned {
    process: u32,
    pool: Pool,
}

/// The threads in use. A process that was forked off finds those of its parent here, of which it has not one, and starts
/// its own.
///
/// A pointer, since whatever can be locked may be locked at the moment of a fork, and stays so in the child.
static OWNED: AtomicPtr<Owned> = AtomicPtr::new(ptr::null_mut());

/// This process's threads.
fn pool() -> Result<&'static Pool, Error> {
    let process = std::process::id();
    let found = OWNED.load(Ordering::Acquire);
    // SAFETY: what the pointer has once led to is never freed.
    if let Some(owned) = unsafe { found.as_ref() }
        && owned.process == process
    {
        return Ok(&owned.pool);
    }
    let made = Box::into_raw(Box::new(Owned { process, pool: Pool::new()? }));
    let owned = match OWNED.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => made,
        // Another thread of this process was faster.
        Err(faster) => {
            // SAFETY: `made` comes from a box and was given to nobody.
            drop(unsafe { Box::from_raw(made) });
            faster
        }
    };
    // SAFETY: as above; neither is null.
    Ok(&unsafe { &*owned }.pool)
}

/// Runs `work` on this process's threads, in the calling thread's name.
pub fn on_pool<R: Send>(work: impl FnOnce() -> Result<R, Error> + Send) -> Result<R, Error> {
    pool()?.run(work)
}

/// Runs `work` on this process's threads while Python goes on. A panic becomes `ksom.InternalError`.
pub fn compute<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R, Error> + Send) -> PyResult<R> {
    detached(py, || on_pool(work))
}

/// Runs `work` in this thread while Python goes on. A panic becomes `ksom.InternalError`.
pub fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R, Error> + Send) -> PyResult<R> {
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(outcome) => outcome.map_err(|error| raised(py, error)),
        Err(panic) => Err(internal(py, panic.as_ref())),
    }
}
