//! The shapes of neighborhoods over the distance, early and late in a training.

use ksom_quantizers::QuantizerConfig;

use crate::error::{Error, Result};
use crate::figures::chart::{Chart, Curve, CurvePoint, chart_svg};
use crate::figures::neighborhoods::{KINDS, of_kind};

/// The largest grid distance that is drawn, and how finely.
const MAX_DISTANCE: f64 = 12.0;
const POINTS_PER_CELL: usize = 50;

/// Draws how much a code learns of another one's samples over their distance on the grid: the hard neighborhood above
/// the gaussian one, a line per step in `steps`, with the τ and the base of `config`.
///
/// # Errors
/// The configuration is out of bounds, or there is no step.
pub fn neighborhood_svg(config: &QuantizerConfig, steps: &[u64]) -> Result<String> {
    let charts = KINDS.iter().map(|&(kind, title)| {
        let neighborhood = of_kind(config, kind)?;
        let points = |t: u64| {
            let distances = (0..=MAX_DISTANCE as usize * POINTS_PER_CELL).map(|at| at as f64 / POINTS_PER_CELL as f64);
            distances.map(|distance| CurvePoint::single(distance, neighborhood.weight(distance, t))).collect()
        };
        let curves = steps.iter().map(|&t| Curve { label: format!("step {t}"), points: points(t) }).collect();
        let title = format!("{title}, τ = {}", config.shrink_step);
        Ok(Chart { title, x: "distance on the grid".into(), y: "weight".into(), logarithmic: false, curves })
    });
    if steps.is_empty() {
        return Err(Error::Invalid("there is no step to draw a neighborhood at".into()));
    }
    chart_svg(&charts.collect::<Result<Vec<_>>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_drawn_at_every_step() {
        let config = QuantizerConfig::ksom(12, 4);
        let svg = neighborhood_svg(&config, &[0, 1000]).unwrap();
        assert!(svg.contains("Hard neighborhood") && svg.contains("Gaussian") && svg.contains("step 1000"));
        assert!(neighborhood_svg(&config, &[]).is_err());
    }
}
