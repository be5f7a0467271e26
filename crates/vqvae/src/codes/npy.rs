//! NumPy's `.npy` files of whole numbers, bounded before they are believed.
//!
//! # Source
//! The format is described in NumPy's `numpy/lib/format.py`: a magic, a version, the length of a header, the header (a
//! Python dictionary), and the numbers.

use std::path::Path;

use crate::codes::numbers::{Numbers, Width};
use crate::error::{Error, Result};

/// What every such file begins with.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read.
const MAX_HEADER: usize = 1 << 16;

/// The most axes of an array.
const MAX_AXES: usize = 8;

/// An array of whole numbers from 0 up, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<u32>,
}

/// Reads an array; `path` is named in errors.
///
/// # Errors
/// It is damaged, is none of whole numbers, or holds one that is no code.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Array> {
    parse(bytes).map_err(|message| Error::file(path, message))
}

fn parse(bytes: &[u8]) -> Result<Array, String> {
    let cut = || "this .npy file is cut short".to_string();
    let rest = bytes.strip_prefix(MAGIC).ok_or("expected a .npy file")?;
    let ([major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(bytes, rest)| (usize::from(u16::from_le_bytes(*bytes)), rest)),
        2 | 3 => rest.split_first_chunk().map(|(bytes, rest)| (u32::from_le_bytes(*bytes) as usize, rest)),
        _ => return Err(format!("expected version 1, 2 or 3 of the .npy format, found {major}")),
    }
    .ok_or_else(cut)?;
    if length > MAX_HEADER {
        return Err(format!("expected a .npy header of at most {MAX_HEADER} bytes, found {length}"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "the .npy header is not text")?;
    let header = Header::parse(header)?;
    let count = header.shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
    let expected = count.and_then(|count| count.checked_mul(header.numbers.bytes));
    if expected != Some(data.len()) {
        let takes = expected.map_or("more bytes than there are".to_string(), |bytes| format!("{bytes} bytes"));
        return Err(format!("an array of {:?} should take {takes}, found {}", header.shape, data.len()));
    }
    let mut values = header.numbers.read(data)?;
    if header.fortran_order {
        values = row_by_row(&values, &header.shape);
    }
    Ok(Array { shape: header.shape, values })
}

/// Numbers whose first axis is the fastest → the same with the last axis the fastest.
fn row_by_row(values: &[u32], shape: &[usize]) -> Vec<u32> {
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at = index.iter().zip(shape).rev().fold(0, |at, (i, side)| at * side + i);
        ordered.push(values[at]);
        for (i, &side) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < side {
                break;
            }
            *i = 0;
        }
    }
    ordered
}

struct Header {
    numbers: Numbers,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// From a dictionary such as `{'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let at = [format!("'{key}'"), format!("\"{key}\"")].iter().find_map(|quoted| {
                let at = text.find(quoted.as_str())?;
                text[at + quoted.len()..].trim_start().strip_prefix(':').map(str::trim_start)
            });
            at.ok_or_else(|| format!("the .npy header lacks {key:?}"))
        };
        let descr = value("descr")?;
        let descr = match descr.chars().next() {
            Some(quote @ ('\'' | '"')) => descr[1..].split(quote).next().unwrap_or(""),
            _ => return Err("expected an array of whole numbers, found one of records".to_string()),
        };
        let fortran_order = match value("fortran_order")? {
            text if text.starts_with("True") => true,
            text if text.starts_with("False") => false,
            _ => return Err("fortran_order should be True or False in the .npy header".to_string()),
        };
        let shape = value("shape")?.strip_prefix('(').and_then(|text| text.split_once(')'));
        let shape = shape.ok_or("expected a shape such as (3, 4) in the .npy header")?.0;
        let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
        // Python 2 wrote 3 as 3L.
        let side =
            |side: &str| side.trim_end_matches('L').parse::<usize>().map_err(|_| format!("{side:?} is no length"));
        let shape = sides.map(side).collect::<Result<Vec<_>, _>>()?;
        if shape.len() > MAX_AXES {
            return Err(format!("expected at most {MAX_AXES} axes, found {}", shape.len()));
        }
        Ok(Self { numbers: numbers(descr)?, fortran_order, shape })
    }
}

/// NumPy's name of a type of whole numbers, such as `<i4`.
fn numbers(descr: &str) -> Result<Numbers, String> {
    let plain = descr.trim_start_matches(['<', '>', '|', '=']);
    let (signed, bytes) = match plain {
        "u1" | "u2" | "u4" | "u8" => (false, &plain[1..]),
        "i1" | "i2" | "i4" | "i8" => (true, &plain[1..]),
        _ => {
            return Err(format!(
                "expected whole numbers (as NumPy's uint16 or int64), found the type {descr:?}: codes.astype(\"int64\") makes them"
            ));
        }
    };
    Ok(Numbers { bytes: usize::from(bytes.as_bytes()[0] - b'0'), signed, big_endian: descr.starts_with('>') })
}

/// An array's file, all of whose numbers `width` holds.
pub(crate) fn to_bytes(shape: &[usize], values: impl Iterator<Item = u32>, width: Width) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(|side| format!("{side},")).collect();
    let (descr, shape) = (width.descr(), shape.join(" "));
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version and length are 10 bytes; the whole is a multiple of 64 and ends in a line feed.
    let padding = (10 + header.len() + 1).next_multiple_of(64) - (10 + header.len() + 1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &width.write(values)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(header: &str, data: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn arrays_come_back() {
        for (shape, width) in [(vec![2, 3], Width::U8), (vec![6], Width::U16), (vec![1, 2, 3], Width::U32)] {
            let bytes = to_bytes(&shape, 0..6, width);
            assert_eq!(bytes.len() % 64, 6 * width.bits() as usize / 8);
            assert_eq!(parse(&bytes), Ok(Array { shape, values: (0..6).collect() }));
        }
    }

    #[test]
    fn both_orders_and_other_headers_are_read() {
        let expected = Array { shape: vec![2, 3], values: vec![1, 2, 3, 4, 5, 6] };
        let fortran = made(&header(">i2", "True", "(2, 3)"), &[0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6]);
        assert_eq!(parse(&fortran), Ok(expected.clone()));
        let odd = made("{\"shape\":(2L,3L),\"fortran_order\":False,\"descr\":\"|u1\"}", &[1, 2, 3, 4, 5, 6]);
        assert_eq!(parse(&odd), Ok(expected));
        let scalar = made(&header("|u1", "False", "()"), &[9]);
        assert_eq!(parse(&scalar), Ok(Array { shape: vec![], values: vec![9] }));
        let text = header("|u1", "False", "(1,)");
        let second = [MAGIC, &[2, 0], &(text.len() as u32).to_le_bytes(), text.as_bytes(), &[7]].concat();
        assert_eq!(parse(&second).map(|array| array.values), Ok(vec![7]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let big = "(1099511627776, 1099511627776)";
        let cases = [
            (made(&header("<f4", "False", "(1,)"), &[0; 4]), "whole numbers"),
            (made(&header("|O", "False", "(1,)"), &[0; 4]), "whole numbers"),
            (made(&header("<i4", "False", "(2,)"), &[0; 4]), "should take 8 bytes, found 4"),
            (made(&header("<i4", "False", "(1,)"), &[0; 5]), "should take 4 bytes, found 5"),
            (made(&header("<i4", "False", big), &[0; 4]), "more bytes than there are"),
            (made(&header("<i8", "False", "(1,)"), &(-1i64).to_le_bytes()), "found -1"),
            (made(&header("<i4", "False", "(-1,)"), &[]), "is no length"),
            (made(&header("<i4", "Maybe", "(1,)"), &[0; 4]), "True or False"),
            (made("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}", &[0; 4]), "records"),
            (made("{}", &[]), "lacks"),
            (made(&header("<i4", "False", "(1,1,1,1,1,1,1,1,1)"), &[0; 4]), "at most 8 axes"),
            ([MAGIC, &[2, 0], &[0xFF; 4], &[0; 9]].concat(), "at most 65536 bytes"),
            ([MAGIC, &[9, 0], &[0; 9]].concat(), "version 1, 2 or 3"),
            (MAGIC.to_vec(), "cut short"),
        ];
        for (bytes, says) in cases {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
