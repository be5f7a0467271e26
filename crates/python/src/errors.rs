//! The library's errors as Python's: each kind has its class in `ksom.errors`.

use std::any::Any;
use std::io::ErrorKind;

use ksom_datasets::DatasetError;
use ksom_quantizers::QuantizerError;
use ksom_vqvae::{Error, HubProblem};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The exception for an error, with the library's message.
pub fn raised(py: Python<'_>, error: Error) -> PyErr {
    let made = exception(py, class(&error), error.to_string());
    if let Error::Hub { problem, .. } = error {
        // That an attribute cannot be set is no reason to hide the error itself.
        let _ = made.value(py).setattr("problem", problem_name(problem));
    }
    made
}

/// `ksom.InvalidError`, for what is found wrong here.
pub fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raised(py, Error::Invalid(message.into()))
}

/// The exception for a panic, which is a bug of ours.
pub fn internal(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let message = format!("this is a bug in ksom: {}. Please report what led to it", text.unwrap_or("unknown cause"));
    exception(py, "InternalError", message)
}

fn exception(py: Python<'_>, class: &str, message: String) -> PyErr {
    let found = py.import("ksom.errors").and_then(|module| module.getattr(class));
    match found.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
        Ok(class) => PyErr::from_type(class, message),
        Err(error) => error,
    }
}

/// The name of an error's class.
fn class(error: &Error) -> &'static str {
    match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => "MissingFileError",
        Error::Io { .. } => "FileError",
        Error::Config { .. } | Error::File { .. } | Error::Unconfigured { .. } | Error::Weights { .. } => "FormatError",
        Error::Pth(_) => "FormatError",
        Error::Invalid(_) | Error::Sides { .. } => "InvalidError",
        Error::NoModel { .. } => "NoModelError",
        Error::WrongModel { .. } => "WrongModelError",
        Error::Memory { .. } | Error::OutOfMemory { .. } => "OutOfMemoryError",
        Error::Device { .. } | Error::Type { .. } => "DeviceError",
        Error::Hub { .. } => "HubError",
        Error::NotTrainable
        | Error::NoTraining { .. }
        | Error::TrainingExists { .. }
        | Error::Busy { .. }
        | Error::NoData { .. }
        | Error::TooFewImages { .. }
        | Error::NotFinite { .. }
        | Error::NoPictures { .. }
        | Error::OtherPictures { .. } => "TrainingError",
        Error::Data(error) => data_class(error),
        Error::Quantizer(QuantizerError::Tensor(_)) | Error::Tensor(_) => "TensorError",
        Error::Quantizer(_) => "InvalidError",
        _ => "KsomError",
    }
}

fn data_class(error: &DatasetError) -> &'static str {
    match error {
        DatasetError::Io { source, .. } if source.kind() == ErrorKind::NotFound => "MissingFileError",
        DatasetError::Io { .. } => "FileError",
        DatasetError::Image { .. } | DatasetError::TooLarge { .. } => "PictureError",
        DatasetError::Worker(_) => "InternalError",
        DatasetError::Candle(_) => "TensorError",
        _ => "DataError",
    }
}

fn problem_name(problem: HubProblem) -> &'static str {
    match problem {
        HubProblem::Authentication => "authentication",
        HubProblem::NotFound => "not found",
        HubProblem::Offline => "offline",
        HubProblem::Unavailable => "unavailable",
        HubProblem::NoModel => "no model",
        HubProblem::Damaged => "damaged",
        HubProblem::InsideRuntime => "inside a runtime",
        HubProblem::Refused => "refused",
        _ => "other",
    }
}
