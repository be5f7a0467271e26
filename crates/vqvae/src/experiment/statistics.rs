//! Means over seeds, and how soon a training is nearly as good as it gets.

use serde::Serialize;

use crate::record::run_log::LoggedValidation;

/// Mean and standard deviation of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation (n − 1); none of a single number.
    pub std: Option<f64>,
}

impl Spread {
    /// Of the numbers, if there are any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, std })
    }

    /// The spread of the numbers times `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, std: self.std.map(|std| std * factor) }
    }
}

/// The step of the first validation whose error is at most `threshold`.
pub fn first_within(validations: &[LoggedValidation], threshold: f64) -> Option<u64> {
    validations.iter().find(|validation| validation.mse <= threshold).map(|validation| validation.step)
}

/// The mean of several trainings' validation errors, by step, at the steps that all of them validated.
pub fn mean_curve(runs: &[&[LoggedValidation]]) -> Vec<(u64, f64)> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let at_step = |validation: &LoggedValidation| {
        let mut sum = validation.mse;
        for run in others {
            sum += run.iter().find(|other| other.step == validation.step)?.mse;
        }
        Some((validation.step, sum / runs.len() as f64))
    };
    first.iter().filter_map(at_step).collect()
}

/// The first step of a mean curve ([`mean_curve`]) at which it is at most `factor` times the lowest point of the
/// baseline's mean curve: the paper's own measure of speed.
pub fn mean_curve_meets(curve: &[(u64, f64)], baseline: &[(u64, f64)], factor: f64) -> Option<u64> {
    let lowest = baseline.iter().map(|&(_, mse)| mse).min_by(f64::total_cmp)?;
    curve.iter().find(|&&(_, mse)| mse <= factor * lowest).map(|&(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_divide_by_one_less() {
        let spread = Spread::of([2.0, 4.0, 9.0]).unwrap();
        assert_eq!(spread.mean, 5.0);
        // (9 + 1 + 16) / 2
        assert_eq!(spread.std, Some(13f64.sqrt()));
        assert_eq!(Spread::of([7.0]), Some(Spread { mean: 7.0, std: None }));
        assert_eq!(Spread::of([]), None);
        assert_eq!(spread.scaled(2.0).mean, 10.0);
    }

    #[test]
    fn the_first_validation_within_counts() {
        let curve: Vec<LoggedValidation> = [(50, 2.0), (100, 1.15), (150, 1.05), (200, 1.2), (250, 1.0)]
            .map(|(step, mse)| LoggedValidation { step, mse, levels: Vec::new() })
            .into();
        let best = LoggedValidation::best(&curve).unwrap().mse;
        assert_eq!(first_within(&curve, 1.1 * best), Some(150));
        assert_eq!(first_within(&curve, 1.2 * best), Some(100));
        assert_eq!(first_within(&curve, 0.99), None);
        assert_eq!(first_within(&[], 1.0), None);
    }

    #[test]
    fn mean_curves_meet_where_the_mean_does_not_where_runs_do_on_average() {
        let run = |errors: [f64; 4]| -> Vec<LoggedValidation> {
            let at =
                |(number, mse): (usize, f64)| LoggedValidation { step: 10 * (number as u64 + 1), mse, levels: vec![] };
            errors.into_iter().enumerate().map(at).collect()
        };
        let (fast, slow) = (run([1.05, 1.0, 1.0, 1.0]), run([3.0, 2.0, 1.2, 1.0]));
        let mean = mean_curve(&[&fast, &slow]);
        assert_eq!(mean, [(10, 2.025), (20, 1.5), (30, 1.1), (40, 1.0)]);
        // Within 1.1 of the mean's own minimum at step 30; the runs come to it at 10 and 40: at 25 on average.
        assert_eq!(mean_curve_meets(&mean, &mean, 1.1 + 1e-12), Some(30));
        assert_eq!([&fast, &slow].map(|run| first_within(run, 1.1)), [Some(10), Some(40)]);
        // The baseline's minimum is that of its mean curve, not the mean of its runs' minima (here 0.75).
        let baseline = mean_curve(&[&run([2.0, 0.5, 2.0, 2.0]), &run([2.0, 2.0, 1.0, 2.0])]);
        assert_eq!(baseline[1], (20, 1.25));
        assert_eq!(mean_curve_meets(&mean, &baseline, 1.1), Some(30));
        assert_eq!(mean_curve_meets(&mean, &baseline, 0.7), None);
        // Steps that only some runs validated do not count; without a run there is no curve.
        assert_eq!(mean_curve(&[&fast[1..], &slow[..3]]), [(20, 1.5), (30, 1.1)]);
        assert_eq!((mean_curve(&[]), mean_curve_meets(&mean, &[], 1.1)), (vec![], None));
    }
}
