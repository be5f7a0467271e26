//! What goes wrong, as JavaScript sees it: an `Error` whose `name` is a kind.
//!
//! | `name` | |
//! |---|---|
//! | `Config`, `Weights` | a model's files are not what they should be, or do not fit together |
//! | `Picture` | a picture cannot be decoded, or is too large |
//! | `Codes` | codes do not fit the model or the picture |
//! | `WrongModel` | codes were made by a model with another codebook |
//! | `Memory` | a picture or model needs more memory than there is |
//! | `Invalid` | a value is out of bounds |
//! | `Panic` | a bug, or a damaged picture on which a decoder failed: the module must not be used any more |
//!
//! An `Error` that is called otherwise (`Error: out of memory`, `RangeError`, `RuntimeError`) ends the module too.

use ksom_datasets::DatasetError;
use wasm_bindgen::JsValue;

/// An error with its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The `name` of the JavaScript error.
    pub kind: &'static str,
    /// Its message.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn codes(message: impl Into<String>) -> Self {
        Self::new("Codes", message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ksom_vqvae::Error> for Failure {
    fn from(error: ksom_vqvae::Error) -> Self {
        use ksom_vqvae::Error;
        let kind = match &error {
            Error::Config { .. } => "Config",
            Error::File { .. } | Error::Weights { .. } | Error::Unconfigured { .. } => "Weights",
            Error::WrongModel { .. } => "WrongModel",
            Error::Memory { .. } | Error::OutOfMemory { .. } => "Memory",
            Error::Data(_) => "Picture",
            _ => "Invalid",
        };
        Self::new(kind, error.to_string())
    }
}

impl From<DatasetError> for Failure {
    fn from(error: DatasetError) -> Self {
        Self::new("Picture", error.to_string())
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let error = js_sys::Error::new(&failure.message);
        error.set_name(failure.kind);
        error.into()
    }
}

/// Makes a panic throw an error in place of the trap that follows, which would say nothing.
#[cfg(target_arch = "wasm32")]
pub(crate) fn throw_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("unknown cause");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        wasm_bindgen::throw_val(Failure::new("Panic", format!("this is a bug in ksom{place}: {what}")).into())
    }));
}
