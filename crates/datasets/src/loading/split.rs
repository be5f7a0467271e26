//! The seeded split of one set of pictures into two.

use crate::error::DatasetError;
use crate::loading::random::{Purpose, generator, permutation};

/// Splits the pictures 0 … `len` − 1 into those to train on and those held out, both sorted.
///
/// The same seed, length and fraction give the same split on every platform. `held_out` of the pictures, rounded to
/// the nearest whole number, are held out: at least one where the fraction is above 0, and never all of them; a
/// single picture is always trained on.
///
/// # Errors
/// When `held_out` is not in 0 … 1, 1 excluded.
pub fn split(len: usize, held_out: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>), DatasetError> {
    if !(0.0..1.0).contains(&held_out) {
        return Err(DatasetError::Option {
            option: "the fraction of the images to hold out",
            value: held_out.to_string(),
            reason: "it must be at least 0 and below 1".to_owned(),
        });
    }
    Ok(divide(len, held_out, seed, Purpose::Split))
}

/// Those that remain when `fraction` of `len` pictures are taken out, and those taken out.
pub(crate) fn divide(len: usize, fraction: f64, seed: u64, purpose: Purpose) -> (Vec<usize>, Vec<usize>) {
    if len < 2 || fraction <= 0.0 {
        return ((0..len).collect(), Vec::new());
    }
    let count = ((len as f64 * fraction).round() as usize).clamp(1, len - 1);
    let mut taken = permutation(&mut generator(seed, purpose, 0), len);
    let mut rest = taken.split_off(count);
    taken.sort_unstable();
    rest.sort_unstable();
    (rest, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_everything_once() {
        let (train, valid) = split(50_000, 0.2, 3).unwrap();
        assert_eq!((train.len(), valid.len()), (40_000, 10_000));
        let mut all = [train, valid].concat();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..50_000));
    }

    #[test]
    fn depends_on_the_seed_alone() {
        assert_eq!(split(100, 0.1, 5).unwrap(), split(100, 0.1, 5).unwrap());
        assert_ne!(split(100, 0.1, 5).unwrap(), split(100, 0.1, 6).unwrap());
    }

    #[test]
    fn never_leaves_training_empty() {
        assert_eq!(split(1, 0.9, 0).unwrap(), (vec![0], vec![]));
        assert_eq!(split(0, 0.9, 0).unwrap(), (vec![], vec![]));
        assert_eq!(split(2, 0.99, 0).unwrap().0.len(), 1);
        assert_eq!(split(10, 0.001, 0).unwrap().1.len(), 1);
        assert_eq!(split(10, 0.0, 0).unwrap().1.len(), 0);
    }

    #[test]
    fn refuses_impossible_fractions() {
        for fraction in [-0.1, 1.0, 2.0, f64::NAN] {
            assert!(split(10, fraction, 0).is_err());
        }
    }
}
