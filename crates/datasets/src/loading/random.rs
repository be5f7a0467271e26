//! Random numbers that are a pure function of a seed, a purpose and a number, on every platform.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are for: each purpose has a stream of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of the pictures in an epoch.
    Order,
    /// Which pictures are held out for validation.
    Split,
    /// Which of the remaining pictures are trained on.
    Selection,
    /// The crop and flip of one sample.
    Augmentation,
}

/// The generator for one `purpose`, e.g. for epoch `number`.
pub(crate) fn generator(seed: u64, purpose: Purpose, number: u64) -> ChaCha8Rng {
    let tag: [u8; 8] = match purpose {
        Purpose::Order => *b"order   ",
        Purpose::Split => *b"split   ",
        Purpose::Selection => *b"select  ",
        Purpose::Augmentation => *b"augment ",
    };
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&tag);
    key[16..24].copy_from_slice(&number.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A whole number below `bound` (which must not be 0), each equally likely.
pub(crate) fn below(rng: &mut impl RngCore, bound: u64) -> u64 {
    // The high half of a 128-bit product; the few low halves that would favor some numbers are drawn again.
    let unfair = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= unfair {
            return (product >> 64) as u64;
        }
    }
}

/// The numbers 0 … len − 1 in an order that any of the len! is as likely as (Fisher-Yates).
pub(crate) fn permutation(rng: &mut impl RngCore, len: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        // Below `last + 1`, so it fits a usize.
        numbers.swap(last, below(rng, last as u64 + 1) as usize);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_on_every_platform() {
        let mut rng = generator(7, Purpose::Order, 3);
        assert_eq!(permutation(&mut rng, 10), PINNED);
    }

    /// What another implementation of ChaCha8 and Fisher-Yates draws, so what every platform must draw.
    const PINNED: [usize; 10] = [4, 7, 8, 9, 6, 5, 1, 2, 3, 0];

    #[test]
    fn below_is_fair_and_bounded() {
        let mut rng = generator(1, Purpose::Split, 0);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[below(&mut rng, 6) as usize] += 1;
        }
        // Six standard deviations of a binomial with n = 60,000 and p = 1/6 are about 548.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 548), "{counts:?}");
        assert_eq!(below(&mut rng, 1), 0);
    }

    #[test]
    fn purposes_and_numbers_differ() {
        let draw = |seed, purpose, number| generator(seed, purpose, number).next_u64();
        let first = draw(1, Purpose::Order, 0);
        assert_ne!(first, draw(1, Purpose::Split, 0));
        assert_ne!(first, draw(1, Purpose::Order, 1));
        assert_ne!(first, draw(2, Purpose::Order, 0));
    }
}
