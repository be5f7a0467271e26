//! A library's panic as an error.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Runs `work`. A panic in it becomes an error that says what it said, and nothing is written on stderr.
///
/// What a panic writes is decided for the whole process. Meanwhile panics of other threads write what they did before; a
/// hook that another thread sets meanwhile is lost.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before: Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync> = Arc::from(take_hook());
    let (here, others) = (thread::current().id(), Arc::clone(&before));
    set_hook(Box::new(move |panic| {
        if thread::current().id() != here {
            others(panic);
        }
    }));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    set_hook(Box::new(move |panic| before(panic)));
    outcome.map_err(|panic| match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text.to_string(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| -> () { panic!("no such thing") }), Err("no such thing".into()));
        let index = 3;
        assert_eq!(caught(|| -> () { panic!("index {index}") }), Err("index 3".into()));
        assert!(caught(|| -> () { std::panic::panic_any(1u8) }).is_err());
        // And once more, after all these.
        let empty: Vec<u8> = Vec::new();
        assert!(caught(|| empty.clone().swap_remove(0)).unwrap_err().contains("swap_remove"));
    }
}
