//! The threads that computations are shared out among: as many as were asked for, or as the system allows.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// The variable that says how many threads there should be: rayon's own.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// More than so many threads for each core are never started, unless there are [`ALWAYS_ALLOWED`] or fewer.
const MAX_PER_CORE: usize = 4;
const ALWAYS_ALLOWED: usize = 64;

/// Where the system allows fewer threads than were asked for, so many are left to those that read pictures and talk to
/// the Hub.
const LEFT_FREE: usize = 8;

/// The threads that were started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threads {
    /// How many share computations out.
    pub count: usize,
    /// Why these are not as many as were asked for.
    pub fewer: Option<String>,
}

/// Starts the threads that computations are shared out among, once; says how many there are.
///
/// Where the system allows fewer threads than cores, as on shared machines, computations go on with those that it
/// allows. Programs that have made rayon's global pool themselves keep it.
pub fn threads() -> &'static Threads {
    static THREADS: OnceLock<Threads> = OnceLock::new();
    THREADS.get_or_init(|| {
        let (count, idle, fewer) = start();
        let pool = ThreadPoolBuilder::new().num_threads(count);
        // An error would mean that the program has a pool of its own.
        let _ = match idle.is_empty() {
            true => pool.use_current_thread().build_global(),
            false => pool.spawn_handler(hand_over(idle)).build_global(),
        };
        Threads { count: rayon::current_num_threads(), fewer }
    })
}

/// As many threads again, in a pool of their own.
pub(crate) fn own_threads() -> Result<ThreadPool> {
    let (count, idle, _) = start();
    let pool = ThreadPoolBuilder::new().num_threads(count).spawn_handler(hand_over(idle)).build();
    pool.map_err(|_| Error::Invalid("the system allows no thread to compute on: raise the limit on processes".into()))
}

/// How many threads there are to be, threads that wait to become these, and why they are not as many as were asked for.
fn start() -> (usize, Vec<Idle>, Option<String>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (wanted, odd) = wanted(std::env::var(VARIABLE).ok().as_deref(), cores);
    let idle = idle_threads(wanted);
    let allowed = idle.len();
    let count = if allowed < wanted { allowed.saturating_sub(LEFT_FREE).max(1) } else { wanted };
    let short = (allowed < wanted).then(|| {
        format!(
            "the system allows only {allowed} of {wanted} threads: using {count}; raise the limit on processes \
             (`ulimit -u`) or on memory (`ulimit -v`), or set {VARIABLE}"
        )
    });
    (count, idle, short.or(odd))
}

/// How many threads a value of the variable asks for on so many cores, and what is wrong with it.
fn wanted(value: Option<&str>, cores: usize) -> (usize, Option<String>) {
    let most = (MAX_PER_CORE * cores).max(ALWAYS_ALLOWED);
    let Some(text) = value.map(str::trim).filter(|text| !text.is_empty()) else { return (cores, None) };
    let odd = |count, what: &str| (count, Some(format!("{VARIABLE} is {text:?}, {what}: using {count} threads")));
    match text.parse::<usize>() {
        Ok(0) => (cores, None),
        Ok(count) if count <= most => (count, None),
        Ok(_) => odd(most, &format!("more than make sense on {cores} cores")),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            odd(most, &format!("more than make sense on {cores} cores"))
        }
        Err(_) => odd(cores, "which is no number of threads"),
    }
}

/// A thread that waits to become one of the pool's; without its sender it ends.
type Idle = Sender<ThreadBuilder>;

/// Starts threads until there are so many, or no more are allowed.
fn idle_threads(wanted: usize) -> Vec<Idle> {
    let start = |number: usize| {
        let (send, receive) = channel::<ThreadBuilder>();
        let name = format!("ksom-{number}");
        let run = move || {
            if let Ok(thread) = receive.recv() {
                thread.run();
            }
        };
        std::thread::Builder::new().name(name).spawn(run).ok().map(|_| send)
    };
    (0..wanted).map_while(start).collect()
}

/// How a pool gets threads that are there already: a pool that could not start all of its threads could never be made
/// again.
fn hand_over(mut idle: Vec<Idle>) -> impl FnMut(ThreadBuilder) -> std::io::Result<()> {
    move |thread| match idle.pop() {
        Some(next) => next.send(thread).map_err(|_| std::io::ErrorKind::BrokenPipe.into()),
        None => Err(std::io::ErrorKind::WouldBlock.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_believed_within_reason() {
        for value in [None, Some(""), Some("0"), Some(" ")] {
            assert_eq!(wanted(value, 6), (6, None), "{value:?}");
        }
        assert_eq!(wanted(Some(" 3 "), 6), (3, None));
        assert_eq!(wanted(Some("64"), 2), (64, None));
        assert_eq!(wanted(Some("100"), 32), (100, None));
        for huge in ["65", "100000", "99999999999999999999999"] {
            let (count, odd) = wanted(Some(huge), 2);
            assert!(count == 64 && odd.unwrap().contains(huge));
        }
        for odd in ["many", "-1", "2.5", "1e3"] {
            let (count, said) = wanted(Some(odd), 6);
            assert!(count == 6 && said.unwrap().contains("no number"), "{odd}");
        }
    }

    #[test]
    fn threads_are_started_once() {
        assert_eq!(threads(), threads());
        assert_eq!(threads().count, rayon::current_num_threads());
        assert_eq!(rayon::join(|| 1, || 2), (1, 2));
    }
}
