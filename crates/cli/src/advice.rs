//! What helps on the command line after an error of the library, which knows of no options.

use std::borrow::Cow;

use ksom_datasets::DatasetError;
use ksom_vqvae::Error;

use crate::processes;

/// What helps where a picture of a data set cannot be read.
const LEAVE_OUT: &str = "--skip-unreadable leaves out pictures that cannot be read";

/// The options that help, if one does.
pub fn on(error: &anyhow::Error) -> Option<Cow<'static, str>> {
    let error = error.chain().find_map(|cause| cause.downcast_ref::<Error>())?;
    Some(Cow::Borrowed(match error {
        Error::Memory { accumulate: Some(parts), .. } | Error::OutOfMemory { accumulate: Some(parts), .. } => {
            return Some(format!("--set accumulate={parts}").into());
        }
        Error::Data(DatasetError::Image { .. } | DatasetError::TooLarge { .. }) => LEAVE_OUT,
        Error::Data(DatasetError::Io { path, .. }) if path.is_file() => LEAVE_OUT,
        Error::NoModel { .. } => "`ksom list` names known models",
        Error::NoTraining { .. } => "start the training without --resume",
        Error::TrainingExists { .. } | Error::Busy { .. } if let Some(advice) = processes::advice() => advice,
        Error::TrainingExists { .. } => "resume it with --resume, or choose another folder",
        Error::NoData { .. } => "or name some with --data",
        Error::NoPictures { .. } => "name their new place with --data",
        Error::TooFewImages { .. } => "such as --set valid_fraction=0.5",
        Error::Sides { .. } => "--set 'size=[WIDTH,HEIGHT]'",
        Error::NotFinite { .. } => "--set lr=...",
        Error::Device { device, .. } if device != "cpu" => "or use --device cpu",
        Error::OutOfMemory { .. } => "--device cpu computes in the computer's own memory",
        Error::Type { .. } => "choose another --dtype (f32 works everywhere)",
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn advice_is_found_under_context() {
        let exists = || Error::TrainingExists { run: "runs/a".into() };
        let error = Err::<(), _>(exists()).context("starting the training").unwrap_err();
        assert!(on(&error).unwrap().contains("--resume"));
        assert!(on(&exists().into()).unwrap().contains("--resume"));
        assert_eq!(on(&Error::Invalid("a number".into()).into()), None);
    }

    #[test]
    fn a_device_without_memory_is_told_what_takes_less() {
        let full = |accumulate| Error::OutOfMemory {
            device: "the CUDA device",
            what: Some("training on 64 pictures of 32×32 at once (a batch of 256, accumulate = 4)".into()),
            cause: "DriverError(CUDA_ERROR_OUT_OF_MEMORY)".into(),
            accumulate,
        };
        let error = anyhow::Error::from(full(Some(8)));
        assert_eq!(on(&error).unwrap(), "--set accumulate=8");
        let told = error.to_string();
        for part in
            ["64 pictures", "a batch of 256", "accumulate = 4", "the CUDA device", "OUT_OF_MEMORY", "in 8 parts"]
        {
            assert!(told.contains(part), "{told}");
        }
        assert!(on(&full(None).into()).unwrap().contains("--device cpu"));
    }
}
