//! Memory: outputs written by many threads, scratch kept by each, buffers aligned to cache lines.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

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

impl Shared<f32> {
    /// All of a buffer, which is written through this alone until the last use of it.
    pub(crate) fn new(buffer: &mut Aligned) -> Self {
        Self { values: buffer.as_mut_ptr(), len: buffer.len(), element: PhantomData }
    }
}

impl<T> Shared<T> {
    /// The place of element `at`.
    pub(crate) fn pointer(&self, at: usize) -> *mut T {
        assert!(at <= self.len, "element {at} of a buffer of {}", self.len);
        self.values.wrapping_add(at)
    }
}

thread_local! {
    static SCRATCH: RefCell<Aligned> = const { RefCell::new(Aligned { lines: Vec::new(), len: 0 }) };
}

/// Calls `f` with this thread's scratch buffer, its contents unspecified. `f` must not run other tasks of the thread
/// pool: such a task may want the buffer too.
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut Aligned) -> R) -> R {
    SCRATCH.with_borrow_mut(f)
}

/// Elements of a cache line.
const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats that begin on a cache line, so that registers are loaded from one line, not from two.
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }

    /// Changes the length; the contents are unspecified then.
    pub(crate) fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(LINE), Line([0.0; LINE]));
        self.len = len;
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` of floats without padding, and there are `len / LINE` of them, rounded up.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above; we hold the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
