//! What can go wrong, and what the user is told.

use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Each message names the file or operation, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A `config.json` is not what it should be.
    #[error("{}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A file of weights, codes or training state is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// Weights do not fit the model.
    #[error("{origin}: the weights do not fit the configuration: {}", problems.join("; "))]
    Weights {
        /// Where the weights come from.
        origin: String,
        /// Each missing, extra or misshapen tensor.
        problems: Vec<String>,
    },
    /// A value is out of bounds or contradicts another.
    #[error("{0}")]
    Invalid(String),
    /// Training met a loss or gradient that is not finite.
    #[error(
        "training stopped at step {step}: the {what} is {value}, not a finite number; {last_good}. Try a smaller learning rate (--set lr=...)"
    )]
    NotFinite {
        /// The step that failed, counted from 0.
        step: u64,
        /// Which quantity.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Which checkpoint is good.
        last_good: String,
    },
    /// A model on the Hub could not be had or written.
    #[error("{subject}: {message}")]
    Hub {
        /// Its name.
        subject: String,
        /// What was found, and what to do.
        message: String,
    },
    /// The pictures that a training was started with are not where they were.
    #[error("{} was started with the pictures in {data}, which cannot be opened: {source}", run.display())]
    NoPictures {
        /// The run directory.
        run: PathBuf,
        /// The data set.
        data: String,
        /// Why it cannot be opened.
        source: Box<ksom_datasets::DatasetError>,
    },
    /// There are other pictures than a training was started with.
    #[error(
        "{data} does not hold the training images that {} was started with: {differences}. Any picture of a missing \
         one's name, in its place, lets the training go on, and so does taking new ones out; or start anew in another \
         folder",
        run.display()
    )]
    OtherPictures {
        /// The run directory.
        run: PathBuf,
        /// The data set.
        data: String,
        /// Which pictures are missing or new.
        differences: String,
    },
    /// The training data could not be read.
    #[error(transparent)]
    Data(#[from] ksom_datasets::DatasetError),
    /// A quantizer refused its input.
    #[error(transparent)]
    Quantizer(#[from] ksom_quantizers::QuantizerError),
    /// A PyTorch checkpoint could not be read.
    #[error(transparent)]
    Pth(#[from] crate::checkpoint::pth::PthError),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { operation, path: path.to_path_buf(), source }
    }

    pub(crate) fn config(path: &Path, message: impl Into<String>) -> Self {
        Self::Config { path: path.to_path_buf(), message: message.into() }
    }

    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), message: message.into() }
    }
}
