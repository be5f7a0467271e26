//! Whether a training that goes on is the one that is asked for.

use crate::error::{Error, Result};
use crate::training::recipe::Recipe;
use crate::training::trainer::{Trainer, recipe_path};

impl Trainer {
    /// Goes on as a recipe with overrides asks for, after [`Trainer::resume`]: to its number of steps. Without the name
    /// of a recipe the training's own is meant; `num_codes` is what its map was to be stretched to.
    ///
    /// # Errors
    /// Another training is asked for ([`Error::Invalid`] says in what it differs), or as [`Trainer::train_to`].
    pub fn continue_as(&mut self, recipe: Option<&str>, overrides: &[String], num_codes: Option<usize>) -> Result<()> {
        let recorded = recipe_path(&self.run);
        let is_tuned = self.model.config().provenance.base_model.is_some();
        let asked = match recipe {
            Some(name) if is_tuned => Recipe::find_to_tune(name, overrides)?,
            Some(name) => Recipe::find(name, overrides)?,
            None => Recipe::read(&recorded, overrides)?,
        };
        // A recipe by name has another quantizer than the base model brought; the training's own has that.
        let mut differ = self.recipe.differences(&asked, is_tuned && recipe.is_some());
        if num_codes.is_some_and(|asked| asked != self.recipe.quantizer.num_codes) {
            differ.push("the number of codes");
        }
        if !differ.is_empty() {
            return Err(Error::Invalid(format!(
                "the training in {} goes on as it was started, but what is asked for differs from {} in: {}. Leave out \
                 the recipe, what overrides it, the seed and the number of codes, ask for no fewer steps, or start anew \
                 in another folder",
                self.run.display(),
                recorded.display(),
                differ.join(", ")
            )));
        }
        self.train_to(asked.training.steps)
    }
}
