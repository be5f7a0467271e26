//! What is said on stderr besides progress bars.

use std::io::{IsTerminal, Write, stderr};

use indicatif::ProgressBar;

/// The terminal behind stderr, and whether to speak.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    pub quiet: bool,
    /// Whether somebody watches: bars are drawn only then.
    pub terminal: bool,
    /// Whether another process speaks for this one: not even warnings then.
    pub mute: bool,
}

impl Console {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: stderr().is_terminal(), mute: false }
    }

    /// Says something that can be left out.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Says something that should be known; `bar` is drawn anew below it.
    pub fn warn(&self, text: &str, bar: Option<&ProgressBar>) {
        let text = format!("warning: {text}");
        match bar {
            _ if self.mute => {}
            Some(bar) => bar.suspend(|| say(&text)),
            None => say(&text),
        }
    }
}

/// A line on stderr. Where nobody listens any more there is nobody to tell about it.
pub fn say(text: &str) {
    let _ = writeln!(stderr(), "{}", printable(text));
}

/// Text from files, made harmless for a terminal: control characters but line feeds become U+FFFD.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
