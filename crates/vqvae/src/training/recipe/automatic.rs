//! How wide a neighborhood begins and how fast it shrinks, where a recipe says `auto`.

use toml::{Table, Value};

/// For a hard neighborhood, τ · K: neighbors learn half as much as the code itself after K / 40 steps, a tenth after
/// 9 K / 40. That is how fast a map of so many codes unfolds: with 1,500 steps of 4,096 vectors, τ = 0.1 fills 512 codes,
/// 0.01 fills 4,096 and 0.002 fills 16,384, while 0.1 and 0.01 leave half of the larger two unused.
const UNFOLDING: f64 = 40.0;

/// The fastest that a hard neighborhood shrinks: the paper's τ.
const FASTEST: f64 = 0.1;

/// How much smaller the weight of neighbors in a hard neighborhood is at least when training ends, even if the map has
/// not unfolded by then: codes that learn what their neighbors learn are no different from them.
const AT_THE_END: f64 = 4.0;

/// Widths of a gaussian neighborhood between a code and its direct neighbors after half of the steps: they learn less
/// than a hundredth of what it does.
const HALFWAY: f64 = 5.0;

/// Width of a gaussian neighborhood at the start, as a share of the grid's longest side: 10 cells of the paper's 32.
const WIDTH: f64 = 10.0 / 32.0;

/// Puts numbers for `auto` in `quantizer.shrink_step` and `quantizer.gaussian_base`; the grid is settled.
pub(crate) fn settle_neighborhood(table: &mut Table) -> Result<(), String> {
    let whole = |value: Option<&Value>| value.and_then(Value::as_integer).filter(|&value| value > 0).map(|v| v as f64);
    let steps = whole(table.get("training").and_then(|training| training.get("steps")));
    let Some(quantizer) = table.get_mut("quantizer").and_then(Value::as_table_mut) else { return Ok(()) };
    let is_auto = |field: &str, quantizer: &Table| quantizer.get(field).and_then(Value::as_str) == Some("auto");
    if is_auto("gaussian_base", quantizer) {
        let sides = quantizer.get("grid").and_then(Value::as_array).into_iter().flatten();
        let Some(longest) = sides.filter_map(|side| whole(Some(side))).reduce(f64::max) else {
            return Err("quantizer.gaussian_base = \"auto\" needs quantizer.grid or quantizer.grid_dims".into());
        };
        quantizer.insert("gaussian_base".into(), Value::Float(rounded((WIDTH * longest).max(1.0))));
    }
    if is_auto("shrink_step", quantizer) {
        let (Some(num_codes), Some(steps)) = (whole(quantizer.get("num_codes")), steps) else {
            return Err("quantizer.shrink_step = \"auto\" needs quantizer.num_codes and training.steps".into());
        };
        let gaussian = quantizer.get("neighborhood").and_then(Value::as_str) == Some("gaussian");
        let base = quantizer.get("gaussian_base").and_then(|base| base.as_float().or(whole(Some(base))));
        let step = match (gaussian, base) {
            (true, Some(base)) => (HALFWAY * base - 1.0).max(1.0) / (steps / 2.0),
            (true, None) => return Err("quantizer.shrink_step = \"auto\" needs quantizer.gaussian_base".into()),
            (false, _) => (UNFOLDING / num_codes).max((AT_THE_END - 1.0) / steps).min(FASTEST),
        };
        quantizer.insert("shrink_step".into(), Value::Float(rounded(step)));
    }
    Ok(())
}

/// Two digits: what people read in `config.json`.
fn rounded(value: f64) -> f64 {
    // Numbers of this form are read again.
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use crate::{ModelConfig, Recipe};

    fn settled(set: &[&str]) -> (f64, f64) {
        let set: Vec<String> = ["shrink_step=auto"].iter().chain(set).map(ToString::to_string).collect();
        let recipe = Recipe::find("cifar10", &set).unwrap();
        // What a training keeps is the number.
        let config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
        assert!(!config.to_json().contains("auto") && !recipe.to_toml().contains("auto"));
        assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap(), recipe);
        (recipe.quantizer.shrink_step, recipe.quantizer.gaussian_base)
    }

    #[test]
    fn more_codes_shrink_more_slowly() {
        assert_eq!(settled(&["num_codes=128"]).0, 0.1);
        assert_eq!(settled(&[]).0, 0.078);
        assert_eq!(settled(&["num_codes=4096"]).0, 0.0098);
        assert_eq!(settled(&["num_codes=16384", "steps=1500"]).0, 0.0024);
        // So few steps end before such a map has unfolded.
        assert_eq!(settled(&["num_codes=65536", "steps=1500"]).0, 0.002);
    }

    #[test]
    fn gaussian_neighborhoods_are_narrow_after_half_of_the_steps() {
        assert_eq!(settled(&["neighborhood=gaussian", "steps=10000"]), (0.0098, 10.0));
        assert_eq!(settled(&["neighborhood=gaussian", "gaussian_base=auto"]).1, 10.0);
        let (step, base) = settled(&["neighborhood=gaussian", "gaussian_base=auto", "num_codes=16384", "steps=5000"]);
        assert_eq!((step, base), (0.08, 40.0));
        let halfway = (-(1.0 + 2500.0 * step) / base).exp();
        assert!((0.005..0.01).contains(&halfway), "{halfway}");
    }

    #[test]
    fn what_auto_needs_is_asked_for() {
        let set = ["shrink_step=automatic".to_string()];
        assert!(Recipe::find("cifar10", &set).is_err());
        let text = Recipe::find("cifar10", &[]).unwrap().to_toml().replace("steps = 30000\n", "");
        let error = Recipe::parse(&text, "mine", &["shrink_step=auto".to_string()]).unwrap_err().to_string();
        assert!(error.contains("training.steps"), "{error}");
    }
}
