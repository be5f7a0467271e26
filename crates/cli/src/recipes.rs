//! Whether two recipes are the same training.

use ksom_datasets::Normalization;
use ksom_vqvae::{DataRecipe, NormalizationChoice, Recipe};

/// Sections of `asked` that say something else than the training that was `started`, which has its choices settled.
/// With `base_model`, what comes from the base model is not compared.
pub fn differences(started: &Recipe, asked: &Recipe, base_model: bool) -> Vec<&'static str> {
    let data = |recipe: &Recipe| DataRecipe { normalization: NormalizationChoice::Measure, ..recipe.data.clone() };
    let normalization = |choice| match choice {
        NormalizationChoice::Measure | NormalizationChoice::Base => None,
        NormalizationChoice::Imagenet => Some(Normalization::IMAGENET),
        NormalizationChoice::Half => Some(Normalization::HALF),
        NormalizationChoice::Given(given) => Some(given),
    };
    // What is measured comes out the same on the same data.
    let same_normalization = match (normalization(started.data.normalization), normalization(asked.data.normalization))
    {
        (Some(started), Some(asked)) => base_model || started == asked,
        _ => true,
    };
    let same = [
        ("architecture", base_model || started.architecture == asked.architecture),
        ("quantizer", base_model || started.quantizer == asked.quantizer),
        ("data", data(started) == data(asked) && same_normalization),
        ("training", started.training == asked.training),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(section, _)| section).collect()
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
        assert!(differences(&started, &find("cifar10", &["lr=1e-4"]), false).is_empty());
        assert_eq!(differences(&started, &find("cifar10", &[]), false), ["training"]);
        let other = find("cifar10", &["lr=1e-4", "num_codes=64", "normalization=half"]);
        assert_eq!(differences(&started, &other, false), ["quantizer", "data"]);
        assert!(differences(&started, &other, true).is_empty());
    }
}
