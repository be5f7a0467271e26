//! Ctrl-C and termination while training: the first asks to stop after the current step, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of a process that stops because another one of its team was ended.
pub const ENDED_WITH_OTHERS: u8 = (SIGNAL_EXIT_BASE + SIGTERM) as u8;

/// What a shell reports for a program that a signal ended.
const SIGNAL_EXIT_BASE: i32 = 128;

/// Whether somebody asked to stop.
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Takes over Ctrl-C (SIGINT) and SIGTERM. A hang-up keeps its meaning, so that `nohup` works.
    pub fn listen() -> Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for number in [SIGINT, SIGTERM] {
            // In this order: the first signal finds `again` unset, the second ends the program.
            flag::register_conditional_shutdown(number, SIGNAL_EXIT_BASE + number, again.clone())
                .and_then(|_| flag::register(number, again.clone()))
                .and_then(|_| flag::register_usize(number, signal.clone(), number as usize))
                .context("cannot listen for Ctrl-C")?;
        }
        Ok(Self { signal })
    }

    /// The exit code for the signal that came, if one did.
    pub fn exit_code(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => Some(SIGNAL_EXIT_BASE as u8 + number as u8),
        }
    }
}
