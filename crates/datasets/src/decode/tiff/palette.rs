//! TIFF files of a palette, made into ones of gray for a decoder that knows no palettes.

/// The tag of what samples mean, and two of its values.
const MEANING: u16 = 262;
const BLACK_IS_ZERO: u8 = 1;
const PALETTE: u16 = 3;

/// The same file with its first picture's indices said to be gray values; nothing where they are no indices.
pub(super) fn as_gray(bytes: &[u8]) -> Option<Vec<u8>> {
    let little = bytes.starts_with(b"II");
    let number = |at: usize, len: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(len)?)?;
        let put = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let value = if little { bytes.iter().rev().fold(0, put) } else { bytes.iter().fold(0, put) };
        usize::try_from(value).ok()
    };
    // How long the directory's offset and number of entries are, and an entry; and where in it its value lies.
    let (offset_at, offset_len, count_len, entry_len, value_at) =
        if number(2, 2)? == 43 { (8, 8, 8, 20, 12) } else { (4, 4, 2, 12, 8) };
    let directory = number(offset_at, offset_len)?;
    let entries = number(directory, count_len)?;
    let first = directory.checked_add(count_len)?;
    for entry in 0..entries.min(bytes.len() / entry_len) {
        let at = first.checked_add(entry * entry_len)?;
        if number(at, 2)? == usize::from(MEANING) {
            let value = at + value_at;
            if number(value, 2)? != usize::from(PALETTE) {
                return None;
            }
            let mut gray = bytes.to_vec();
            let low = if little { value } else { value + 1 };
            *gray.get_mut(low)? = BLACK_IS_ZERO;
            return Some(gray);
        }
    }
    None
}
