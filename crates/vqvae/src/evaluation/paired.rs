//! Whether one model does better than another on the same pictures, or whether that is chance.

use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// How often the pictures are drawn anew.
const DRAWS: usize = 10_000;
/// The interval holds this share of the draws.
const COVERAGE: f64 = 0.95;
/// Of fewer pictures no interval says anything.
const FEWEST: usize = 5;
/// The draws depend on nothing but the errors.
const SEED: u64 = 0;

/// How the mean error changed from one model to another, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairedChange {
    /// The pictures behind it.
    pub pictures: usize,
    /// The mean error after over that before, less 1: −0.05 is a gain of 5 %.
    pub change: f64,
    /// The lower end of the 95 % interval of the change; none of fewer than 5 pictures.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// What follows from it.
    pub verdict: Verdict,
}

/// What a comparison on the same pictures comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The error fell, beyond chance.
    Gain,
    /// The change is within what chance does.
    WithinNoise,
    /// The error rose, beyond chance.
    Loss,
    /// There are too few pictures to tell.
    TooFewPictures,
}

/// Compares the errors of two models on the same pictures, in the same order; `None` where there is none, their numbers
/// differ, or the first has no error at all.
///
/// The interval is that of a paired bootstrap: pictures are drawn anew, as many as there are and each with both of its
/// errors, and the change of the mean is taken of each draw. It is a function of the errors alone.
pub fn paired_change(before: &[f64], after: &[f64]) -> Option<PairedChange> {
    let pictures = before.len();
    let total: f64 = before.iter().sum();
    if pictures == 0 || after.len() != pictures || total <= 0.0 || !total.is_finite() {
        return None;
    }
    let change = after.iter().sum::<f64>() / total - 1.0;
    if pictures < FEWEST {
        let verdict = Verdict::TooFewPictures;
        return Some(PairedChange { pictures, change, low: None, high: None, verdict });
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut draw = || {
        let (mut sum_before, mut sum_after) = (0.0, 0.0);
        for _ in 0..pictures {
            // A number below `pictures`: the upper half of a product, which is even enough for so few.
            let at = ((u128::from(random.next_u64()) * pictures as u128) >> 64) as usize;
            sum_before += before[at];
            sum_after += after[at];
        }
        if sum_before > 0.0 { sum_after / sum_before - 1.0 } else { 0.0 }
    };
    let mut changes: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    changes.sort_unstable_by(f64::total_cmp);
    let outside = (DRAWS as f64 * (1.0 - COVERAGE) / 2.0) as usize;
    let (low, high) = (changes[outside], changes[DRAWS - 1 - outside]);
    let verdict = if high < 0.0 {
        Verdict::Gain
    } else if low > 0.0 {
        Verdict::Loss
    } else {
        Verdict::WithinNoise
    };
    Some(PairedChange { pictures, change, low: Some(low), high: Some(high), verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors that differ from picture to picture.
    fn errors(count: usize) -> Vec<f64> {
        (0..count).map(|at| 100.0 + (at * 37 % 101) as f64).collect()
    }

    #[test]
    fn gains_losses_and_noise_are_told_apart() {
        let before = errors(60);
        let changed = |change: &dyn Fn(usize) -> f64| -> Vec<f64> {
            before.iter().enumerate().map(|(at, error)| error * (1.0 + change(at))).collect()
        };
        let verdict = |after: &[f64]| paired_change(&before, after).unwrap();
        // Every picture 3 % better, up to a per cent: a gain, though pictures differ by a factor of two.
        let gain = verdict(&changed(&|at| -0.03 + 0.01 * (at % 3) as f64 - 0.01));
        assert_eq!((gain.verdict, gain.pictures), (Verdict::Gain, 60));
        assert!(
            (gain.change + 0.03).abs() < 0.003 && gain.low.unwrap() < gain.change && gain.high.unwrap() > gain.change
        );
        assert_eq!(verdict(&changed(&|_| 0.02)).verdict, Verdict::Loss);
        // Half of them a tenth better, half of them worse by nearly as much.
        let noise = verdict(&changed(&|at| if at % 2 == 0 { -0.1 } else { 0.09 }));
        assert_eq!(noise.verdict, Verdict::WithinNoise);
        assert!(noise.low.unwrap() < 0.0 && noise.high.unwrap() > 0.0);
        assert_eq!(verdict(&before).verdict, Verdict::WithinNoise);
        assert_eq!(verdict(&changed(&|at| 0.01 * (at % 5) as f64)), verdict(&changed(&|at| 0.01 * (at % 5) as f64)));
    }

    #[test]
    fn the_interval_is_that_of_the_standard_error() {
        // With all pictures alike before, the change is a mean of n numbers: its standard error is known.
        let count = 400;
        let after: Vec<f64> = (0..count).map(|at| 100.0 + (at * 37 % 101) as f64 - 52.0).collect();
        let found = paired_change(&vec![100.0; count], &after).unwrap();
        let mean = after.iter().sum::<f64>() / count as f64;
        let variance = after.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        let half = 1.96 * (variance / count as f64).sqrt() / 100.0;
        let ends = [found.change - half, found.change + half];
        for (end, expected) in [found.low.unwrap(), found.high.unwrap()].into_iter().zip(ends) {
            assert!((end - expected).abs() < 0.05 * half, "{end}, expected {expected}");
        }
    }

    #[test]
    fn too_few_pictures_tell_nothing() {
        assert_eq!(paired_change(&[], &[]), None);
        assert_eq!(paired_change(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(paired_change(&[0.0; 6], &[1.0; 6]), None);
        let few = paired_change(&[2.0; 4], &[1.0; 4]).unwrap();
        assert_eq!((few.change, few.low, few.verdict), (-0.5, None, Verdict::TooFewPictures));
    }
}
