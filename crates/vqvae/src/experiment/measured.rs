//! What a run's best weights make of all validation pictures: how many codes they use, and the bits that these take.

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
use crate::model::config::Architecture;

/// What was measured; means over sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Pictures of all sets.
    pub images: usize,
    /// Mean squared error of the reconstruction in normalized units.
    pub mse: f64,
    /// Bits per pixel that the codes take without further coding.
    pub bits_per_pixel: f64,
    /// Bits per pixel that they take where each code takes as many as its frequency asks for.
    pub entropy_per_pixel: f64,
    /// Use of each level's codes.
    pub levels: Vec<MeasuredLevel>,
}

/// Use of a level's codes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredLevel {
    /// The level's name.
    pub level: String,
    /// Number of codes (K).
    pub num_codes: usize,
    /// Codes that were chosen at least once.
    pub codes_in_use: f64,
    /// exp of the entropy of the code frequencies.
    pub perplexity: f64,
}

impl Measured {
    /// Of a model of this architecture on some sets, of which there is at least one.
    pub(super) fn of(architecture: &Architecture, sets: &[Evaluation]) -> Self {
        let mean =
            |figure: &dyn Fn(&Evaluation) -> f64| sets.iter().map(figure).sum::<f64>() / sets.len().max(1) as f64;
        let levels = architecture.levels();
        let level = |(number, level): (usize, &crate::model::Level)| MeasuredLevel {
            level: level.name.to_string(),
            num_codes: sets.first().map_or(0, |set| set.levels[number].num_codes),
            codes_in_use: mean(&|set| set.levels[number].codes_in_use as f64),
            perplexity: mean(&|set| set.levels[number].perplexity),
        };
        let entropy = |set: &Evaluation| {
            let of_level = |(level, used): (&crate::model::Level, &crate::evaluation::LevelEvaluation)| {
                used.perplexity.log2() / (level.stride * level.stride) as f64
            };
            levels.iter().zip(&set.levels).map(of_level).sum::<f64>()
        };
        Self {
            images: sets.iter().map(|set| set.images).sum(),
            mse: mean(&|set| set.mse),
            bits_per_pixel: mean(&|set| set.bits_per_pixel),
            entropy_per_pixel: mean(&entropy),
            levels: levels.iter().enumerate().map(level).collect(),
        }
    }
}
