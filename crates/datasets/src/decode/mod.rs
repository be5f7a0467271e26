//! One encoded picture → 8-bit RGB, whatever the file held.
//!
//! | format | what is read |
//! |---|---|
//! | JPEG | baseline and progressive; gray, YCbCr, CMYK; with data behind the picture, or without its end marker |
//! | PNG | all kinds, also without its last chunk; of an animation the first frame |
//! | WebP, GIF, BMP | all kinds; of an animation the first frame |
//! | TIFF, BigTIFF | the first picture: gray, palette, RGB, CMYK and YCbCr (with fewer chroma samples only in JPEG compression), 1 to 64 bits, whole numbers and floats; uncompressed, PackBits, LZW, Deflate, JPEG, fax (group 4), and Zstandard with the feature `zstd` |
//! | TGA, QOI, PNM | all kinds that the crate `image` reads |
//!
//! Not read: AVIF, HEIC, JPEG 2000, JPEG XL, cameras' raw pictures, and pictures of high dynamic range. They are called
//! by their names in errors, and passed over by kind in folders.
//!
//! # AVIF and HEIC
//!
//! What there is to read them with, and why it is not used:
//!
//! | crate | license | |
//! |---|---|---|
//! | `heic`, `zenavif` | AGPL-3.0 or commercial | not a license for a library that is MIT OR Apache-2.0 |
//! | `libheif-rs` | MIT, over libheif | links a system library under the LGPL, with decoders of HEVC, whose patents are licensed |
//! | `image` with `avif-native` | MIT, over dav1d | needs a system library at build time and `mp4parse` under MPL-2.0, which `deny.toml` does not allow |
//! | `rav1d` | BSD-2-Clause | decodes AV1 through C's interface alone, all of it `unsafe`; the container's parser `avif-parse` is under MPL-2.0 |
//! | `avif-decode` | BSD-3-Clause | builds libaom from C, and `avif-parse` again |
//! | `heic-rs` | MIT OR Apache-2.0 | at 0.1, by one author; a decoder of HEVC that nobody else has tried is not what strangers' files are given to |

mod by_image;
mod file;
mod jpeg;
mod options;
mod pixels;
mod png;
mod tiff;

pub use file::{decode_bytes, decode_file, decode_image, image_size};
pub use options::{DecodeOptions, Decoded};
pub use pixels::{over, to_rgb};
