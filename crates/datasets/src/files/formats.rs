//! Which files pass for pictures, told from their names and first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::ImageFormat;

use crate::error::DatasetError;
use crate::files::names::extension;

/// The file name extensions of the formats that can be decoded.
const READ: [&str; 24] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "btf", "tf8", "tga", "icb", "vda",
    "vst", "qoi", "pbm", "pgm", "ppm", "pnm", "pam", "apng",
];
/// The extensions of TGA, which has no first bytes to be told from.
const TGA: [&str; 4] = ["tga", "icb", "vda", "vst"];
/// Raw pictures of cameras. Many of them are TIFF files whose first picture is but a small preview.
const RAW: [&str; 17] = [
    "3fr", "arw", "cr2", "cr3", "dcr", "dng", "erf", "iiq", "kdc", "mrw", "nef", "nrw", "orf", "pef", "raf", "rw2",
    "srw",
];
/// How many first bytes are looked at.
const START: u64 = 32;
/// What a TGA file may end with.
const TGA_FOOTER: &[u8] = b"TRUEVISION-XFILE.\0";

/// Whether a file passes for a picture: its extension says so (so a broken one is reported rather than passed over),
/// or its first bytes do. A camera's raw picture does not, though its first bytes may be those of a TIFF file.
///
/// # Errors
/// When a file without a known extension cannot be opened.
pub fn is_picture_file(path: &Path) -> Result<bool, DatasetError> {
    let extension = extension(path);
    if let Some(extension) = extension.as_deref() {
        if READ.contains(&extension) {
            return Ok(true);
        }
        if RAW.contains(&extension) {
            return Ok(false);
        }
    }
    // To open a pipe is to wait for its other end.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(START).read_to_end(&mut start))
        .map_err(DatasetError::io("read", path))?;
    Ok(format_of(&start).is_some())
}

/// Whether a name says that it is a picture's, by its extension.
#[cfg(feature = "shards")]
pub(crate) fn is_picture_name(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    READ.contains(&extension.as_str())
}

/// The format that a file of these bytes has, of those that can be decoded.
pub(crate) fn format_of(bytes: &[u8]) -> Option<ImageFormat> {
    // What BigTIFF begins with; the reader of TIFF knows both.
    if bytes.starts_with(b"II+\0\x08\0\0\0") || bytes.starts_with(b"MM\0+\0\x08\0\0") {
        return Some(ImageFormat::Tiff);
    }
    if bytes.ends_with(TGA_FOOTER) {
        return Some(ImageFormat::Tga);
    }
    let format = image::guess_format(bytes).ok().filter(|format| format.reading_enabled())?;
    // Two letters alone begin many a text.
    let sure = match format {
        ImageFormat::Bmp => is_bmp(bytes),
        ImageFormat::Pnm => {
            bytes.get(2).is_some_and(u8::is_ascii_whitespace) && is_pnm(bytes.get(3..).unwrap_or_default())
        }
        _ => true,
    };
    sure.then_some(format)
}

/// The same where a name may tell what bytes do not: TGA has no first bytes of its own.
pub(crate) fn format_of_named(bytes: &[u8], name: &str) -> Option<ImageFormat> {
    format_of(bytes).or_else(|| {
        let is_tga = extension(Path::new(name)).is_some_and(|extension| TGA.contains(&extension.as_str()));
        is_tga.then_some(ImageFormat::Tga)
    })
}

/// Whether a header follows BMP's two letters: of a length that there is, after four bytes of zero.
fn is_bmp(bytes: &[u8]) -> bool {
    let at = |from: usize| bytes.get(from..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    // A header that is cut off may still be one.
    at(6).is_none_or(|reserved| reserved == 0)
        && at(14).is_none_or(|len| [12, 16, 40, 52, 56, 64, 108, 124].contains(&len))
}

/// Whether a PNM file's header goes on so: a width, a comment, or PAM's first word.
fn is_pnm(rest: &[u8]) -> bool {
    let word = rest.trim_ascii_start();
    word.is_empty() || word[0].is_ascii_digit() || word[0] == b'#' || word.starts_with(b"WIDTH")
}

/// What a file of these bytes is, where that is something known which cannot be decoded, and what to do about it.
pub(crate) fn known_otherwise(bytes: &[u8], name: &str) -> Option<&'static str> {
    if extension(Path::new(name)).is_some_and(|extension| RAW.contains(&extension.as_str())) {
        return Some("a camera's raw picture; develop it to JPEG, PNG or TIFF");
    }
    let brands = bytes.get(8..bytes.len().min(64)).unwrap_or_default();
    let of_brand = |brand: &[u8]| bytes.get(4..8) == Some(b"ftyp") && brands.chunks_exact(4).any(|b| b == brand);
    let any_of = |names: &[&[u8]]| names.iter().any(|brand| of_brand(brand));
    let text = bytes.trim_ascii_start();
    let begins = |start: &[u8]| text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start));
    Some(if any_of(&[b"avif", b"avis"]) {
        "an AVIF picture, which is not read; convert it to JPEG or PNG"
    } else if any_of(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        "a HEIC picture, which is not read; convert it to JPEG or PNG (iPhones: Settings, Camera, Most Compatible)"
    } else if any_of(&[b"crx "]) {
        "a camera's raw picture; develop it to JPEG, PNG or TIFF"
    } else if bytes.get(4..8) == Some(b"ftyp") {
        "a film, not a picture"
    } else if bytes.starts_with(b"\0\0\0\x0cjP  \r\n\x87\n") || bytes.starts_with(b"\xff\x4f\xff\x51") {
        "a JPEG 2000 picture, which is not read; convert it to PNG"
    } else if bytes.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n") || bytes.starts_with(b"\xff\x0a") {
        "a JPEG XL picture, which is not read; convert it to PNG"
    } else if bytes.starts_with(b"8BPS") {
        "a Photoshop document; export it as PNG"
    } else if bytes.starts_with(b"\x76\x2f\x31\x01") || bytes.starts_with(b"#?RADIANCE") || bytes.starts_with(b"PF") {
        "a picture of high dynamic range, which is not read; map it to 8 bits"
    } else if bytes.starts_with(b"%PDF") {
        "a PDF document, not a picture"
    } else if bytes.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer, not the picture itself; fetch it with `git lfs pull`"
    } else if begins(b"<svg") || (begins(b"<?xml") && text.windows(4).take(512).any(|window| window == b"<svg")) {
        "an SVG drawing, which is not read; render it to PNG"
    } else if begins(b"<!doctype html") || begins(b"<html") {
        "an HTML page, not a picture; what should have been downloaded was not"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_from_first_bytes() {
        for (bytes, format) in [
            (&b"\xff\xd8\xff\xe0"[..], Some(ImageFormat::Jpeg)),
            (b"II*\0\x08\0\0\0", Some(ImageFormat::Tiff)),
            (b"II+\0\x08\0\0\0", Some(ImageFormat::Tiff)),
            (b"qoif\0\0\0\x01", Some(ImageFormat::Qoi)),
            (b"P6\n# a comment\n3 2 255\n", Some(ImageFormat::Pnm)),
            (b"P7\nWIDTH 3\n", Some(ImageFormat::Pnm)),
            (b"P1 is the first of our patients", None),
            (b"P4ssword", None),
            (b"BMW and other makers of motorcars", None),
            (b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Some(ImageFormat::Bmp)),
            (b"", None),
        ] {
            assert_eq!(format_of(bytes), format, "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(format_of_named(b"\0\0\x02", "a/B.TGA"), Some(ImageFormat::Tga));
        assert_eq!(format_of_named(b"\0\0\x02", "a/b"), None);
    }

    #[test]
    fn what_is_not_read_is_called_what_it_is() {
        for (bytes, says) in [
            (&b"\0\0\0\x20ftypheic\0\0\0\0mif1heic"[..], "HEIC"),
            (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", "AVIF"),
            (b"\0\0\0\x20ftypisom\0\0\0\0isommp41", "film"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
            (b"\n <!DOCTYPE HTML><html>", "HTML page"),
            (b"<?xml version='1.0'?><svg>", "SVG"),
            (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ] {
            let said = known_otherwise(bytes, "x").unwrap_or_default();
            assert!(said.contains(says), "{said}, not {says}");
        }
        assert!(known_otherwise(b"II*\0", "a.NEF").unwrap().contains("raw"));
        assert_eq!(known_otherwise(b"anything", "a.jpg"), None);
    }
}
