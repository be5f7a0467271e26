//! Samples of a TIFF file, of any type.

use tiff::decoder::DecodingResult;

/// A sample: as a share of its type's range, and as the number that is stored.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub fraction: f32,
    pub number: usize,
}

/// Unpacked samples.
pub(super) struct Values {
    values: DecodingResult,
    /// Bits of a sample where several share a byte.
    bits: u8,
}

impl Values {
    /// Samples of `bits` bits each.
    pub fn new(values: DecodingResult, bits: u8) -> Self {
        Self { values, bits: if bits < 8 { bits } else { 8 } }
    }

    /// How many samples share what is stored; rows begin anew.
    pub fn per_unit(&self) -> usize {
        usize::from(8 / self.bits)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let units = match &self.values {
            DecodingResult::U8(values) => values.len(),
            DecodingResult::U16(values) => values.len(),
            DecodingResult::U32(values) => values.len(),
            DecodingResult::U64(values) => values.len(),
            DecodingResult::F16(values) => values.len(),
            DecodingResult::F32(values) => values.len(),
            DecodingResult::F64(values) => values.len(),
            DecodingResult::I8(values) => values.len(),
            DecodingResult::I16(values) => values.len(),
            DecodingResult::I32(values) => values.len(),
            DecodingResult::I64(values) => values.len(),
        };
        units * self.per_unit()
    }

    /// Sample `at`, which is below [`Self::len`].
    pub fn get(&self, at: usize) -> Sample {
        let whole = |value: u64, most: u64| Sample {
            fraction: (value as f64 / most as f64) as f32,
            number: usize::try_from(value).unwrap_or(usize::MAX),
        };
        let float = |value: f64| Sample { fraction: value.clamp(0.0, 1.0) as f32, number: 0 };
        match &self.values {
            DecodingResult::U8(values) if self.bits < 8 => {
                let (byte, within) = (values[at / self.per_unit()], at % self.per_unit());
                // The first sample of a byte is in its highest bits.
                let shifted = byte >> (8 - usize::from(self.bits) * (within + 1));
                let most = (1u64 << self.bits) - 1;
                whole(u64::from(shifted) & most, most)
            }
            DecodingResult::U8(values) => whole(values[at].into(), u8::MAX.into()),
            DecodingResult::U16(values) => whole(values[at].into(), u16::MAX.into()),
            DecodingResult::U32(values) => whole(values[at].into(), u32::MAX.into()),
            DecodingResult::U64(values) => whole(values[at], u64::MAX),
            // Of numbers with a sign the lowest is black.
            DecodingResult::I8(values) => whole(values[at].abs_diff(i8::MIN).into(), u8::MAX.into()),
            DecodingResult::I16(values) => whole(values[at].abs_diff(i16::MIN).into(), u16::MAX.into()),
            DecodingResult::I32(values) => whole(values[at].abs_diff(i32::MIN).into(), u32::MAX.into()),
            DecodingResult::I64(values) => whole(values[at].abs_diff(i64::MIN), u64::MAX),
            DecodingResult::F16(values) => float(values[at].to_f64()),
            DecodingResult::F32(values) => float(values[at].into()),
            DecodingResult::F64(values) => float(values[at]),
        }
    }
}
