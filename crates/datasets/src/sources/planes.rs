//! Pictures stored as planes of bytes.

/// Three planes of bytes, [3, H, W], → [H, W, 3].
pub(crate) fn interleave(planes: &[u8], out: &mut Vec<u8>) {
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    for ((red, green), blue) in red.iter().zip(green).zip(blue) {
        out.extend([*red, *green, *blue]);
    }
}
