//! How the learning rate goes over a training.

use serde::{Deserialize, Serialize};

/// The course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The same throughout.
    #[default]
    Constant,
    /// Half a cosine wave down to 0 at the last step (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
    Cosine,
    /// A straight line down to 0 at the last step.
    Linear,
}

/// A learning rate as a function of the step alone, so that nothing of it has to be kept in a checkpoint.
///
/// ```
/// use ksom_vqvae::training::{LearningRate, Schedule};
///
/// let rate = LearningRate { peak: 1e-3, schedule: Schedule::Cosine, warmup_steps: 100, steps: 1100 };
/// assert_eq!(rate.at(49), 0.5e-3);
/// assert_eq!(rate.at(100), 1e-3);
/// assert!((rate.at(600) - 0.5e-3).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    /// The rate after the warm-up.
    pub peak: f64,
    /// Its course from there.
    pub schedule: Schedule,
    /// Steps in which it rises to the peak in equal parts.
    pub warmup_steps: u64,
    /// Steps in all.
    pub steps: u64,
}

impl LearningRate {
    /// The rate of the step after `step` steps: 0 for the first.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * ((step + 1) as f64 / self.warmup_steps as f64);
        }
        let falling = self.steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let gone = ((step - self.warmup_steps) as f64 / falling).min(1.0);
        match self.schedule {
            Schedule::Constant => self.peak,
            Schedule::Cosine => self.peak * 0.5 * (1.0 + (std::f64::consts::PI * gone).cos()),
            Schedule::Linear => self.peak * (1.0 - gone),
        }
    }
}

impl Schedule {
    /// Whether a training of more steps takes the same first ones.
    pub(crate) fn knows_no_end(self) -> bool {
        self == Self::Constant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_to_the_peak_and_fall_to_nothing() {
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::Linear] {
            let rate = LearningRate { peak: 2.0, schedule, warmup_steps: 4, steps: 12 };
            let rates: Vec<f64> = (0..14).map(|step| rate.at(step)).collect();
            assert_eq!(rates[..5], [0.5, 1.0, 1.5, 2.0, 2.0], "{schedule:?}");
            let end = if schedule == Schedule::Constant { 2.0 } else { 0.0 };
            assert_eq!((rates[12], rates[13]), (end, end), "{schedule:?}");
            assert!(rates[4..].windows(2).all(|pair| pair[1] <= pair[0]), "{schedule:?}");
        }
        let halfway = |schedule| LearningRate { peak: 1.0, schedule, warmup_steps: 0, steps: 100 }.at(50);
        assert!((halfway(Schedule::Cosine) - 0.5).abs() < 1e-12);
        assert_eq!(halfway(Schedule::Linear), 0.5);
        // A warm-up that is all of the training.
        let all = LearningRate { peak: 1.0, schedule: Schedule::Cosine, warmup_steps: 10, steps: 10 };
        assert_eq!((all.at(9), all.at(10)), (1.0, 1.0));
    }
}
