//! Whether two recipes are the same training.

use ksom_datasets::Normalization;

use crate::training::recipe::{DataRecipe, NormalizationChoice, Recipe, TrainingRecipe};

impl Recipe {
    /// Sections of `asked` that say something else than this recipe of a training that was started, which has its
    /// choices settled. With `base_model`, what comes from the base model is not compared. More steps are the same
    /// training, going on for longer.
    pub fn differences(&self, asked: &Recipe, base_model: bool) -> Vec<&'static str> {
        // Left open, the size is what fits the pictures.
        let any_size = base_model && asked.data.size.is_none();
        let data = |recipe: &Recipe| DataRecipe {
            normalization: NormalizationChoice::Measure,
            size: recipe.data.size.filter(|_| !any_size),
            ..recipe.data.clone()
        };
        let normalization = |choice| match choice {
            NormalizationChoice::Measure | NormalizationChoice::Base => None,
            NormalizationChoice::Imagenet => Some(Normalization::IMAGENET),
            NormalizationChoice::Half => Some(Normalization::HALF),
            NormalizationChoice::Given(given) => Some(given),
        };
        // What is measured comes out the same on the same data.
        let same_normalization = match (normalization(self.data.normalization), normalization(asked.data.normalization))
        {
            (Some(started), Some(asked)) => base_model || started == asked,
            _ => true,
        };
        // Where the learning rate falls to the last step, more of them are another training.
        let steps = match self.training.schedule.knows_no_end() {
            true => self.training.steps.max(asked.training.steps),
            false => self.training.steps,
        };
        let longer = TrainingRecipe { steps, ..self.training.clone() };
        let same = [
            ("architecture", base_model || self.architecture == asked.architecture),
            ("quantizer", base_model || self.quantizer == asked.quantizer),
            ("data", data(self) == data(asked) && same_normalization),
            ("training", longer == asked.training),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(section, _)| section).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_section() {
        let find = |name, set: &[&str]| {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            Recipe::find(name, &set).unwrap()
        };
        let mut started = find("cifar10", &["lr=1e-4"]);
        started.data.normalization = NormalizationChoice::Given(Normalization::IMAGENET);
        assert!(started.differences(&find("cifar10", &["lr=1e-4"]), false).is_empty());
        assert_eq!(started.differences(&find("cifar10", &[]), false), ["training"]);
        assert!(started.differences(&find("cifar10", &["lr=1e-4", "steps=30001"]), false).is_empty());
        assert_eq!(started.differences(&find("cifar10", &["lr=1e-4", "steps=29999"]), false), ["training"]);
        let falling = find("cifar10", &["schedule=cosine"]);
        assert_eq!(falling.differences(&find("cifar10", &["schedule=cosine", "steps=30001"]), false), ["training"]);
        let other = find("cifar10", &["lr=1e-4", "num_codes=64", "normalization=half"]);
        assert_eq!(started.differences(&other, false), ["quantizer", "data"]);
        assert!(started.differences(&other, true).is_empty());
        started.data.size = Some([32, 32]);
        assert!(started.differences(&find("cifar10", &["lr=1e-4"]), true).is_empty());
        assert_eq!(started.differences(&find("cifar10", &["lr=1e-4", "size=[64,64]"]), true), ["data"]);
    }
}
