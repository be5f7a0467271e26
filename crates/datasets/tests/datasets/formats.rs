//! TIFF of every kind, files whose end was lost, and formats that are told apart by more than their first bytes.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage};
use ksom_datasets::decode::{Decoded, decode_bytes, image_size};
use ksom_datasets::{DatasetError, DecodeOptions};

use crate::common::{data, difference, picture};

fn decode(bytes: &[u8]) -> Result<Decoded, DatasetError> {
    decode_bytes(bytes, "test", &DecodeOptions::default())
}

fn encode(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(picture.clone()).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A TIFF file of one strip, to be made as odd as can be.
#[derive(Clone)]
struct Tiff {
    size: (u32, u32),
    bits: u16,
    samples: u16,
    /// What the samples mean: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr.
    meaning: u16,
    compression: u16,
    /// More entries: tag, type, values.
    more: Vec<(u16, u16, Vec<u32>)>,
    data: Vec<u8>,
    big: bool,
}

impl Tiff {
    fn new(size: (u32, u32), bits: u16, samples: u16, meaning: u16, data: Vec<u8>) -> Self {
        Self { size, bits, samples, meaning, compression: 1, more: Vec::new(), data, big: false }
    }

    fn with(mut self, tag: u16, values: &[u32]) -> Self {
        self.more.push((tag, 3, values.to_vec()));
        self
    }

    /// Floats (3) or numbers with a sign (2).
    fn of(self, format: u32) -> Self {
        let samples = usize::from(self.samples);
        self.with(339, &vec![format; samples])
    }

    fn bytes(&self) -> Vec<u8> {
        let planes =
            if self.more.iter().any(|(tag, _, values)| *tag == 284 && values == &[2]) { self.samples } else { 1 };
        let each = self.data.len() / usize::from(planes);
        // Strips lie behind the header; the directory behind them; values that do not fit an entry behind that.
        let head = if self.big { 16 } else { 8 };
        let strips: Vec<u32> = (0..planes).map(|plane| (head + usize::from(plane) * each) as u32).collect();
        let mut entries = vec![
            (256, 4, vec![self.size.0]),
            (257, 4, vec![self.size.1]),
            (258, 3, vec![self.bits.into(); self.samples.into()]),
            (259, 3, vec![self.compression.into()]),
            (262, 3, vec![self.meaning.into()]),
            (273, 4, strips),
            (277, 3, vec![self.samples.into()]),
            (278, 4, vec![self.size.1]),
            (279, 4, vec![each as u32; planes.into()]),
        ];
        entries.extend(self.more.clone());
        entries.sort_by_key(|(tag, ..)| *tag);
        let directory = head + self.data.len();
        let (count_len, entry_len, room) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let mut behind = directory + count_len + entries.len() * entry_len + room;
        let number = |value: usize, len: usize| value.to_le_bytes()[..len].to_vec();
        let mut bytes = b"II".to_vec();
        if self.big {
            bytes.extend([43, 0, 8, 0, 0, 0]);
        } else {
            bytes.extend([42, 0]);
        }
        bytes.extend(number(directory, room));
        bytes.extend(&self.data);
        bytes.extend(number(entries.len(), count_len));
        let mut values_behind = Vec::new();
        for (tag, kind, values) in entries {
            let each = if kind == 3 { 2 } else { 4 };
            let mut packed: Vec<u8> = values.iter().flat_map(|value| number(*value as usize, each)).collect();
            bytes.extend(number(tag.into(), 2));
            bytes.extend(number(kind.into(), 2));
            bytes.extend(number(values.len(), room));
            if packed.len() > room {
                bytes.extend(number(behind, room));
                behind += packed.len();
                values_behind.extend(packed);
            } else {
                packed.resize(room, 0);
                bytes.extend(packed);
            }
        }
        bytes.extend(number(0, room));
        bytes.extend(values_behind);
        bytes
    }

    /// The pixels, one after the other.
    fn pixels(&self) -> Vec<u8> {
        let bytes = self.bytes();
        decode(&bytes).unwrap_or_else(|error| panic!("{error}")).pixels.into_raw()
    }
}

fn gray(values: &[u8]) -> Vec<u8> {
    values.iter().flat_map(|value| [*value; 3]).collect()
}

#[test]
fn tiff_palettes_are_looked_up() {
    // Red, green, blue and white, as 16-bit values by channel.
    let channels = [[65_535, 0, 0, 65_535], [0, 65_535, 0, 65_535], [0, 0, 65_535, 65_535]];
    let colors = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    let map = |count: usize| -> Vec<u32> {
        channels.iter().flat_map(|channel| (0..count).map(|at| channel.get(at).copied().unwrap_or(0))).collect()
    };
    let expected = [3, 0, 1, 2, 2, 1].map(|index: usize| colors[index]).concat();
    let eight = Tiff::new((3, 2), 8, 1, 3, vec![3, 0, 1, 2, 2, 1]).with(320, &map(256));
    assert_eq!(eight.pixels(), expected);
    assert_eq!(Tiff { big: true, ..eight.clone() }.pixels(), expected);
    // Rows of fewer bits begin with a byte of their own.
    let four = Tiff::new((3, 2), 4, 1, 3, vec![0x30, 0x10, 0x22, 0x10]).with(320, &map(16));
    assert_eq!(four.pixels(), expected);
    let two = Tiff::new((3, 2), 2, 1, 3, vec![0b11_00_01_00, 0b10_10_01_00]).with(320, &map(4));
    assert_eq!(two.pixels(), expected);
    let odd = Tiff::new((3, 2), 8, 1, 3, vec![0; 6]).with(320, &[0; 9]);
    assert!(decode(&odd.bytes()).unwrap_err().to_string().contains("color map"));
}

#[test]
fn tiff_samples_of_every_type_become_bytes() {
    let of = |bits, format, data: Vec<u8>| {
        let count = data.len() as u32 * 8 / u32::from(bits);
        Tiff::new((count, 1), bits, 1, 1, data).of(format).pixels()
    };
    let floats = [-1.0f32, 0.0, 0.25, 0.5, 1.0, 7.0, f32::NAN];
    let expected = gray(&[0, 0, 64, 128, 255, 255, 0]);
    assert_eq!(of(32, 3, floats.iter().flat_map(|value| value.to_le_bytes()).collect()), expected);
    assert_eq!(of(64, 3, floats.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect()), expected);
    // 0, 1/2 and 1 in 16 bits.
    assert_eq!(
        of(16, 3, [0u16, 0x3800, 0x3c00].iter().flat_map(|value| value.to_le_bytes()).collect()),
        gray(&[0, 128, 255])
    );
    let numbers = [0u32, u32::MAX / 255 * 9, u32::MAX];
    assert_eq!(of(32, 1, numbers.iter().flat_map(|value| value.to_le_bytes()).collect()), gray(&[0, 9, 255]));
    assert_eq!(of(64, 1, [0u64, u64::MAX].iter().flat_map(|value| value.to_le_bytes()).collect()), gray(&[0, 255]));
    assert_eq!(of(8, 2, vec![0x80, 0, 0x7f]), gray(&[0, 128, 255]));
    assert_eq!(
        of(16, 2, [i16::MIN, 0, i16::MAX].iter().flat_map(|value| value.to_le_bytes()).collect()),
        gray(&[0, 128, 255])
    );
    assert_eq!(of(4, 1, vec![0x0f, 0x80]), gray(&[0, 255, 136, 0]));
    let white_is_zero = Tiff::new((2, 1), 8, 1, 0, vec![0, 200]);
    assert_eq!(white_is_zero.pixels(), gray(&[255, 55]));
    let rgb: Vec<u8> = [0.0f32, 0.5, 1.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(Tiff::new((1, 1), 32, 3, 2, rgb).of(3).pixels(), [0, 128, 255]);
}

#[test]
fn tiff_colors_transparency_and_planes() {
    let rgb = vec![10, 20, 30, 40, 50, 60];
    assert_eq!(Tiff::new((2, 1), 8, 3, 2, rgb.clone()).pixels(), rgb);
    let planar = Tiff::new((2, 1), 8, 3, 2, vec![10, 40, 20, 50, 30, 60]).with(284, &[2]);
    assert_eq!(planar.pixels(), rgb);
    let cmyk = Tiff::new((2, 1), 8, 4, 5, vec![255, 0, 0, 0, 0, 0, 0, 51]);
    assert_eq!(cmyk.pixels(), [0, 255, 255, 204, 204, 204]);
    // Black, white, and a red of BT.601.
    let ycbcr = Tiff::new((3, 1), 8, 3, 6, vec![0, 128, 128, 255, 128, 128, 76, 85, 255]).with(530, &[1, 1]);
    let found = ycbcr.pixels();
    assert_eq!(found[..6], [0, 0, 0, 255, 255, 255]);
    assert!(found[6] > 250 && found[7] < 5 && found[8] < 5, "{found:?}");
    // A fifth of black over white; colors that are multiplied already; gray with transparency; a band that means nothing.
    assert_eq!(Tiff::new((1, 1), 8, 4, 2, vec![0, 0, 0, 51]).with(338, &[2]).pixels(), [204; 3]);
    assert_eq!(Tiff::new((1, 1), 8, 4, 2, vec![51, 51, 51, 51]).with(338, &[1]).pixels(), [255; 3]);
    assert_eq!(Tiff::new((1, 1), 8, 2, 1, vec![0, 51]).with(338, &[2]).pixels(), [204; 3]);
    assert_eq!(Tiff::new((1, 1), 8, 4, 2, vec![1, 2, 3, 51]).with(338, &[0]).pixels(), [1, 2, 3]);
    // Turned by its orientation.
    assert_eq!(Tiff::new((2, 1), 8, 3, 2, rgb.clone()).with(274, &[3]).pixels(), [40, 50, 60, 10, 20, 30]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let big = Tiff { big: true, ..Tiff::new((2, 1), 8, 3, 2, rgb.clone()) };
    for (bytes, size) in [(big.bytes(), (2, 1)), (Tiff::new((2, 1), 8, 3, 2, rgb).with(274, &[6]).bytes(), (1, 2))] {
        std::fs::write(file.path(), bytes).unwrap();
        assert_eq!(image_size(file.path()).unwrap(), size);
    }
}

#[test]
fn tiff_that_is_not_read_says_what_it_is() {
    for (tiff, says) in [
        (Tiff::new((1, 1), 8, 3, 8, vec![0; 3]), "convert it to PNG"),
        (Tiff::new((4, 1), 12, 1, 1, vec![0; 6]), "convert it to PNG"),
        (Tiff::new((1, 1), 8, 5, 1, vec![0; 5]).with(338, &[0; 4]), "5 bands"),
        (Tiff::new((2, 2), 8, 3, 6, vec![0; 6]), "convert it to PNG"),
        (Tiff { compression: 34_661, ..Tiff::new((1, 1), 8, 1, 1, vec![0]) }, "convert it to PNG"),
    ] {
        let error = decode(&tiff.bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let whole = Tiff::new((4, 4), 8, 3, 2, vec![7; 48]).bytes();
    assert!(decode(&whole[..40]).unwrap_err().to_string().contains("truncated"));
}

/// A frame of Zstandard with the bytes as they are.
fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    let len = (bytes.len() as u32) << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, bytes.len() as u8], &len.to_le_bytes()[..3], bytes].concat()
}

#[test]
fn tiff_by_zstandard() {
    let tiff = Tiff { compression: 50_000, ..Tiff::new((2, 1), 8, 3, 2, zstd_frame(&[1, 2, 3, 4, 5, 6])) };
    if cfg!(feature = "zstd") {
        assert_eq!(tiff.pixels(), [1, 2, 3, 4, 5, 6]);
    } else {
        assert!(decode(&tiff.bytes()).unwrap_err().to_string().contains("ZSTD"));
    }
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.write_image(picture.as_raw(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn jpeg_without_its_end_is_read_where_all_pixels_are_there() {
    let progressive = std::fs::read(data("progressive.jpg")).unwrap();
    let cmyk = std::fs::read(data("cmyk.jpg")).unwrap();
    for whole in [jpeg(&picture(3, 61, 45)), jpeg(&picture(1, 8, 8)), progressive, cmyk] {
        let expected = decode(&whole).unwrap();
        assert_eq!(expected.remark, None);
        let bare = &whole[..whole.len() - 2];
        assert_eq!(&whole[whole.len() - 2..], [0xff, 0xd9]);
        let thumbnail = jpeg(&picture(0, 8, 8));
        for trailer in [&b""[..], b"\0\0SEFT\0\0\0\0", &[0; 3000], &thumbnail] {
            let found = decode(&[bare, trailer].concat()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(found.pixels, expected.pixels);
            assert!(found.remark.unwrap().contains("end marker"));
            // Behind the marker anything may follow.
            assert_eq!(decode(&[&whole[..], trailer].concat()).unwrap(), expected);
        }
        for missing in [4, 8, 40, whole.len() / 3] {
            let error = decode(&whole[..whole.len() - missing]);
            let error = error.err().unwrap_or_else(|| panic!("{missing} bytes of {} are not missed", whole.len()));
            assert!(error.to_string().contains("truncated"), "{error}");
        }
    }
}

#[test]
fn png_without_its_end_is_read_where_all_pixels_are_there() {
    let original = picture(3, 61, 45);
    let whole = encode(&original, ImageFormat::Png);
    assert_eq!(decode(&whole).unwrap().remark, None);
    // The last chunk, part of it, and the checksums before it: of the chunk, and of the pixels.
    for missing in [12, 8, 3, 14, 16, 20] {
        let found = decode(&whole[..whole.len() - missing]).unwrap_or_else(|error| panic!("{missing}: {error}"));
        assert_eq!(found.pixels, original, "{missing}");
        assert!(found.remark.unwrap().contains("no pixel is"), "{missing}");
    }
    for missing in [30, 40, 200, whole.len() / 2] {
        let error = decode(&whole[..whole.len() - missing]).unwrap_err().to_string();
        assert!(error.contains("Png") || error.contains("PNG"), "{missing}: {error}");
    }
}

#[test]
fn tga_qoi_and_pnm() {
    let original = picture(2, 7, 5);
    for format in [ImageFormat::Tga, ImageFormat::Qoi, ImageFormat::Pnm] {
        let bytes = encode(&original, format);
        let name = if format == ImageFormat::Tga { "a.tga" } else { "a" };
        let found = decode_bytes(&bytes, name, &DecodeOptions::default()).unwrap();
        assert_eq!(found.pixels, original, "{format:?}");
        let cut = &bytes[..bytes.len() - 9];
        assert!(decode_bytes(cut, name, &DecodeOptions::default()).is_err(), "{format:?}");
    }
    let ascii = b"P3\n# two pixels\n2 1 255\n1 2 3  4 5 6\n";
    assert_eq!(decode(ascii).unwrap().pixels, RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap());
    let flat = RgbImage::from_pixel(9, 9, Rgb([200; 3]));
    assert!(difference(&decode(&jpeg(&flat)).unwrap().pixels, &flat) <= 1);
}
