//! Names of tensors as training programs wrap them, and without the wrapping.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};

/// Parts that wrappers put into names, at any depth: DataParallel and its kin, and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// A tensor that every model of a kind has: what stands before it in all names is a prefix.
const ANCHORS: [&str; 2] = ["_pre_vq_conv.weight", "quantize_conv_t.weight"];

/// The same entries under the names that the model has for them.
///
/// Left out are the parts that wrappers add, and what stands before all names of a model that is held by another
/// (`model.`, `net.`), as Lightning writes it. Entries outside of it stay, to be named as what they are: too much.
///
/// # Errors
/// Two entries would get one name, or several models are in it.
pub(crate) fn unwrapped<T>(entries: BTreeMap<String, T>, path: &Path) -> Result<BTreeMap<String, T>> {
    let mut plain = BTreeMap::new();
    for (name, entry) in entries {
        let short = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".");
        if plain.insert(short, entry).is_some() {
            let message = format!("{name:?} is there twice, but for what wrappers add to names");
            return Err(Error::file(path, message));
        }
    }
    let prefix_of = |name: &String| {
        ANCHORS.iter().find_map(|anchor| {
            let prefix = name.strip_suffix(anchor)?;
            (prefix.is_empty() || prefix.ends_with('.')).then(|| prefix.to_string())
        })
    };
    let prefixes: Vec<String> = plain.keys().filter_map(prefix_of).collect();
    match &prefixes[..] {
        [prefix] => Ok(plain
            .into_iter()
            .map(|(name, entry)| (name.strip_prefix(prefix.as_str()).map_or(name.clone(), str::to_string), entry))
            .collect()),
        [] => Ok(plain),
        _ => {
            let message = format!("expected one model, found {}: {}", prefixes.len(), prefixes.join(", "));
            Err(Error::file(path, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Result<Vec<String>> {
        let entries = names.iter().map(|name| (name.to_string(), ())).collect();
        Ok(unwrapped(entries, Path::new("x.pth"))?.into_keys().collect())
    }

    #[test]
    fn wrappers_are_taken_off() {
        let plain = ["_encoder._conv_1.weight", "_pre_vq_conv.weight"];
        for wrapped in [
            ["_encoder._conv_1.weight", "_pre_vq_conv.weight"],
            ["module._encoder._conv_1.weight", "module._pre_vq_conv.weight"],
            ["_orig_mod.module._encoder._conv_1.weight", "_orig_mod.module._pre_vq_conv.weight"],
            ["module._orig_mod._encoder._conv_1.weight", "module._orig_mod._pre_vq_conv.weight"],
            ["_encoder._orig_mod._conv_1.weight", "_pre_vq_conv._orig_mod.weight"],
            ["model.net._encoder._conv_1.weight", "model.net._pre_vq_conv.weight"],
            ["model._orig_mod._encoder._conv_1.weight", "model._orig_mod._pre_vq_conv.weight"],
        ] {
            assert_eq!(names(&wrapped).unwrap(), plain, "{wrapped:?}");
        }
    }

    #[test]
    fn what_is_beside_the_model_stays_and_two_models_are_refused() {
        assert_eq!(names(&["model._pre_vq_conv.weight", "loss.w"]).unwrap(), ["_pre_vq_conv.weight", "loss.w"]);
        let error = names(&["a.quantize_conv_t.weight", "b.quantize_conv_t.weight"]).unwrap_err().to_string();
        assert!(error.contains("found 2: a., b."), "{error}");
        let error = names(&["a.x", "module.a.x"]).unwrap_err().to_string();
        assert!(error.contains("there twice"), "{error}");
    }
}
