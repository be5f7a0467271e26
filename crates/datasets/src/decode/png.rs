//! PNG, also where the file's end was lost but no pixel.

use std::borrow::Cow;

use flate2::Crc;
use image::ImageFormat;

use crate::decode::by_image::by_image;
use crate::decode::options::{DecodeOptions, Decoded};
use crate::error::DatasetError;

/// What a PNG file ends with.
const END: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";
/// What stands before the first chunk.
const SIGNATURE: usize = 8;

/// Decodes a PNG file. One without its last chunk is completed first: whether pixels are missing is for the decoder to
/// tell.
pub(super) fn decode(bytes: &[u8], name: &str, options: &DecodeOptions) -> Result<Decoded, DatasetError> {
    let whole = completed(bytes);
    let remark = matches!(whole, Cow::Owned(_)).then_some("the PNG file's end is missing, but no pixel is");
    Ok(Decoded { pixels: by_image(&whole, ImageFormat::Png, name, options)?, remark })
}

/// The file with an end: as it is where it has one.
fn completed(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut at = SIGNATURE;
    // A chunk is a length, a kind, so many bytes, and a checksum.
    while let Some(head) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let [len, kind] = [&head[..4], &head[4..]];
        let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let next = at.saturating_add(12).saturating_add(len);
        if next > bytes.len() {
            break;
        }
        if kind == b"IEND" {
            return Cow::Borrowed(bytes);
        }
        at = next;
    }
    let (whole, rest) = bytes.split_at(at.min(bytes.len()));
    let mut file = whole.to_vec();
    if rest.len() > 8 && &rest[4..8] == b"IDAT" {
        // Part of the pixels' data, or all but its checksum: as much as there is becomes a chunk.
        let stated = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let data = &rest[4..rest.len().min(8usize.saturating_add(stated))];
        let mut crc = Crc::new();
        crc.update(data);
        file.extend(((data.len() - 4) as u32).to_be_bytes());
        file.extend(data);
        file.extend(crc.sum().to_be_bytes());
    }
    file.extend(END);
    Cow::Owned(file)
}
