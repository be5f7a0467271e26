//! What became of a request that failed: what to tell, and whether to try again.

use std::time::Duration;

use crate::error::{Error, HubProblem};

/// Tries of a request, and the wait after the first; each further wait is twice as long.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that the Hub can ask for, a little more than its own windows of five minutes; beyond it the user
/// decides.
const MAX_WAIT: Duration = Duration::from_secs(310);

/// A request that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It will fail again.
    Final(HubProblem, String),
    /// Another try may succeed, after the time that the Hub asked for.
    Passing { message: String, wait: Duration },
    /// Something on this machine.
    Local(Error),
}

impl Failure {
    /// Worth another try.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self::Passing { message: message.into(), wait: Duration::ZERO }
    }

    /// Whether it says nothing about the model, so that an older copy of it is still good.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Passing { .. })
    }

    /// What kind of problem it is.
    pub(crate) fn problem(&self) -> HubProblem {
        match self {
            Self::Final(problem, _) => *problem,
            Self::Passing { .. } | Self::Local(_) => HubProblem::Unavailable,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Passing { message, wait } if !wait.is_zero() => {
                format!("{message}: try again in {} s", wait.as_secs())
            }
            Self::Final(_, message) | Self::Passing { message, .. } => message.clone(),
            Self::Local(error) => error.to_string(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

/// Counts tries, and waits between them.
pub(crate) struct Attempts {
    left: u32,
    wait: Duration,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self { left: ATTEMPTS - 1, wait: FIRST_WAIT }
    }

    /// Waits for the next try; gives the failure back where there is no sense in another one.
    pub(crate) fn wait(&mut self, failure: Failure, on_retry: &mut dyn FnMut(&str, Duration)) -> Result<(), Failure> {
        match &failure {
            Failure::Passing { message, wait } if self.left > 0 && *wait <= MAX_WAIT => {
                let wait = self.wait.max(*wait);
                on_retry(message, wait);
                std::thread::sleep(wait);
                self.left -= 1;
                self.wait *= 2;
                Ok(())
            }
            _ => Err(failure),
        }
    }
}

/// Tries until it succeeds, until another try makes no sense, or until there were enough of them.
pub(crate) fn retry<T>(
    on_retry: &mut dyn FnMut(&str, Duration),
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut attempts = Attempts::new();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(failure) => attempts.wait(failure, on_retry)?,
        }
    }
}
