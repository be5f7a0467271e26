//! JPEG, also where the picture's data are followed by something else than their end marker.
//!
//! The decoder fills what is missing with gray. So a file without the marker is only believed to be whole if what is put
//! behind its data makes no difference: where pixels were missing, they would be made from that.

use image::{ImageFormat, RgbImage};

use crate::decode::by_image::by_image;
use crate::decode::options::{DecodeOptions, Decoded};
use crate::error::DatasetError;

/// What is put behind the data, to see whether it is asked for: bytes that stand for different pixels, by far enough of
/// each for a row of blocks.
const FILLERS: [u8; 3] = [0x00, 0x55, 0xaa];
const FILLER_LEN: usize = 1 << 12;
/// The end-of-image marker.
const END: [u8; 2] = [0xff, 0xd9];

/// Decodes a JPEG file.
pub(super) fn decode(bytes: &[u8], name: &str, options: &DecodeOptions) -> Result<Decoded, DatasetError> {
    let plain = |bytes: &[u8]| by_image(bytes, ImageFormat::Jpeg, name, options);
    let scans = match read_markers(bytes) {
        // A file whose head is broken is left to the decoder.
        None => return Ok(Decoded { pixels: plain(bytes)?, remark: None }),
        Some(scans) if scans.marked => return Ok(Decoded { pixels: plain(bytes)?, remark: None }),
        Some(scans) => scans,
    };
    // A picture that is too large, or of a kind that is not decoded, is called so first.
    let first = plain(&filled(bytes, &scans, FILLERS[0]))?;
    let same = |other: Result<RgbImage, DatasetError>| other.is_ok_and(|other| other == first);
    if scans.complete && FILLERS[1..].iter().all(|filler| same(plain(&filled(bytes, &scans, *filler)))) {
        let remark = Some("the JPEG file's end marker is missing, but no pixel is");
        return Ok(Decoded { pixels: first, remark });
    }
    Err(DatasetError::image(name, "the Jpeg file is truncated (no end-of-image marker, and pixels are missing)"))
}

/// The file up to where its data end, a filler, and the end marker.
fn filled(bytes: &[u8], scans: &Scans, filler: u8) -> Vec<u8> {
    let mut file = bytes.get(..scans.end).unwrap_or(bytes).to_vec();
    // What begins a marker would hide the filler.
    while file.last() == Some(&0xff) {
        file.pop();
    }
    file.extend(std::iter::repeat_n(filler, FILLER_LEN));
    file.extend(END);
    file
}

/// What the markers of a file say of its scans.
struct Scans {
    /// Whether the end-of-image marker follows them.
    marked: bool,
    /// Where the data of the last scan end.
    end: usize,
    /// Whether the scans that have begun are all that the picture needs.
    complete: bool,
}

/// Follows the markers from the file's beginning to its end; `None` where no scan begins.
fn read_markers(bytes: &[u8]) -> Option<Scans> {
    let mut at = 2;
    let mut coverage = Coverage::default();
    let mut scanning = false;
    loop {
        if scanning {
            at = end_of_data(bytes, at);
        }
        let marked_or_ended = |marked, coverage: &Coverage| {
            scanning.then(|| Scans { marked, end: at.min(bytes.len()), complete: coverage.is_complete() })
        };
        let Some((marker, body)) = marker_at(bytes, at) else {
            return marked_or_ended(false, &coverage);
        };
        match marker {
            0xd9 => return marked_or_ended(true, &coverage),
            0x01 | 0xd0..=0xd8 if !scanning => {
                at = body;
                continue;
            }
            // Nothing that may follow a scan.
            0x00..=0xbf | 0xd0..=0xd8 => return marked_or_ended(false, &coverage),
            _ => {}
        }
        let len = bytes.get(body..).and_then(<[u8]>::first_chunk).map(|len| usize::from(u16::from_be_bytes(*len)));
        let Some(segment) = len.filter(|len| *len >= 2).and_then(|len| bytes.get(body + 2..body + len)) else {
            return marked_or_ended(false, &coverage);
        };
        at = body + 2 + segment.len();
        match marker {
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => coverage.frame(segment),
            0xda => {
                coverage.scan(segment);
                scanning = true;
            }
            _ => {}
        }
    }
}

/// Where a scan's compressed data end that begin at `at`: before the next marker, or at the end of the file.
fn end_of_data(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xff)) {
        at += found;
        match bytes.get(at + 1) {
            // A value of 0xff, or a restart marker.
            Some(0x00 | 0xd0..=0xd7) => at += 2,
            Some(0xff) => at += 1,
            _ => return at,
        }
    }
    bytes.len()
}

/// The marker at `at`, and where what belongs to it begins.
fn marker_at(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    if bytes.get(at) != Some(&0xff) {
        return None;
    }
    while bytes.get(at) == Some(&0xff) {
        at += 1;
    }
    Some((*bytes.get(at)?, at + 1))
}

/// Which coefficients of which components the scans hold, to their last bit: in a progressive file many scans together
/// hold them.
#[derive(Default)]
struct Coverage {
    /// The components, and for each of 64 coefficients the lowest bit that a scan holds; above that none.
    components: Vec<(u8, [Option<u8>; 64])>,
}

impl Coverage {
    /// A frame header: precision, height, width, and 3 bytes for each component.
    fn frame(&mut self, segment: &[u8]) {
        let components = segment.get(6..).unwrap_or_default().as_chunks::<3>().0;
        self.components = components.iter().map(|component| (component[0], [None; 64])).collect();
    }

    /// A scan header: the number of components, 2 bytes for each, first and last coefficient, and bits.
    fn scan(&mut self, segment: &[u8]) {
        let Some((count, rest)) = segment.split_first() else { return };
        let Some((selected, [first, last, bits, ..])) = rest.split_at_checked(2 * usize::from(*count)) else { return };
        let (first, last) = (usize::from(*first), usize::from(*last).min(63));
        for component in selected.as_chunks::<2>().0 {
            for (_, lowest) in self.components.iter_mut().filter(|(name, _)| *name == component[0]) {
                lowest.iter_mut().take(last + 1).skip(first).for_each(|lowest| *lowest = Some(bits & 15));
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.components.iter().all(|(_, lowest)| lowest.iter().all(|lowest| *lowest == Some(0)))
    }
}
