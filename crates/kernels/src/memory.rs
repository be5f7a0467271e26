//! Memory: outputs written by many threads, scratch kept by each.

use std::cell::RefCell;
use std::marker::PhantomData;

/// A vector of `len` elements that `write` fills.
///
/// # Safety
///
/// `write` must write every element.
pub(crate) unsafe fn filled<T: Copy>(len: usize, write: impl FnOnce(Shared<T>)) -> Vec<T> {
    let mut values: Vec<T> = Vec::with_capacity(len);
    write(Shared { values: values.as_mut_ptr(), len, element: PhantomData });
    // SAFETY: the capacity is at least `len`, and the caller vouches that every element is written.
    unsafe { values.set_len(len) };
    values
}

/// The begin of a buffer that several threads write, each to its own places.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T> {
    values: *mut T,
    len: usize,
    element: PhantomData<T>,
}

// SAFETY: only a pointer; those who write through it see to it that they do not write to the same places.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The place of element `at`.
    pub(crate) fn pointer(&self, at: usize) -> *mut T {
        assert!(at <= self.len, "element {at} of a buffer of {}", self.len);
        self.values.wrapping_add(at)
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with this thread's scratch buffer, its contents unspecified. `f` must not run other tasks of the thread
/// pool: such a task may want the buffer too.
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut Vec<f32>) -> R) -> R {
    SCRATCH.with_borrow_mut(f)
}
