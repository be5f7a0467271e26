//! Grids of codes ↔ few bytes: each code bit by bit, given its neighbors to the left and above.
//!
//! Neighboring codes resemble each other, so a code takes fewer bits than its type has: `photos-ksom`'s 9 become 4 to 5.
//! The form is called [`NAME`]; another one would get another name.

use crate::codes::arithmetic::{Decoder, Encoder};
use crate::codes::images::CodeGrid;
use crate::codes::mixing::{CONTEXTS, Mixer};
use crate::system::memory;

/// What the description of a codes file calls this form.
pub(crate) const NAME: &str = "ksom-mix-1";

/// The most bits of codes that a byte can stand for; see `LEAST` in mixing.rs.
const MAX_BITS_PER_BYTE: u64 = 8 * 1024;

/// The most codes of a level.
const MAX_COUNT: u64 = 1 << 32;

/// Sizes of the mixer's tables, as exponents of 2.
const TABLE_BITS: std::ops::RangeInclusive<u32> = 12..=22;

/// Bits that hold the codes 0 … K − 1.
fn bits_of(num_codes: usize) -> u32 {
    num_codes.saturating_sub(1).checked_ilog2().map_or(0, |last| last + 1)
}

/// What writing and reading have in common: the walk over all codes, and a bit's probability.
struct Walk {
    bits: u32,
    /// Stands for a neighbor that lies outside of the picture.
    outside: u64,
    mixer: Mixer,
}

impl Walk {
    /// For `count` codes below `num_codes`.
    fn new(count: u64, num_codes: usize) -> Self {
        let bits = bits_of(num_codes);
        let table = count.saturating_mul(u64::from(bits)).max(1).next_power_of_two().ilog2();
        let mixer = Mixer::new(table.clamp(*TABLE_BITS.start(), *TABLE_BITS.end()), bits as usize);
        Self { bits, outside: num_codes as u64, mixer }
    }

    /// Contexts of the code at `at` of a grid `width` wide, of which all codes before it are known.
    fn contexts(&self, codes: &[u32], width: usize, at: usize) -> [u64; CONTEXTS] {
        let known = |there: bool, back: usize| if there { u64::from(codes[at - back]) } else { self.outside };
        let (left, up) = (known(!at.is_multiple_of(width), 1), known(at >= width, width));
        [0, 1 + left, 1 + up, 1 + left * (self.outside + 1) + up]
    }

    /// Goes through a code's bits, the highest first: `bit` writes or reads one of the given probability.
    fn code(&mut self, contexts: &[u64; CONTEXTS], mut bit: impl FnMut(u32, u32) -> bool) -> u32 {
        let mut node = 1;
        for place in 0..self.bits {
            let p = self.mixer.predict(contexts, node, place as usize);
            let bit = bit(self.bits - 1 - place, p);
            self.mixer.learn(bit);
            node = node << 1 | u32::from(bit);
        }
        node - (1 << self.bits)
    }
}

/// The codes of one level of all pictures, all below `num_codes` → bytes.
pub(crate) fn compress<'a>(grids: impl Iterator<Item = &'a CodeGrid> + Clone, num_codes: usize) -> Vec<u8> {
    let mut walk = Walk::new(grids.clone().map(|grid| grid.codes.len() as u64).sum(), num_codes);
    let mut encoder = Encoder::new();
    for grid in grids {
        for (at, code) in grid.codes.iter().enumerate() {
            let contexts = walk.contexts(&grid.codes, grid.width, at);
            walk.code(&contexts, |place, p| {
                let bit = code >> place & 1 == 1;
                encoder.bit(bit, p);
                bit
            });
        }
    }
    encoder.finish()
}

/// Bytes → one grid for each of `shapes` (rows, columns).
///
/// # Errors
/// Says what is wrong: more codes than so few bytes can hold, or than fit into memory; bytes that are left over or
/// missing; a code that is not below `num_codes`.
pub(crate) fn decompress(bytes: &[u8], shapes: &[(usize, usize)], num_codes: usize) -> Result<Vec<CodeGrid>, String> {
    let cells = |&(h, w): &(usize, usize)| (h as u64).saturating_mul(w as u64);
    let count = shapes.iter().map(cells).fold(0, u64::saturating_add);
    let most = (bytes.len() as u64).saturating_mul(MAX_BITS_PER_BYTE);
    let bits = u64::from(bits_of(num_codes));
    // Codes of no bits at all take no bytes.
    if count.saturating_mul(bits) > most || count > MAX_COUNT {
        return Err(format!("{} bytes cannot hold {count} codes", bytes.len()));
    }
    memory::require(4 * count, || format!("{count} codes")).map_err(|error| error.to_string())?;
    let mut walk = Walk::new(count, num_codes);
    let mut decoder = Decoder::new(bytes);
    let mut grids = Vec::with_capacity(shapes.len());
    for &(height, width) in shapes {
        let mut codes = Vec::with_capacity(height * width);
        for at in 0..height * width {
            let contexts = walk.contexts(&codes, width, at);
            let code = walk.code(&contexts, |_, p| decoder.bit(p));
            if code as usize >= num_codes {
                return Err(format!("expected codes below {num_codes}, found {code}"));
            }
            codes.push(code);
        }
        grids.push(CodeGrid { height, width, codes });
    }
    if !decoder.is_at_the_end() {
        return Err("the compressed codes are damaged: they end where they should not".to_string());
    }
    Ok(grids)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn random(num_codes: usize, shapes: &[(usize, usize)], seed: u64) -> Vec<CodeGrid> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut grid = |&(height, width): &(usize, usize)| {
            let codes = (0..height * width).map(|_| rng.random_range(0..num_codes as u32)).collect();
            CodeGrid { height, width, codes }
        };
        shapes.iter().map(&mut grid).collect()
    }

    #[test]
    fn every_number_of_codes_comes_back() {
        let shapes = [(3, 5), (1, 1), (7, 2), (16, 16)];
        for num_codes in [1, 2, 3, 255, 256, 257, 512, 1000, 65_536, 1 << 20] {
            let grids = random(num_codes, &shapes, num_codes as u64);
            let bytes = compress(grids.iter(), num_codes);
            assert_eq!(decompress(&bytes, &shapes, num_codes).unwrap(), grids, "{num_codes}");
        }
        assert_eq!(decompress(&compress([].iter(), 512), &[], 512).unwrap(), []);
    }

    #[test]
    fn what_repeats_takes_few_bytes_and_noise_hardly_more_than_its_bits() {
        let flat = CodeGrid { height: 64, width: 64, codes: vec![77; 64 * 64] };
        let bytes = compress([&flat].into_iter(), 512);
        assert!(bytes.len() < 120, "{} bytes", bytes.len());
        assert_eq!(decompress(&bytes, &[(64, 64)], 512).unwrap(), [flat]);
        let noise = random(512, &[(64, 64)], 5);
        let bytes = compress(noise.iter(), 512).len();
        assert!(bytes < 64 * 64 * 9 / 8 * 21 / 20, "{bytes} bytes");
    }

    /// The same bytes from everywhere and for all time: written files depend on it.
    #[test]
    fn the_form_is_fixed() {
        let codes = (0..60u32).map(|i| (i * i / 7 + i % 5) % 16).collect();
        let grid = CodeGrid { height: 6, width: 10, codes };
        assert_eq!(compress([&grid].into_iter(), 16), FIXED);
    }

    const FIXED: &[u8] = &[
        250, 147, 185, 202, 135, 102, 239, 59, 50, 6, 82, 214, 118, 73, 15, 197, 144, 142, 225, 19, 80, 158, 54, 61,
        130, 78, 210, 128, 221, 163, 209, 74, 21, 247, 218,
    ];

    #[test]
    fn lies_are_refused() {
        let grids = random(512, &[(8, 8)], 1);
        let bytes = compress(grids.iter(), 512);
        let refused = |bytes: &[u8], shapes: &[(usize, usize)], num_codes| {
            let error = decompress(bytes, shapes, num_codes).unwrap_err();
            assert!(!error.is_empty());
            error
        };
        assert!(refused(&bytes, &[(1 << 28, 1 << 28)], 512).contains("cannot hold"));
        assert!(refused(&[], &[(1, 1)], 512).contains("cannot hold"));
        refused(&bytes[..bytes.len() - 3], &[(8, 8)], 512);
        refused(&[&bytes[..], &[0; 9]].concat(), &[(8, 8)], 512);
        refused(&bytes, &[(8, 8)], 300);
        refused(&bytes, &[(8, 4)], 512);
    }
}
