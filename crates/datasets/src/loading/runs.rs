//! The order of pictures that lie in runs, as those of shards do: shuffled without reading all shards at once.

use rand::RngCore;

use crate::loading::random::{below, permutation};

/// Pictures are shuffled among so many at least, and among those of so many runs.
const PICTURES: usize = 8192;
const RUNS: usize = 4;

/// A permutation of the pictures of `runs`, which follow one another: the runs in an order that any is as likely as, then
/// window by window the pictures in theirs. A window is as few of the next runs as hold [`PICTURES`] pictures and are
/// [`RUNS`]; so whoever reads in this order has about that many shards open.
pub(super) fn by_runs(rng: &mut impl RngCore, runs: &[usize]) -> Vec<usize> {
    let starts: Vec<usize> = runs
        .iter()
        .scan(0, |end, run| {
            *end += run;
            Some(*end - run)
        })
        .collect();
    let total = runs.iter().sum();
    let mut pictures = Vec::with_capacity(total);
    let (mut first, mut held) = (0, 0);
    let order = permutation(rng, runs.len());
    for (number, &run) in order.iter().enumerate() {
        pictures.extend(starts[run]..starts[run] + runs[run]);
        held += usize::from(runs[run] > 0);
        let is_last = number + 1 == order.len();
        // What would be too little for a window of its own belongs to the last one.
        let goes_on = total - pictures.len() >= PICTURES;
        if is_last || (goes_on && pictures.len() - first >= PICTURES && held >= RUNS) {
            let window = &mut pictures[first..];
            for last in (1..window.len()).rev() {
                // Below `last + 1`, so it fits a usize.
                window.swap(last, below(rng, last as u64 + 1) as usize);
            }
            (first, held) = (pictures.len(), 0);
        }
    }
    pictures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loading::random::{Purpose, generator};

    #[test]
    fn every_picture_comes_once_and_few_runs_are_open() {
        let runs: Vec<usize> = (0..50).map(|run| 1000 + 37 * (run % 7)).chain([0, 3]).collect();
        let order = by_runs(&mut generator(1, Purpose::Order, 0), &runs);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..runs.iter().sum()));
        let ends: Vec<usize> = runs
            .iter()
            .scan(0, |end, run| {
                *end += run;
                Some(*end)
            })
            .collect();
        let run_of = |picture: usize| ends.partition_point(|end| *end <= picture);
        // The pictures between a run's first and last are of few runs.
        for run in 0..50 {
            let places: Vec<usize> = (0..order.len()).filter(|at| run_of(order[*at]) == run).collect();
            let span = &order[places[0]..*places.last().unwrap()];
            let mut open: Vec<usize> = span.iter().map(|picture| run_of(*picture)).collect();
            open.sort_unstable();
            open.dedup();
            assert!((RUNS..=20).contains(&open.len()), "{open:?}");
        }
        // Neighbors are mixed, and the next epoch is another one.
        let kept = order.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!(kept < 100, "{kept}");
        assert_ne!(order, by_runs(&mut generator(1, Purpose::Order, 1), &runs));
        assert_eq!(order, by_runs(&mut generator(1, Purpose::Order, 0), &runs));
        assert_eq!(by_runs(&mut generator(1, Purpose::Order, 0), &[]), Vec::<usize>::new());
    }
}
