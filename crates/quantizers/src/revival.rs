//! Codes without use that take vectors of the batch.

use candle_core::{Device, Tensor};

use crate::error::{QuantizerError, Result};

/// Some vectors of a batch, in an order that is random and yet depends on nothing but the vectors and the step: each is
/// ranked by a hash of both. So the sample of a whole batch is the same however the batch was cut into parts.
#[derive(Clone, Debug)]
pub struct Sample {
    dim: usize,
    /// How many are kept.
    most: usize,
    /// The vectors' ranks, in order, none twice.
    ranks: Vec<u64>,
    /// The vectors one after another, in the order of their ranks.
    values: Vec<f32>,
}

impl Sample {
    /// At most `most` different rows of `x` f32 [N, D].
    pub(crate) fn of(x: &Tensor, most: usize, step: u64) -> Result<Self> {
        let dim = x.dim(1)?;
        let values = x.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?;
        let ranks =
            values.chunks(dim).map(|row| row.iter().fold(mixed(step), |hash, v| mixed(hash ^ u64::from(v.to_bits()))));
        Ok(Self { dim, most, ranks: ranks.collect(), values }.ordered())
    }

    /// The rows of `x` f32 [N, D] as they are.
    pub(crate) fn in_order(x: &Tensor) -> Result<Self> {
        let (n, dim) = x.dims2()?;
        let values = x.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?;
        Ok(Self { dim, most: n, ranks: (0..n as u64).collect(), values })
    }

    /// The sample of two parts of a batch together.
    pub fn and(mut self, other: Self) -> Self {
        self.ranks.extend(other.ranks);
        self.values.extend(other.values);
        Self { most: self.most.max(other.most), ..self }.ordered()
    }

    fn ordered(self) -> Self {
        let mut places: Vec<usize> = (0..self.ranks.len()).collect();
        places.sort_unstable_by_key(|&place| self.ranks[place]);
        places.dedup_by_key(|place| self.ranks[*place]);
        places.truncate(self.most);
        Self {
            ranks: places.iter().map(|&place| self.ranks[place]).collect(),
            values: places.iter().flat_map(|&place| &self.values[place * self.dim..][..self.dim]).copied().collect(),
            ..self
        }
    }

    /// As bytes, for another process: three numbers (dimension, most, vectors), ranks and values, little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.dim as u64, self.most as u64, self.ranks.len() as u64];
        let whole = numbers.iter().chain(&self.ranks).flat_map(|number| number.to_le_bytes());
        whole.chain(self.values.iter().flat_map(|value| value.to_le_bytes())).collect()
    }

    /// From the bytes of [`Sample::to_bytes`].
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if they are not such bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read = || {
            let (numbers, rest) = bytes.split_at_checked(24)?;
            let mut numbers =
                numbers.chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().unwrap_or_default()));
            let mut next = || usize::try_from(numbers.next()?).ok();
            let (dim, most, count) = (next()?, next()?, next()?);
            let (ranks, values) = rest.split_at_checked(count.checked_mul(8)?)?;
            let ranks = ranks.chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().unwrap_or_default()));
            let fits = dim > 0 && values.len() == count.checked_mul(dim)?.checked_mul(4)?;
            let values = values.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap_or_default()));
            fits.then(|| Self { dim, most, ranks: ranks.collect(), values: values.collect() })
        };
        read().ok_or_else(|| QuantizerError::Input {
            operation: "read a sample",
            expected: "the bytes of one".into(),
            found: format!("{} bytes", bytes.len()),
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// So many of the vectors, f32 [count, D]: from the first again after the last.
    pub(crate) fn tensor(&self, count: usize, device: &Device) -> Result<Tensor> {
        let values: Vec<f32> = self.values.iter().copied().cycle().take(count * self.dim).collect();
        Ok(Tensor::from_vec(values, (count, self.dim), device)?)
    }
}

/// One round of SplitMix64.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Which codes take which vectors.
pub(crate) struct Takeover<'a> {
    sample: &'a Sample,
    /// The codes, each of which takes the vector of the same place.
    codes: Vec<usize>,
    num_codes: usize,
}

impl<'a> Takeover<'a> {
    /// The codes whose counts are below `threshold`, in ascending order; none if there is none, or no vector. Where they are
    /// more than the vectors, as many of them from a place that the step decides: the others come later.
    pub(crate) fn new(counts: &[f32], threshold: f64, sample: &'a Sample, step: u64) -> Option<Self> {
        let unused = |code: &usize| f64::from(counts[*code]) < threshold;
        let mut codes: Vec<usize> = (0..counts.len()).filter(unused).collect();
        if codes.len() > sample.len() {
            let first = (mixed(step) % codes.len() as u64) as usize;
            codes.rotate_left(first);
            codes.truncate(sample.len());
        }
        (!codes.is_empty()).then_some(Self { sample, codes, num_codes: counts.len() })
    }

    /// The vectors that are taken, f32 [M, D].
    pub(crate) fn vectors(&self, device: &Device) -> Result<Tensor> {
        self.sample.tensor(self.codes.len(), device)
    }

    /// The rows `old` [K, C], but the rows `new` [M, C] at the codes that take over.
    pub(crate) fn of(&self, old: &Tensor, new: &Tensor) -> Result<Tensor> {
        let mut places: Vec<u32> = (0..self.num_codes as u32).collect();
        for (row, &code) in self.codes.iter().enumerate() {
            places[code] = (self.num_codes + row) as u32;
        }
        let places = Tensor::new(places, old.device())?;
        Ok(Tensor::cat(&[old, new], 0)?.index_select(&places, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(first: u32, count: u32) -> Tensor {
        let values: Vec<f32> = (2 * first..2 * (first + count)).map(|value| value as f32 * 0.37).collect();
        Tensor::from_vec(values, (count as usize, 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_batch_in_parts_has_the_same_sample() {
        let whole = Sample::of(&rows(0, 40), 12, 5).unwrap();
        let parts = [(0, 7), (7, 20), (27, 13)].map(|(first, count)| Sample::of(&rows(first, count), 12, 5).unwrap());
        let joined = parts.into_iter().reduce(|a, b| b.and(a)).unwrap();
        assert_eq!((whole.len(), &whole.values), (12, &joined.values));
        let again = Sample::from_bytes(&whole.to_bytes()).unwrap();
        assert_eq!((again.ranks, again.values), (whole.ranks.clone(), whole.values.clone()));
        for torn in [&whole.to_bytes()[1..], &[], &[255; 24]] {
            assert!(Sample::from_bytes(torn).is_err());
        }
        assert_ne!(whole.values, Sample::of(&rows(0, 40), 12, 6).unwrap().values);
        // The same vector twice is one.
        assert_eq!(Sample::of(&rows(0, 3), 9, 0).unwrap().and(Sample::of(&rows(1, 3), 9, 0).unwrap()).len(), 4);
    }

    #[test]
    fn unused_codes_take_different_vectors() {
        let sample = Sample::in_order(&rows(0, 2)).unwrap();
        let taken = Takeover::new(&[1.0, 0.1, 2.0, 0.4], 0.5, &sample, 0).unwrap();
        let old = Tensor::full(9f32, (4, 2), &Device::Cpu).unwrap();
        let found = taken.of(&old, &taken.vectors(&Device::Cpu).unwrap()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found, [[9.0, 9.0], [0.0, 0.37], [9.0, 9.0], [0.74, 1.11]]);
        assert!(Takeover::new(&[1.0, 0.5], 0.5, &sample, 0).is_none());
        // More codes than vectors: only as many, others at another step.
        let counts = [0.0; 50];
        let codes = |step| Takeover::new(&counts, 0.5, &sample, step).unwrap().codes;
        assert_eq!(codes(0).len(), 2);
        assert!((1..20).any(|step| codes(step) != codes(0)));
    }
}
