//! A logarithmic axis with marks at round numbers, also where it spans less than a decade.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// Below this, an axis has too few marks to be read.
const FEWEST_MARKS: usize = 3;

/// An axis from one number above 0 to another.
#[derive(Clone, Debug)]
pub(super) struct LogAxis {
    low: f64,
    high: f64,
}

impl LogAxis {
    /// The axis from `low` to `high`, both above 0.
    pub(super) fn new(low: f64, high: f64) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        Self { low, high: high.min(f64::MAX).max(low * 1.001) }
    }

    /// Marks at one, three, nine or ninety numbers a decade: the fewest that suffice, thinned to at most `most`.
    fn marks(&self, most: usize) -> Vec<f64> {
        let sets: [Vec<f64>; 4] = [
            vec![1.0],
            vec![1.0, 2.0, 5.0],
            (1..10).map(f64::from).collect(),
            (10..100).map(|tenths| f64::from(tenths) / 10.0).collect(),
        ];
        let decades = self.low.log10().floor() as i32..=self.high.log10().floor() as i32;
        let of_set = |set: &Vec<f64>| -> Vec<f64> {
            let marks = decades.clone().flat_map(|decade| set.iter().map(move |mark| mark * 10f64.powi(decade)));
            marks.filter(|mark| (self.low..=self.high).contains(mark)).collect()
        };
        let marks = sets.iter().map(of_set).find(|marks| marks.len() >= FEWEST_MARKS).unwrap_or_default();
        let step = marks.len().div_ceil(most.max(1)).max(1);
        marks.into_iter().step_by(step).collect()
    }
}

impl Ranged for LogAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        limit.0 + (share.clamp(0.0, 1.0) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.marks(hint.max_num_points())
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_axes_have_marks() {
        let marks = |low, high| LogAxis::new(low, high).marks(10);
        assert_eq!(marks(0.9, 1200.0), [1.0, 10.0, 100.0, 1000.0]);
        let close = |found: &[f64], expected: &[f64]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-9)
        };
        assert!(close(&marks(0.15, 1.1), &[0.2, 0.5, 1.0]));
        assert!(close(&marks(0.35, 0.75), &[0.4, 0.5, 0.6, 0.7]));
        assert!(marks(0.41, 0.52).len() >= 3);
        assert!(marks(1e-300, 1e300).len() <= 10);
    }
}
