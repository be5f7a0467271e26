//! Codes as whole numbers of any type: the smallest that holds them to write, every one to read.

use safetensors::Dtype;

/// The types that codes are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    U8,
    U16,
    U32,
}

impl Width {
    /// The smallest that holds the codes 0 … K − 1.
    pub(crate) fn of(num_codes: usize) -> Self {
        match num_codes {
            0..=0x100 => Self::U8,
            0x101..=0x1_0000 => Self::U16,
            _ => Self::U32,
        }
    }

    /// Its bits.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::U8 => 8,
            Self::U16 => 16,
            Self::U32 => 32,
        }
    }

    /// What safetensors calls it.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::U8 => Dtype::U8,
            Self::U16 => Dtype::U16,
            Self::U32 => Dtype::U32,
        }
    }

    /// What NumPy calls it.
    pub(crate) fn descr(self) -> &'static str {
        match self {
            Self::U8 => "|u1",
            Self::U16 => "<u2",
            Self::U32 => "<u4",
        }
    }

    /// Little-endian bytes of codes, all of which it holds.
    pub(crate) fn write(self, codes: impl Iterator<Item = u32>) -> Vec<u8> {
        match self {
            Self::U8 => codes.map(|code| code as u8).collect(),
            Self::U16 => codes.flat_map(|code| (code as u16).to_le_bytes()).collect(),
            Self::U32 => codes.flat_map(u32::to_le_bytes).collect(),
        }
    }
}

/// How whole numbers lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) bytes: usize,
    pub(crate) signed: bool,
    pub(crate) big_endian: bool,
}

impl Numbers {
    /// As safetensors holds them; `None` for what are no whole numbers.
    pub(crate) fn of_dtype(dtype: Dtype) -> Option<Self> {
        let (bytes, signed) = match dtype {
            Dtype::U8 => (1, false),
            Dtype::I8 => (1, true),
            Dtype::U16 => (2, false),
            Dtype::I16 => (2, true),
            Dtype::U32 => (4, false),
            Dtype::I32 => (4, true),
            Dtype::U64 => (8, false),
            Dtype::I64 => (8, true),
            _ => return None,
        };
        Some(Self { bytes, signed, big_endian: false })
    }

    /// The numbers, of which `data` holds a whole number.
    ///
    /// # Errors
    /// One is below 0, or too large for any codebook: it is named as it stands in the file.
    pub(crate) fn read(self, data: &[u8]) -> Result<Vec<u32>, String> {
        data.chunks_exact(self.bytes)
            .map(|chunk| {
                let mut wide = [0; 8];
                for (i, &byte) in chunk.iter().enumerate() {
                    wide[if self.big_endian { self.bytes - 1 - i } else { i }] = byte;
                }
                let value = u64::from_le_bytes(wide);
                let unused = 64 - 8 * self.bytes as u32;
                let signed = (value << unused) as i64 >> unused;
                if self.signed && signed < 0 {
                    return Err(format!("expected codes from 0 up, found {signed}"));
                }
                u32::try_from(value).map_err(|_| format!("expected codes below 2^32, found {value}"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_type_is_taken() {
        let bits = |num_codes| Width::of(num_codes).bits();
        assert_eq!([1, 256, 257, 65_536, 65_537, 1 << 20].map(bits), [8, 8, 16, 16, 32, 32]);
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        for (bytes, signed, big_endian) in [(1, true, false), (2, false, true), (4, true, true), (8, true, false)] {
            let numbers = Numbers { bytes, signed, big_endian };
            let data: Vec<u8> = [3u64, 100]
                .iter()
                .flat_map(|value| {
                    let mut each = value.to_le_bytes()[..bytes].to_vec();
                    if big_endian {
                        each.reverse();
                    }
                    each
                })
                .collect();
            assert_eq!(numbers.read(&data), Ok(vec![3, 100]), "{numbers:?}");
            let lowest = numbers.read(&vec![0xFF; bytes]);
            match signed {
                true => assert_eq!(lowest, Err("expected codes from 0 up, found -1".into()), "{numbers:?}"),
                false => assert_eq!(lowest, Ok(vec![0xFFFF]), "{numbers:?}"),
            }
        }
        let wide = Numbers { bytes: 8, signed: false, big_endian: false };
        assert!(wide.read(&[0xFF; 8]).unwrap_err().contains("18446744073709551615"));
    }
}
