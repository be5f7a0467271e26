//! The memory allocator: large buffers come and go in the same sizes at each step, and handing them back to the system
//! only to fault them in anew takes a tenth of the time of training. Where there is no memory left, the command says so
//! and ends, instead of aborting.

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write;

#[cfg(feature = "mimalloc")]
use mimalloc::MiMalloc as Underlying;
#[cfg(not(feature = "mimalloc"))]
use std::alloc::System as Underlying;

#[global_allocator]
static ALLOCATOR: Telling = Telling(Underlying);

/// `mi_option_purge_delay` of mimalloc.h: milliseconds until freed memory is handed back, never if negative.
#[cfg(feature = "mimalloc")]
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory stays for the next buffer until the program ends.
pub fn keep_freed_memory() {
    // SAFETY: sets one of mimalloc's own options; it may be called at any time, and nothing else runs yet.
    #[cfg(feature = "mimalloc")]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1)
    };
}

/// An allocator that ends the program with a message where another one has nothing left to give.
struct Telling(Underlying);

// SAFETY: every call goes to the underlying allocator as it came, and what that gives is given; where that gives nothing,
// nothing is returned at all.
unsafe impl GlobalAlloc for Telling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        given(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory came from the same allocator.
        unsafe { self.0.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the memory came from the same allocator.
        given(unsafe { self.0.realloc(memory, layout, size) }, size)
    }
}

#[inline]
fn given(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() {
        out_of_memory(size);
    }
    memory
}

#[cold]
fn out_of_memory(size: usize) -> ! {
    // Nothing here allocates.
    let mut text = [0; 256];
    let mut left = &mut text[..];
    let _ = writeln!(
        left,
        "error: out of memory: {size} more bytes could not be allocated; use smaller pictures or batches (--set batch_size, \
         --set accumulate), or raise the limit (`ulimit -v`, the container's memory)"
    );
    let unused = left.len();
    let _ = std::io::stderr().write_all(&text[..text.len() - unused]);
    std::process::exit(i32::from(ksom_cli::FAILED))
}
