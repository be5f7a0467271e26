//! The memory allocator: large buffers come and go in the same sizes at each step, and handing them back to the system
//! only to fault them in anew takes a tenth of the time of training.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h: milliseconds until freed memory is handed back, never if negative.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory stays for the next buffer until the program ends.
pub fn keep_freed_memory() {
    // SAFETY: sets one of mimalloc's own options; it may be called at any time, and nothing else runs yet.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
