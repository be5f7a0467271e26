//! What can go wrong, and what the user is told.

use std::path::{Path, PathBuf};

use ksom_quantizers::QuantizerError;

use crate::system::device_failure::{Kind, out_of_memory, telling_line};

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
    /// Weights that nothing tells the configuration of.
    #[error(
        "{}: bare weights, with nothing that says what the model is: its configuration is needed, too", path.display()
    )]
    Unconfigured {
        /// The file.
        path: PathBuf,
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
    /// There is no model where one was expected.
    #[error("{name}: {message}")]
    NoModel {
        /// The folder or name.
        name: String,
        /// What was expected there.
        message: String,
    },
    /// Codes were made by another model, and mean nothing to this one.
    #[error("{}: {message}", path.display())]
    WrongModel {
        /// The file of codes.
        path: PathBuf,
        /// Both models, and what to do.
        message: String,
    },
    /// A model that was loaded for inference was to be trained.
    #[error("the model was loaded for inference and has no parameters to train: make it trainable first")]
    NotTrainable,
    /// There is no training to go on with.
    #[error("{}: there is no checkpoint to resume from", path.display())]
    NoTraining {
        /// The file that is missing.
        path: PathBuf,
    },
    /// A training was to be started where there is one already.
    #[error("{} already holds a training", run.display())]
    TrainingExists {
        /// The run directory.
        run: PathBuf,
    },
    /// Another process trains in the same run directory.
    #[error("another training is running in {}: wait for it or stop it, or choose another folder", run.display())]
    Busy {
        /// The run directory.
        run: PathBuf,
    },
    /// An experiment does not say what to train on.
    #[error("{}: the experiment names no data: add data = \"KIND:PATH\" to it", path.display())]
    NoData {
        /// The experiment's file.
        path: PathBuf,
    },
    /// A data set leaves nothing to train on, or nothing to validate on.
    #[error(
        "{data} leaves {train} images to train on and {valid} to validate on: training needs both; give more pictures or another valid_fraction"
    )]
    TooFewImages {
        /// The data set.
        data: String,
        /// Images to train on.
        train: usize,
        /// Images to validate on.
        valid: usize,
    },
    /// A picture's sides do not fit the network.
    #[error(
        "{name} has {width}x{height} pixels, but this network needs sides that are multiples of {stride}: bring all pictures to one size"
    )]
    Sides {
        /// The picture.
        name: String,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// What both must be multiples of.
        stride: usize,
    },
    /// More memory is needed than there is.
    #[error(
        "{what} needs at least {:.1} GB of memory{}, {:.1} GB are available{}",
        *needed as f64 / 1e9,
        device.map(|device| format!(" on {device}")).unwrap_or_default(),
        *available as f64 / 1e9,
        in_parts(*accumulate)
    )]
    Memory {
        /// What it is for.
        what: String,
        /// Bytes needed at least.
        needed: u64,
        /// Bytes available.
        available: u64,
        /// The device that it is needed on, if that has its own.
        device: Option<&'static str>,
        /// Into how many parts a batch can be cut so that it may fit, if that helps.
        accumulate: Option<usize>,
    },
    /// A device ran out of memory.
    #[error("{}{device} ran out of memory ({cause}){}", during(.what.as_deref()), in_parts(*accumulate))]
    OutOfMemory {
        /// The device.
        device: &'static str,
        /// What was computed.
        what: Option<String>,
        /// What the driver says.
        cause: String,
        /// Into how many parts a batch can be cut to need about half of it, if that helps.
        accumulate: Option<usize>,
    },
    /// A device cannot be used.
    #[error("{message}")]
    Device {
        /// Its name, such as `cuda:0`.
        device: String,
        /// Why, and what to do.
        message: String,
    },
    /// A device does not compute in a type.
    #[error("{device} does not compute this network in {dtype}: {cause}")]
    Type {
        /// The device.
        device: &'static str,
        /// The type.
        dtype: &'static str,
        /// What the operation that failed says.
        cause: String,
    },
    /// The processes that train together cannot go on together.
    #[error("{0}")]
    Team(String),
    /// Training met a loss or gradient that is not finite.
    #[error(
        "training stopped at step {step}: the {what} is {value}, not a finite number; {last_good}. Try a smaller learning rate"
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
    /// A model on the Hub could not be read or written.
    #[error("{subject}: {message}")]
    Hub {
        /// Its name.
        subject: String,
        /// The kind of problem.
        problem: HubProblem,
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
    Quantizer(QuantizerError),
    /// A PyTorch checkpoint could not be read.
    #[cfg(feature = "pth")]
    #[error(transparent)]
    Pth(#[from] crate::checkpoint::pth::PthError),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[source] candle_core::Error),
}

/// What kind of problem there is with a model on the Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubProblem {
    /// A token is missing, is not accepted, or may not do this.
    Authentication,
    /// There is no such repository, revision or file, as far as the token can see.
    NotFound,
    /// The network is switched off, and the cache does not hold it.
    Offline,
    /// The Hub cannot be reached, or asks to come back later.
    Unavailable,
    /// The repository holds no model of this kind.
    NoModel,
    /// What arrived, or lies in the cache, is not what the Hub names.
    Damaged,
    /// The call came from async code, where it would block a thread that must not be blocked.
    InsideRuntime,
    /// The Hub refuses for another reason.
    Refused,
}

impl From<candle_core::Error> for Error {
    /// Where a device ran out of memory, the error says so.
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        match out_of_memory(&text) {
            Some(kind) => {
                let device = match kind {
                    Kind::Cuda => "the CUDA device",
                    Kind::Metal => "the Metal device",
                };
                Self::OutOfMemory { device, what: None, cause: telling_line(&text).to_string(), accumulate: None }
            }
            None => Self::Tensor(error),
        }
    }
}

impl From<QuantizerError> for Error {
    fn from(error: QuantizerError) -> Self {
        match error {
            QuantizerError::Tensor(error) => match Self::from(error) {
                Self::Tensor(error) => Self::Quantizer(QuantizerError::Tensor(error)),
                out_of_memory => out_of_memory,
            },
            other => Self::Quantizer(other),
        }
    }
}

impl From<Error> for candle_core::Error {
    /// For use inside candle's own functions: the message stays, and a tensor error stays what it was.
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(error) => error,
            other => candle_core::Error::wrap(other),
        }
    }
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { operation, path: path.to_path_buf(), source }
    }

    pub(crate) fn config(path: &Path, message: impl Into<String>) -> Self {
        Self::Config { path: path.to_path_buf(), message: message.into() }
    }

    /// Says of a device that ran out of memory what it was computing, and into how many parts it can be cut.
    pub(crate) fn while_computing(self, doing: impl FnOnce() -> (String, Option<usize>)) -> Self {
        match self {
            Self::OutOfMemory { device, what: None, cause, .. } => {
                let (what, accumulate) = doing();
                Self::OutOfMemory { device, what: Some(what), cause, accumulate }
            }
            other => other,
        }
    }

    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), message: message.into() }
    }
}

fn during(what: Option<&str>) -> String {
    what.map(|what| format!("{what}: ")).unwrap_or_default()
}

fn in_parts(accumulate: Option<usize>) -> String {
    accumulate.map(|parts| format!("; it takes less in {parts} parts (accumulate = {parts})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_memory_is_recognized_wherever_the_error_comes_from() {
        let cuda = || candle_core::Error::Cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into()).bt();
        let metal = || candle_core::Error::Msg("Metal error Failed to create metal resource: Buffer".into());
        for (error, name) in [
            (Error::from(cuda()), "the CUDA device"),
            (Error::from(cuda().context("convolving")), "the CUDA device"),
            (Error::from(QuantizerError::from(cuda())), "the CUDA device"),
            (Error::from(metal()), "the Metal device"),
        ] {
            assert!(matches!(&error, Error::OutOfMemory { device, .. } if *device == name), "{error:?}");
            let told = error.while_computing(|| ("encoding 3 pictures".into(), None)).to_string();
            assert!(told.starts_with("encoding 3 pictures: ") && told.contains(name), "{told}");
            assert!(!told.contains("accumulate"), "{told}");
        }
        assert!(matches!(Error::from(candle_core::Error::Msg("other".into())), Error::Tensor(_)));
        let other = QuantizerError::from(candle_core::Error::Msg("other".into()));
        assert!(matches!(Error::from(other), Error::Quantizer(QuantizerError::Tensor(_))));
    }
}
