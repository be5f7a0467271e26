//! How likely the next bit is a 1: what followed in each of several contexts, mixed by weights that learn.
//!
//! Whole numbers throughout, so that every machine predicts alike; [docs/codes.md] defines each step.
//!
//! [docs/codes.md]: https://github.com/ksom-rs/ksom/blob/main/docs/codes.md

use crate::codes::arithmetic::ONE;

/// Contexts that are mixed.
pub(crate) const CONTEXTS: usize = 4;

/// No bit is ever held to be more certain than all but so many 4096ths: so a bit costs at least 1/710 of one.
const LEAST: u32 = 4;

/// A slot moves by a share of its error that falls with the bits it has seen, up to so many.
const LONGEST_MEMORY: u32 = 255;

/// Weights count 65,536ths; this is where each begins.
const FIRST_WEIGHT: i32 = 20_000;
/// Beyond this no weight goes.
const LARGEST_WEIGHT: i32 = 1 << 22;
/// How fast weights learn.
const RATE: i32 = 12;

/// Bounds of the logarithm of odds, in 256ths.
const FARTHEST: i64 = 2047;

/// A slot: 22 bits of probability and 10 that count, the first of them turned over so that an unused slot, which says
/// one half, is 0 and costs no memory until it is used.
const HALF: u32 = 1 << 31;

pub(crate) struct Mixer {
    /// Logarithm of odds + 2047 → 4096ths: round(4096 / (1 + e^(−x/256))).
    squash: Vec<u32>,
    /// 4096ths → logarithm of odds: round(256 ln((p + ½) / (4095½ − p))).
    stretch: Vec<i32>,
    /// One table of 2^bits slots per context.
    slots: Vec<u32>,
    bits: u32,
    /// One set per place of a bit in its code.
    weights: Vec<[i32; CONTEXTS]>,
    /// What the last prediction was made of.
    at: [usize; CONTEXTS],
    inputs: [i32; CONTEXTS],
    set: usize,
    p: u32,
}

impl Mixer {
    /// A mixer of tables of 2^`bits` slots, with as many sets of weights as a code has bits.
    pub(crate) fn new(bits: u32, sets: usize) -> Self {
        let squash = |x: i64| (4096.0 / (1.0 + (-(x as f64) / 256.0).exp())).round() as u32;
        let stretch = |p: u32| {
            let p = f64::from(p) + 0.5;
            (256.0 * (p / (4096.0 - p)).ln()).round() as i32
        };
        Self {
            squash: (-FARTHEST..=FARTHEST).map(squash).collect(),
            stretch: (0..ONE).map(stretch).collect(),
            slots: vec![0; CONTEXTS << bits],
            bits,
            weights: vec![[FIRST_WEIGHT; CONTEXTS]; sets],
            at: [0; CONTEXTS],
            inputs: [0; CONTEXTS],
            set: 0,
            p: ONE / 2,
        }
    }

    /// The probability, in 4096ths, that the bit at place `set` of its code is a 1: `node` is a 1 followed by the code's
    /// bits before it, below 2^20; contexts are below 2^43.
    pub(crate) fn predict(&mut self, contexts: &[u64; CONTEXTS], node: u32, set: usize) -> u32 {
        self.set = set;
        let mut sum = 0;
        for (i, context) in contexts.iter().enumerate() {
            let key = (context << 20 | u64::from(node)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let hash = (key ^ key >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            self.at[i] = (i << self.bits) + (hash >> (64 - self.bits)) as usize;
            self.inputs[i] = self.stretch[((self.slots[self.at[i]] ^ HALF) >> 20) as usize];
            sum += i64::from(self.weights[set][i]) * i64::from(self.inputs[i]);
        }
        let odds = (sum >> 16).clamp(-FARTHEST, FARTHEST) + FARTHEST;
        self.p = self.squash[odds as usize].clamp(LEAST, ONE - LEAST);
        self.p
    }

    /// Learns what the bit was that was predicted last.
    pub(crate) fn learn(&mut self, bit: bool) {
        let error = RATE * (if bit { ONE as i32 } else { 0 } - self.p as i32);
        for i in 0..CONTEXTS {
            let weight = &mut self.weights[self.set][i];
            *weight = (*weight + ((self.inputs[i] * error + (1 << 13)) >> 14)).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT);
            let slot = &mut self.slots[self.at[i]];
            let (p, seen) = ((*slot ^ HALF) >> 10, *slot & 0x3FF);
            let target = if bit { (1 << 22) - 1 } else { 0 };
            let step = ((i64::from(target) - i64::from(p)) * i64::from(131_072 / (2 * seen + 3))) >> 16;
            let p = (i64::from(p) + step) as u32;
            *slot = (p << 10 | (seen + 1).min(LONGEST_MEMORY)) ^ HALF;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables are made with the system's exponential and logarithm: none of their values lies so near to a half that
    /// another library would round it differently.
    #[test]
    fn tables_do_not_depend_on_the_last_digits() {
        let far = |x: f64| ((x - x.floor()) - 0.5).abs() > 1e-9;
        for x in -FARTHEST..=FARTHEST {
            // The middle of the table is a whole number.
            assert!(far(4096.0 / (1.0 + (-(x as f64) / 256.0).exp())), "{x}");
        }
        for p in 0..ONE {
            let p = f64::from(p) + 0.5;
            assert!(far(256.0 * (p / (4096.0 - p)).ln()), "{p}");
        }
        let mixer = Mixer::new(1, 1);
        assert_eq!((mixer.squash[0], mixer.squash[2047], mixer.squash[4094]), (1, 2048, 4095));
        assert_eq!((mixer.stretch[0], mixer.stretch[2048], mixer.stretch[4095]), (-2307, 0, 2307));
    }
}
