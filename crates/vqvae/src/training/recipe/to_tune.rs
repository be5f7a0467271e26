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
            match place_of(&fields, key) {
                Ok((section, _)) if ["architecture", "quantizer"].contains(&section.as_str()) => {
                    return Err(Error::Invalid(format!(
                        "{key} is the model's own, and cannot be set where training goes on from one: leave it out, or \
                         train a new model; a map of another size comes with --num-codes (in Python num_codes)"
                    )));
                }
                _ => {}
            }
        }
        Ok(recipe)
    }
}
