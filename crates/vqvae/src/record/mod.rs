//! What is written down of a model: the log of its training, and the figures measured afterwards.

pub(crate) mod recorded;
pub(crate) mod run_log;
pub(crate) mod writer;

pub use recorded::{RecordedMetrics, record_evaluation};
pub use run_log::{LoggedLevel, LoggedStep, LoggedValidation, RunLog};
