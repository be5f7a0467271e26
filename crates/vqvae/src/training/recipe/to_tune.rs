//! Recipes for training on from a model.

use toml::Table;

use crate::error::{Error, Result};
use crate::training::recipe::Recipe;
use crate::training::recipe::overrides::place_of;

impl Recipe {
    /// As [`Recipe::find`], for training on from a model, whose architecture and quantizer take the place of the
    /// recipe's.
    ///
    /// # Errors
    /// As [`Recipe::find`], or an override is about what the model brings.
    pub fn find_to_tune(name: &str, overrides: &[String]) -> Result<Self> {
        let recipe = Self::find(name, overrides)?;
        let fields = Table::try_from(&recipe).map_err(|error| Error::Invalid(error.to_string()))?;
        for key in overrides.iter().filter_map(|entry| entry.split_once('=')).map(|(key, _)| key.trim()) {
            let is_models_own = match place_of(&fields, key) {
                Ok((section, _)) => ["architecture", "quantizer"].contains(&section.as_str()),
                // The recipe knew it, and has settled it since: `grid_dims` is a grid now.
                Err(_) => true,
            };
            if is_models_own {
                return Err(Error::Invalid(format!(
                    "{key} is the model's own, and cannot be set where training goes on from one: leave it out, or train \
                     a new model; a map of another size comes with --num-codes (in Python num_codes)"
                )));
            }
        }
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_model_brings_cannot_be_set() {
        let find = |set: &str| Recipe::find_to_tune("finetune", &[set.to_string()]);
        for own in ["decay=0.5", "num_codes=64", "grid_dims=3", "similarity=cosine", "hidden=8", "quantizer.dim=2"] {
            let error = find(own).unwrap_err().to_string();
            assert!(error.contains("the model's own"), "{own}: {error}");
        }
        for own in ["lr=1e-3", "patience=3", "schedule=cosine", "size=[32,32]", "training.only=decoder"] {
            find(own).unwrap();
        }
        assert!(find("lrr=1").unwrap_err().to_string().contains("no field"));
    }
}
