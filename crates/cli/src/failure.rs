//! Errors as the user reads them, and the exit code.

use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};

use crate::advice;
use crate::console::say;

/// The request failed.
pub const FAILED: u8 = 1;
/// The command line was wrong.
const USAGE: u8 = 2;

/// A command line that parses but makes no sense.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints an error with its causes, and gives the exit code.
pub fn report(error: &anyhow::Error) -> u8 {
    let advice = advice::on(error).map(|advice| format!(": {advice}")).unwrap_or_default();
    say(&format!("error: {}{advice}", shortened(&paragraph(error))));
    if error.is::<Usage>() { USAGE } else { FAILED }
}

/// The most characters of a message: one that quotes a file can be as long as the file.
const LONGEST: usize = 8_000;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes more)", &text[..end], text.len() - end),
        None => text.to_string(),
    }
}

/// An error and its causes as one text. A cause that the text before it quotes already is left out.
fn paragraph(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(|cause| without_backtrace(&cause.to_string()).to_string()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// candle's errors end in a backtrace where `RUST_BACKTRACE` is set.
fn without_backtrace(text: &str) -> &str {
    text.split_once("\n   0: ").map_or(text, |(message, _)| message)
}

/// Whether nobody reads what is written.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// What was said of the last panic.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps what a panic says: where a library's panic is caught and becomes an error, there is nothing to tell.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("unknown cause");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = format!("{place}: {what}");
    }));
}

/// A panic that nobody caught is a bug of this program: says so in a sentence instead of a trace; gives the exit code.
pub fn report_bug() -> u8 {
    let panic = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    say(&match lacks_threads(&panic) {
        true => "error: cannot start another thread: raise the limit on processes (`ulimit -u`), or set \
                 RAYON_NUM_THREADS to a smaller number"
            .to_string(),
        false => format!("error: this is a bug in ksom{panic}. Please report it with the command that led to it"),
    });
    FAILED
}

/// Whether a panic says that the system allowed no further thread: libraries that start threads know no other way.
fn lacks_threads(panic: &str) -> bool {
    let told = ["failed to spawn thread", "can't spawn worker thread", "thread pool has not been initialized"];
    told.iter().any(|text| panic.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_said_once() {
        let error = anyhow!("no such file").context("cannot read a.png: no such file").context("encoding failed");
        assert_eq!(paragraph(&error), "encoding failed: cannot read a.png: no such file");
    }

    #[test]
    fn a_missing_thread_is_no_bug() {
        assert!(lacks_threads(" (x.rs:1:1): failed to spawn thread: Os { code: 11, kind: WouldBlock }"));
        assert!(!lacks_threads(" (x.rs:1:1): index out of bounds"));
    }

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"é".repeat(LONGEST + 3));
        assert!(long.ends_with("é… (6 bytes more)") && long.chars().count() < LONGEST + 20, "{long}");
    }

    #[test]
    fn backtraces_are_left_out() {
        let text = "unsupported dtype BF16 for op matmul\n   0: bt\n             at error.rs:260:25\n   1: main\n";
        assert_eq!(
            paragraph(&anyhow!("{text}").context("reconstructing")),
            "reconstructing: unsupported dtype BF16 for op matmul"
        );
    }

    #[test]
    fn a_broken_pipe_is_recognized_under_context() {
        let pipe: Result<(), _> = Err(std::io::Error::from(ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&pipe.context("writing the result").unwrap_err()));
        assert!(!is_broken_pipe(&anyhow!("other")));
    }
}
