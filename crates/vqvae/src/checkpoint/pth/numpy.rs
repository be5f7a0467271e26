//! NumPy's scalars in a pickle: `np.int64(128)` among the arguments of a training is a call with a type and bytes.
//!
//! Source: `numpy/_core/multiarray` (`scalar`), `numpy.dtype.__reduce__`, and `_codecs.encode`, by which protocol 2
//! writes bytes as text.

use super::node::{Node, NumpyType, Result};

/// The most bytes of a scalar, which is a number or a short text. Longer ones are arrays, which nobody asks for.
const MAX_BYTES: usize = 1 << 10;

/// What a call of NumPy's, or of those that its scalars are written with, gives; `None` where it is another one.
pub(super) fn call<'a>(module: &str, name: &str, arguments: &[&Node<'_>]) -> Result<Option<Node<'a>>> {
    Ok(match (module, name, arguments) {
        ("_codecs", "encode", [Node::Text(text), ..]) => bytes_of(text).map(Node::Bytes),
        ("numpy", "dtype", [Node::Text(code), ..]) if code.len() <= 8 => {
            Some(Node::NumpyType(NumpyType { code: (*code).to_owned(), big_endian: false }))
        }
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar", [Node::NumpyType(kind), Node::Bytes(bytes)]) => {
            Some(scalar(kind, bytes)?)
        }
        _ => None,
    })
}

/// Bytes that were written as text, a letter each; `None` for more than a scalar has.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    if text.len() > 2 * MAX_BYTES {
        return None;
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The scalar of a type with these bytes; one that has no meaning here is nothing.
fn scalar<'a>(kind: &NumpyType, bytes: &[u8]) -> Result<Node<'a>> {
    let mut wide = [0; 8];
    let number = |wide: &mut [u8; 8]| {
        for (i, &byte) in bytes.iter().enumerate().take(8) {
            wide[if kind.big_endian { bytes.len() - 1 - i } else { i }] = byte;
        }
        u64::from_le_bytes(*wide)
    };
    let code = kind.code.as_str();
    let (letter, size) = code.split_at_checked(1).unwrap_or(("", ""));
    let size: usize = size.parse().unwrap_or(0);
    let expected = if letter == "U" { size.checked_mul(4) } else { Some(size) };
    let known = matches!(code, "b1" | "i1" | "i2" | "i4" | "i8" | "u1" | "u2" | "u4" | "u8" | "f2" | "f4" | "f8");
    if !known && letter != "U" {
        return Ok(Node::None);
    }
    if expected != Some(bytes.len()) || bytes.len() > MAX_BYTES {
        return Err(format!("a NumPy scalar of type {code:?} cannot have {} bytes", bytes.len()));
    }
    Ok(match code {
        "b1" => Node::Bool(bytes[0] != 0),
        "f2" => Node::Float(half(number(&mut wide) as u16)),
        "f4" => Node::Float(f32::from_bits(number(&mut wide) as u32).into()),
        "f8" => Node::Float(f64::from_bits(number(&mut wide))),
        "u8" => match i64::try_from(number(&mut wide)) {
            Ok(value) => Node::Int(value),
            Err(_) => Node::Float(number(&mut wide) as f64),
        },
        _ if letter == "u" => Node::Int(number(&mut wide) as i64),
        _ if letter == "i" => {
            let unused = 64 - 8 * size as u32;
            Node::Int((number(&mut wide) << unused) as i64 >> unused)
        }
        // Text in UTF-32.
        _ => {
            let letters = bytes.as_chunks::<4>().0.iter().map(|letter| {
                let letter = if kind.big_endian { u32::from_be_bytes(*letter) } else { u32::from_le_bytes(*letter) };
                char::from_u32(letter).ok_or_else(|| format!("{letter} is no letter"))
            });
            let text: String = letters.collect::<Result<_>>()?;
            Node::OwnText(text.trim_end_matches('\0').to_string())
        }
    })
}

/// A number of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: &str, big_endian: bool, bytes: &[u8]) -> Result<Node<'static>> {
        scalar(&NumpyType { code: code.to_string(), big_endian }, bytes)
    }

    #[test]
    fn scalars_of_every_type_are_read() {
        let whole = |code: &str, big_endian, bytes: &[u8]| match read(code, big_endian, bytes) {
            Ok(Node::Int(value)) => value,
            _ => panic!("{code}"),
        };
        assert_eq!(whole("i8", false, &128i64.to_le_bytes()), 128);
        assert_eq!(whole("i4", true, &(-5i32).to_be_bytes()), -5);
        assert_eq!(whole("u1", false, &[200]), 200);
        assert_eq!(whole("i1", false, &[200]), -56);
        let number = |code: &str, bytes: &[u8]| match read(code, false, bytes) {
            Ok(Node::Float(value)) => value,
            _ => panic!("{code}"),
        };
        assert_eq!(number("f4", &0.25f32.to_le_bytes()), 0.25);
        assert_eq!(number("f8", &0.1f64.to_le_bytes()), 0.1);
        assert_eq!(number("f2", &[0x00, 0xC1]), -2.5);
        assert_eq!(number("u8", &u64::MAX.to_le_bytes()), u64::MAX as f64);
        assert!(matches!(read("b1", false, &[1]), Ok(Node::Bool(true))));
        let text = [b'h', 0, 0, 0, 0xE4, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(read("U3", false, &text), Ok(Node::OwnText(text)) if text == "hä"));
        assert!(matches!(read("M8", false, &[0; 8]), Ok(Node::None)));
    }

    #[test]
    fn scalars_of_another_size_are_refused() {
        for (code, bytes) in [("i8", 4), ("b1", 0), ("f8", 9), ("U2", 4), ("U99999999", 8), ("U400", 1600)] {
            assert!(read(code, false, &vec![0; bytes]).is_err(), "{code}");
        }
        assert!(read("U1", false, &[0xFF; 4]).is_err());
    }
}
