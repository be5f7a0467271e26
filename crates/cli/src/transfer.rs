//! Progress of files that come from the Hub or go there.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use indicatif::ProgressBar;
use ksom_vqvae::hub::HubEvent;

use crate::console::Console;
use crate::output::bytes;
use crate::progress::{Pace, bar};

/// Files smaller than this come without a bar.
const WORTH_A_BAR: u64 = 1 << 20;

/// Waits of at least so many seconds are told.
const LONG_WAIT: u64 = 5;

/// Draws a bar per file.
pub struct Transfer {
    console: Console,
    pace: Pace,
    file: RefCell<String>,
    bar: RefCell<Option<ProgressBar>>,
    /// Whether it was told that something is tried again, since the last bytes came.
    told: Cell<bool>,
    bytes: Cell<u64>,
}

impl Transfer {
    pub fn new(console: &Console) -> Self {
        Self {
            console: *console,
            pace: Pace::new(console),
            file: RefCell::default(),
            bar: RefCell::default(),
            told: Cell::default(),
            bytes: Cell::default(),
        }
    }

    pub fn tell(&self, event: HubEvent) {
        match event {
            HubEvent::Downloading { file, bytes: done, of } => self.downloading(file, done, of),
            HubEvent::Waiting { file } => self.line(&format!("waiting for another process that downloads {file}")),
            HubEvent::Retrying { reason, wait } => self.retrying(reason, wait),
            HubEvent::UsingCache { reason, commit } => {
                self.finish();
                let always = "HF_HUB_OFFLINE=1 does so without asking";
                self.console.warn(&format!("using the copy in the cache (commit {commit}; {always}): {reason}"), None);
            }
            HubEvent::Uploading { bytes: size } => self.line(&format!("uploading {}", bytes(size))),
            _ => {}
        }
    }

    /// Once until there is progress, but for each wait that is worth telling.
    fn retrying(&self, reason: &str, wait: Duration) {
        let new = !self.told.replace(true);
        match wait.as_secs() {
            0..LONG_WAIT if new => self.line(&format!("trying again: {reason}")),
            0..LONG_WAIT => {}
            seconds => self.line(&format!("trying again in {seconds} s: {reason}")),
        }
    }

    fn downloading(&self, file: &str, done: u64, of: u64) {
        if self.bytes.replace(done) < done {
            self.told.set(false);
        }
        if *self.file.borrow() != file {
            self.finish();
            *self.file.borrow_mut() = file.to_string();
            if of >= WORTH_A_BAR {
                let template = format!("{file} {{bar:30}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}} {{eta}}");
                *self.bar.borrow_mut() = bar(&self.console, of, &template);
            }
        }
        match &*self.bar.borrow() {
            Some(bar) => bar.set_position(done),
            None if self.pace.is_due() => self.line(&format!("{file}: {} of {}", bytes(done), bytes(of))),
            None => {}
        }
    }

    fn line(&self, text: &str) {
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(|| self.console.note(text)),
            None => self.console.note(text),
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.finish();
    }
}
