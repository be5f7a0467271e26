//! Arithmetic coding of single bits: 32-bit bounds, probabilities in 4096ths. docs/codes.md has it in words.

/// Probabilities are given in so many parts.
pub(crate) const ONE: u32 = 1 << 12;

/// Bits → bytes.
pub(crate) struct Encoder {
    low: u32,
    high: u32,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { low: 0, high: u32::MAX, bytes: Vec::new() }
    }

    /// Writes a bit that is 1 with probability `p` / 4096, 0 < p < 4096.
    pub(crate) fn bit(&mut self, bit: bool, p: u32) {
        let middle = split(self.low, self.high, p);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.bytes.push((self.high >> 24) as u8);
            self.low <<= 8;
            self.high = self.high << 8 | 0xFF;
        }
    }

    /// The bytes: four more, which any number between the bounds would do for.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(self.high.to_be_bytes());
        self.bytes
    }
}

/// Bytes → bits.
pub(crate) struct Decoder<'a> {
    low: u32,
    high: u32,
    value: u32,
    rest: &'a [u8],
    /// Bytes that were asked for beyond the end.
    missing: usize,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { low: 0, high: u32::MAX, value: 0, rest: bytes, missing: 0 };
        (0..4).for_each(|_| decoder.shift());
        decoder
    }

    fn shift(&mut self) {
        let next = match self.rest.split_first() {
            Some((&first, rest)) => {
                self.rest = rest;
                first
            }
            None => {
                self.missing += 1;
                0
            }
        };
        self.value = self.value << 8 | u32::from(next);
    }

    /// The next bit, which was written with the same probability.
    pub(crate) fn bit(&mut self, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        let bit = self.value <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 0xFF;
            self.shift();
        }
        bit
    }

    /// Whether all bytes were used, and no more.
    pub(crate) fn is_at_the_end(&self) -> bool {
        self.rest.is_empty() && self.missing == 0
    }
}

/// The last value that stands for a 1.
fn split(low: u32, high: u32, p: u32) -> u32 {
    low + ((u64::from(high - low) * u64::from(p)) >> 12) as u32
}
