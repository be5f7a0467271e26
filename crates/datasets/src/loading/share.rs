//! Parts of something that several share out among them.

use std::ops::Range;

/// Which part is one's own, of how many. The parts of things in order follow each other, and differ in size by one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The part's number, from 0.
    pub number: usize,
    /// How many parts there are; 0 counts as 1.
    pub of: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { number: 0, of: 1 }
    }
}

impl Share {
    /// The part of `count` things in order.
    ///
    /// ```
    /// use ksom_datasets::loading::Share;
    ///
    /// let parts: Vec<_> = (0..4).map(|number| Share { number, of: 4 }.range(10)).collect();
    /// assert_eq!(parts, [0..2, 2..5, 5..7, 7..10]);
    /// ```
    pub fn range(self, count: usize) -> Range<usize> {
        let of = self.of.max(1) as u128;
        let edge = |number: usize| ((number as u128).min(of) * count as u128 / of) as usize;
        edge(self.number)..edge(self.number.saturating_add(1))
    }
}
