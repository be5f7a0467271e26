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
    /// Of the numbers; nothing of none.
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
}
