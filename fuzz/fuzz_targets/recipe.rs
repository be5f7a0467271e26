//! Recipes and overrides: refused, or a recipe that is written and read back as it is.
#![no_main]

use ksom_vqvae::Recipe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (text, set) = text.split_once('\0').unwrap_or((text, ""));
    for recipe in [Recipe::parse(text, "fuzz", &[]), Recipe::find("cifar10", &[set.to_string()])].into_iter().flatten() {
        assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap(), recipe);
    }
});
