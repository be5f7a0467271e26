//! One file → 8-bit RGB.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba,
    RgbaImage,
};
use ksom_datasets::decode::decode_bytes;
use ksom_datasets::{DatasetError, DecodeOptions, decode_image};

use crate::common::{data, difference, picture, save};

fn decode(bytes: &[u8]) -> Result<RgbImage, DatasetError> {
    Ok(decode_bytes(bytes, "test", &DecodeOptions::default())?.pixels)
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// 16 × 8 pixels in four quarters: red, green; blue, white.
fn quarters() -> RgbImage {
    RgbImage::from_fn(16, 8, |x, y| match (x < 8, y < 4) {
        (true, true) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 255, 0]),
        (true, false) => Rgb([0, 0, 255]),
        (false, false) => Rgb([255, 255, 255]),
    })
}

#[test]
fn every_format_is_read_whatever_its_extension() {
    let folder = tempfile::tempdir().unwrap();
    let original = picture(1, 13, 7);
    for extension in ["png", "bmp", "gif", "tiff", "webp"] {
        let path = save(folder.path(), &format!("a.{extension}"), &original);
        for wrong in ["jpg", "txt", "noextension"] {
            let renamed = folder.path().join(format!("{extension}.{wrong}"));
            std::fs::copy(&path, &renamed).unwrap();
            let decoded = decode_image(&renamed, &DecodeOptions::default()).unwrap();
            // GIF has a palette of 256 colors; the picture has fewer.
            assert_eq!(decoded, original, "{extension} named {wrong}");
        }
    }
    let path = save(folder.path(), "a.jpg", &quarters());
    let renamed = folder.path().join("jpg.png");
    std::fs::rename(path, &renamed).unwrap();
    let decoded = decode_image(&renamed, &DecodeOptions::default()).unwrap();
    let centers = |image: &RgbImage| [(3, 1), (12, 1), (3, 6), (12, 6)].map(|(x, y)| *image.get_pixel(x, y));
    for (found, expected) in centers(&decoded).iter().zip(centers(&quarters())) {
        assert!(found.0.iter().zip(expected.0).all(|(a, b)| a.abs_diff(b) < 40), "{found:?} {expected:?}");
    }
}

#[test]
fn exif_orientation_is_applied() {
    // Where EXIF's eight orientations put the quarters: top left, top right, bottom left, bottom right.
    let expected = ["RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"];
    for (orientation, expected) in (1u8..).zip(expected) {
        // A TIFF header and one directory with one entry: tag 0x0112, a short.
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let (mut jpeg, mut png) = (Vec::new(), Vec::new());
        let original = quarters();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.set_exif_metadata(exif.clone()).unwrap();
        encoder.write_image(original.as_raw(), 16, 8, ExtendedColorType::Rgb8).unwrap();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(original.as_raw(), 16, 8, ExtendedColorType::Rgb8).unwrap();
        for bytes in [jpeg, png] {
            let image = decode(&bytes).unwrap();
            let (width, height) = image.dimensions();
            assert_eq!((width, height), if orientation < 5 { (16, 8) } else { (8, 16) });
            let centers = [(1, 1), (3, 1), (1, 3), (3, 3)];
            let found: String = centers
                .iter()
                .map(|(x, y)| match image.get_pixel(width * x / 4, height * y / 4).0.map(|v| v > 128) {
                    [true, true, true] => 'W',
                    [true, false, false] => 'R',
                    [false, true, false] => 'G',
                    [false, false, true] => 'B',
                    _ => '?',
                })
                .collect();
            assert_eq!(found, expected, "orientation {orientation}");
        }
    }
}

#[test]
fn gray_becomes_three_equal_channels() {
    let gray = GrayImage::from_fn(3, 2, |x, y| Luma([(x + 10 * y) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp] {
        let decoded = decode(&encode(&gray.clone().into(), format)).unwrap();
        assert_eq!(decoded, RgbImage::from_fn(3, 2, |x, y| Rgb([(x + 10 * y) as u8; 3])));
    }
    let flat = GrayImage::from_pixel(9, 9, Luma([200]));
    let decoded = decode(&encode(&flat.into(), ImageFormat::Jpeg)).unwrap();
    assert!(difference(&decoded, &RgbImage::from_pixel(9, 9, Rgb([200; 3]))) <= 1);
}

#[test]
fn alpha_is_composed_over_the_background() {
    let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba([200, 100, 0, [0, 51, 255][x as usize]]));
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let bytes = encode(&picture.clone().into(), format);
        let over = |background| {
            let options = DecodeOptions { background, ..DecodeOptions::default() };
            decode_bytes(&bytes, "test", &options).unwrap().pixels.into_raw()
        };
        // 51 / 255 is a fifth.
        assert_eq!(over([255; 3]), [255, 255, 255, 244, 224, 204, 200, 100, 0], "{format:?}");
        assert_eq!(over([0, 10, 20]), [0, 10, 20, 40, 28, 16, 200, 100, 0], "{format:?}");
    }
    let gray: ImageBuffer<image::LumaA<u8>, _> = ImageBuffer::from_pixel(1, 1, image::LumaA([100, 0]));
    assert_eq!(decode(&encode(&gray.into(), ImageFormat::Png)).unwrap().into_raw(), [255; 3]);
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let values = [0u16, 128, 129, 257, 32_768, 65_534, 65_535];
    let wide: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_fn(7, 1, |x, _| Rgb([values[x as usize]; 3]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let decoded = decode(&encode(&wide.clone().into(), format)).unwrap();
        let expected = values.map(|value| (f64::from(value) / 257.0).round() as u8);
        assert!(decoded.pixels().zip(expected).all(|(pixel, value)| pixel.0 == [value; 3]), "{decoded:?}");
    }
}

#[test]
fn unusual_files_are_read() {
    // Left half red, right half blue.
    let expected = RgbImage::from_fn(16, 8, |x, _| if x < 8 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    for (name, tolerance) in
        [("cmyk.jpg", 4), ("progressive.jpg", 4), ("animated.webp", 0), ("animated.png", 0), ("animated.gif", 0)]
    {
        let decoded = decode_image(data(name), &DecodeOptions::default()).unwrap();
        assert!(difference(&decoded, &expected) <= tolerance, "{name}: {decoded:?}");
    }
    let white = RgbImage::from_fn(16, 8, |x, _| if x < 8 { Rgb([255, 0, 0]) } else { Rgb([255; 3]) });
    assert_eq!(decode_image(data("palette-transparent.png"), &DecodeOptions::default()).unwrap(), white);
    let one_bit = RgbImage::from_fn(16, 8, |x, _| if x < 8 { Rgb([0; 3]) } else { Rgb([255; 3]) });
    for name in ["one-bit.png", "one-bit.tiff"] {
        assert_eq!(decode_image(data(name), &DecodeOptions::default()).unwrap(), one_bit, "{name}");
    }
}

#[test]
fn every_truncated_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let original = picture(3, 64, 48);
    for extension in ["jpg", "png", "gif", "bmp", "tiff", "webp"] {
        let path = save(folder.path(), &format!("a.{extension}"), &original);
        let bytes = std::fs::read(&path).unwrap();
        for keep in [0, 1, 5, 20, bytes.len() / 2, bytes.len() - 40] {
            let cut = folder.path().join(format!("cut-{keep}.{extension}"));
            std::fs::write(&cut, &bytes[..keep]).unwrap();
            let result = decode_image(&cut, &DecodeOptions::default());
            let error = result.err().unwrap_or_else(|| panic!("{extension} cut to {keep} bytes was read")).to_string();
            assert!(error.contains(&format!("cut-{keep}.{extension}")), "{error}");
        }
    }
    let progressive = std::fs::read(data("progressive.jpg")).unwrap();
    assert!(decode(&progressive[..progressive.len() - 20]).unwrap_err().to_string().contains("truncated"));
}

#[test]
fn errors_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.jpg");
    let says = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        decode_image(&path, &DecodeOptions::default()).unwrap_err().to_string()
    };
    assert!(says(b"").contains("page.jpg: it is empty (0 bytes)"));
    assert!(says(b"<html>not found</html>").contains("it is an HTML page"));
    let missing = decode_image(folder.path().join("none.png"), &DecodeOptions::default()).unwrap_err();
    assert!(missing.to_string().contains("none.png"), "{missing}");
    let a_folder = decode_image(folder.path(), &DecodeOptions::default()).unwrap_err();
    assert!(matches!(a_folder, DatasetError::Io { .. }), "{a_folder}");
}

#[test]
fn a_size_is_not_believed_before_it_is_bounded() {
    // A PNG whose header claims 65,535 × 65,535 pixels of 16-bit RGBA, 34 GB; its checksum is right.
    let header = b"IHDR\0\0\xff\xff\0\0\xff\xff\x10\x06\0\0\0";
    let mut crc = u32::MAX;
    for byte in header {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(header);
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let error = decode(&png).unwrap_err();
    let DatasetError::TooLarge { width, height, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((width, height), (65_535, 65_535));

    let options = DecodeOptions { max_pixels: 20, ..DecodeOptions::default() };
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff] {
        let fits = encode(&picture(0, 5, 4).into(), format);
        assert!(decode_bytes(&fits, "test", &options).is_ok(), "{format:?}");
        let too_large = encode(&picture(0, 7, 3).into(), format);
        let error = decode_bytes(&too_large, "big", &options).unwrap_err().to_string();
        assert!(error.contains("big has 7x3 pixels, more than the 20 allowed"), "{format:?}: {error}");
    }
}

#[test]
fn a_decoder_that_panics_is_an_error() {
    // A palette of 49 bytes, which is no multiple of three: png 0.18.1 panics on it.
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/picture/png-palette-of-49-bytes");
    let error = decode_image(&path, &DecodeOptions::default()).unwrap_err().to_string();
    assert!(error.contains("png-palette-of-49-bytes") && error.contains("it is damaged"), "{error}");
}
