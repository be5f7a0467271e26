//! Batches.

use std::sync::Arc;

use ksom_datasets::loading::{Batch, Batches, Converter, Crop, Filter, Resize, ResizeMode, Share, batches};
use ksom_datasets::sources::{Concat, FolderSource, MemorySource, Version};
use ksom_datasets::{
    DatasetError, DecodeOptions, ImageSource, Loader, LoaderOptions, Normalization, Order, Preprocess, decode_image,
};

use proptest::prelude::*;

use crate::common::{Made, data, difference, picture, save};

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions {
        preprocess: Preprocess { resize: None, crop: Crop::Random { width: 4, height: 3 }, flip: true },
        normalization: Normalization::IMAGENET,
        seed: 5,
        workers,
        ahead: workers + 1,
        share: Share::default(),
    }
}

fn contents(batch: &Batch) -> (Vec<usize>, Vec<f32>, Vec<usize>) {
    let values = batch.pixels.flatten_all().unwrap().to_vec1().unwrap();
    (batch.pixels.dims().to_vec(), values, batch.indices.clone())
}

#[test]
fn the_stream_does_not_depend_on_the_workers_nor_on_where_it_starts() {
    let source = Made::good(10);
    let order = Order::new(3, 10, 4).unwrap();
    let stream = |workers, start, count: usize| -> Vec<_> {
        let loader = Loader::new(source.clone(), order, start, options(workers)).unwrap();
        loader.take(count).map(|batch| contents(&batch.unwrap())).collect()
    };
    let reference = stream(1, 0, 12);
    assert_eq!(reference[0].0, [4, 3, 3, 4]);
    for workers in [0, 2, 3, 8] {
        assert_eq!(stream(workers, 0, 12), reference, "{workers} workers");
    }
    assert_eq!(stream(2, 7, 5), reference[7..]);
    for (step, (_, _, indices)) in (0..).zip(&reference) {
        assert_eq!(*indices, order.indices(step));
    }
}

#[test]
fn batches_are_shared_out_without_a_difference() {
    let source = Made::good(10);
    let order = Order::new(3, 10, 7).unwrap();
    let stream = |share| -> Vec<_> {
        let loader = Loader::new(source.clone(), order, 2, LoaderOptions { share, ..options(2) }).unwrap();
        loader.take(5).map(|batch| contents(&batch.unwrap())).collect()
    };
    let whole = stream(Share::default());
    let parts: Vec<_> = (0..3).map(|number| stream(Share { number, of: 3 })).collect();
    for (step, (_, values, indices)) in whole.iter().enumerate() {
        let joined: Vec<f32> = parts.iter().flat_map(|part| part[step].1.clone()).collect();
        assert_eq!(joined, *values, "batch {step}: pictures are changed as in the whole batch");
        let sizes: Vec<usize> = parts.iter().map(|part| part[step].2.len()).collect();
        assert_eq!(sizes, [2, 2, 3]);
        assert_eq!(parts.iter().flat_map(|part| part[step].2.clone()).collect::<Vec<_>>(), *indices);
    }
}

#[test]
fn augmentation_is_random_by_position_and_seed() {
    let source: Arc<dyn ImageSource> = Made::good(1);
    let order = Order::new(0, 1, 64).unwrap();
    let first = |seed| {
        let options = LoaderOptions { seed, ..options(2) };
        contents(&Loader::new(source.clone(), order, 0, options).unwrap().next().unwrap().unwrap()).1
    };
    let values = first(1);
    // One picture 64 times: 3 · 2 places and 2 mirror images make 12 different crops.
    let mut crops: Vec<Vec<u32>> =
        values.chunks(3 * 3 * 4).map(|crop| crop.iter().map(|value| value.to_bits()).collect()).collect();
    crops.sort();
    crops.dedup();
    assert_eq!(crops.len(), 12);
    assert_eq!(values, first(1));
    assert_ne!(values, first(2));
    // Once in order: the same, from the middle, every time.
    let once = contents(&batches(source.clone(), 1, options(1)).unwrap().next().unwrap().unwrap()).1;
    let middle = image::imageops::crop_imm(&picture(0, 6, 4), 1, 0, 4, 3).to_image();
    let expected = Converter::new(&Normalization::IMAGENET).unwrap().to_tensor(&[middle]).unwrap();
    assert_eq!(once, expected.flatten_all().unwrap().to_vec1::<f32>().unwrap());
}

#[test]
fn one_pass_gives_every_picture_once() {
    let loader = batches(Made::good(10), 4, options(3)).unwrap();
    let found: Vec<_> = loader.map(|batch| batch.unwrap().indices).collect();
    assert_eq!(found, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert_eq!(batches(Made::good(0), 4, options(3)).unwrap().count(), 0);
}

#[test]
fn a_list_of_batches_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("batches.txt");
    std::fs::write(&file, "# two batches\n3 1 4\n\n1, 5\n").unwrap();
    let list = Batches::from_file(&file).unwrap();
    assert_eq!(list.count(), Some(2));
    let loader = Loader::new(Made::good(6), list.clone(), 0, options(2)).unwrap();
    let found: Vec<_> = loader.map(|batch| batch.unwrap().indices).collect();
    assert_eq!(found, [vec![3, 1, 4], vec![1, 5]]);
    let error = Loader::new(Made::good(5), list, 0, options(2)).err().unwrap().to_string();
    assert!(error.contains("image 5") && error.contains("batch 1"), "{error}");
    std::fs::write(&file, "1 x").unwrap();
    assert!(Batches::from_file(&file).unwrap_err().to_string().contains("line 1"));
    std::fs::write(&file, "").unwrap();
    assert!(Batches::from_file(&file).is_err());
}

#[test]
fn a_failure_comes_in_its_place_and_ends_the_stream() {
    let source = Arc::new(Made { len: 10, fails: Some(5), panics: None });
    let mut loader = batches(source, 2, options(3)).unwrap();
    assert_eq!(loader.next().unwrap().unwrap().indices, [0, 1]);
    assert_eq!(loader.next().unwrap().unwrap().indices, [2, 3]);
    assert!(loader.next().unwrap().unwrap_err().to_string().contains("made/5"));
    assert!(loader.next().is_none());

    let source = Arc::new(Made { len: 10, fails: None, panics: Some(3) });
    let mut loader = batches(source, 1, options(2)).unwrap();
    let error = loader.find_map(Result::err).unwrap().to_string();
    assert!(error.contains("picture 3 panics"), "{error}");
    assert!(loader.next().is_none());
}

#[test]
fn dropping_a_loader_ends_its_workers() {
    let source = Made::good(100);
    let order = Order::new(0, 100, 10).unwrap();
    let mut loader = Loader::new(source.clone(), order, 0, options(4)).unwrap();
    loader.next().unwrap().unwrap();
    drop(loader);
    // The workers held the only other references.
    assert_eq!(Arc::strong_count(&source), 1);
}

#[test]
fn sizes_must_be_equal_within_a_batch() {
    let one = |seed, width, height| -> Arc<dyn ImageSource> {
        let pixels = picture(seed, width, height).into_raw();
        Arc::new(MemorySource::new(format!("set{seed}"), (width, height), pixels, None, Version::default()).unwrap())
    };
    let mixed = Arc::new(Concat::new(vec![one(1, 5, 3), one(2, 5, 3), one(3, 3, 5)]));
    let plain = LoaderOptions { preprocess: Preprocess::default(), ..options(1) };
    let mut loader = batches(mixed.clone(), 3, plain).unwrap();
    let error = loader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("set1#0 has 5x3") && error.contains("set3#0 has 3x5"), "{error}");
    assert!(error.contains("set a resize"), "{error}");
    assert_eq!(batches(mixed.clone(), 1, plain).unwrap().filter_map(Result::ok).count(), 3);
    let resized = LoaderOptions { preprocess: Preprocess::squash(4, 2), ..plain };
    let batch = batches(mixed.clone(), 3, resized).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.pixels.dims(), [3, 3, 2, 4]);
    let cropped = batches(mixed, 3, options(1)).unwrap().next().unwrap().unwrap_err();
    assert!(matches!(cropped, DatasetError::Crop { .. }), "{cropped}");
}

#[test]
fn resizing_keeps_axes_and_averages() {
    let apply = |resize, image| {
        let preprocess = Preprocess { resize: Some(resize), ..Preprocess::default() };
        preprocess.apply(image, "test", None).unwrap()
    };
    let to = |width, height, mode, filter| Resize { width, height, mode, filter };
    // Black on the left, white on the right: no size may turn it.
    let halves = image::RgbImage::from_fn(8, 4, |x, _| image::Rgb([if x < 4 { 0 } else { 255 }; 3]));
    for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
        for size in [(2, 2), (16, 3), (3, 16)] {
            let resized = apply(to(size.0, size.1, ResizeMode::Squash, filter), halves.clone());
            assert_eq!(resized.dimensions(), size);
            assert!(resized.rows().all(|row| {
                let row: Vec<_> = row.collect();
                row[0].0[0] < 60 && row[row.len() - 1].0[0] > 195
            }));
        }
        let same = apply(to(8, 4, ResizeMode::Squash, filter), halves.clone());
        assert_eq!(same, halves);
    }
    // A reduction to one pixel by `bilinear` weighs all pixels, as it should to avoid aliasing.
    let dot = apply(to(1, 1, ResizeMode::Squash, Filter::Bilinear), halves.clone());
    assert!(dot.as_raw().iter().all(|value| (126..=129).contains(value)), "{dot:?}");
    let covering = |width, height| apply(to(width, height, ResizeMode::ShorterSide, Filter::Bilinear), halves.clone());
    assert_eq!(covering(2, 2).dimensions(), (4, 2));
    assert_eq!(covering(16, 2).dimensions(), (16, 8));
    assert_eq!(covering(3, 3).dimensions(), (6, 3));
    let enlarged = |width, height| apply(to(width, height, ResizeMode::Enlarge, Filter::Bilinear), halves.clone());
    assert_eq!(enlarged(8, 3), halves);
    assert_eq!(enlarged(10, 2), covering(10, 2));
    assert_eq!(enlarged(10, 2).dimensions(), (10, 5));
}

/// The pictures were resized by Pillow 13, which goes along columns first in the second case.
#[test]
fn resizing_gives_what_pillow_gives() {
    let decode = |name: &str| decode_image(data(name), &DecodeOptions::default()).unwrap();
    let original = decode("resize.png");
    for (filter, name) in [
        (Filter::Nearest, "nearest"),
        (Filter::Bilinear, "bilinear"),
        (Filter::Bicubic, "bicubic"),
        (Filter::Lanczos, "lanczos"),
    ] {
        for (width, height, tolerance) in [(16, 9, 0), (50, 11, 1), (37, 40, 0)] {
            let resize = Resize { width, height, mode: ResizeMode::Squash, filter };
            let preprocess = Preprocess { resize: Some(resize), ..Preprocess::default() };
            let resized = preprocess.apply(original.clone(), "test", None).unwrap();
            let expected = decode(&format!("resize-{name}-{width}x{height}.png"));
            assert!(difference(&resized, &expected) <= tolerance, "{name} to {width}x{height}");
        }
    }
}

#[test]
fn options_are_checked() {
    let refused = |preprocess: Preprocess| {
        let options = LoaderOptions { preprocess, ..LoaderOptions::default() };
        batches(Made::good(1), 1, options).err().unwrap().to_string()
    };
    assert!(refused(Preprocess::squash(0, 5)).contains("resize is 0x5"));
    assert!(refused(Preprocess::squash(5, 70_000)).contains("65535"));
    let crop = Crop::Center { width: 6, height: 6 };
    assert!(refused(Preprocess { crop, ..Preprocess::squash(5, 5) }).contains("larger than the resize (5x5)"));
    assert!(batches(Made::good(1), 0, LoaderOptions::default()).is_err());
    let other = Order::new(0, 2, 1).unwrap();
    assert!(Loader::new(Made::good(3), other, 0, LoaderOptions::default()).is_err());
    let normalization = Normalization { mean: [0.0; 3], std: [0.0; 3] };
    assert!(batches(Made::good(1), 1, LoaderOptions { normalization, ..LoaderOptions::default() }).is_err());
}

proptest! {
    #[test]
    fn resizing_gives_the_size_asked_for_and_stays_in_range(
        (width, height) in (1u32..50, 1u32..50),
        (to_width, to_height) in (1u32..50, 1u32..50),
        filter in prop::sample::select(vec![Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos]),
        shorter_side in any::<bool>(),
        color in any::<[u8; 3]>(),
    ) {
        let mode = if shorter_side { ResizeMode::ShorterSide } else { ResizeMode::Squash };
        let resize = Some(Resize { width: to_width, height: to_height, mode, filter });
        let apply = |image| Preprocess { resize, ..Preprocess::default() }.apply(image, "any", None).unwrap();
        let (new_width, new_height) = apply(picture(1, width, height)).dimensions();
        if shorter_side {
            prop_assert!(new_width >= to_width && new_height >= to_height);
            prop_assert!(new_width == to_width || new_height == to_height);
        } else {
            prop_assert_eq!((new_width, new_height), (to_width, to_height));
        }
        // Weights sum to one, so a picture of one color stays what it was.
        let one = apply(image::RgbImage::from_pixel(width, height, image::Rgb(color)));
        prop_assert!(one.pixels().all(|pixel| pixel.0 == color));
        // Filters without negative weights stay between the darkest and the brightest value.
        if matches!(filter, Filter::Nearest | Filter::Bilinear) {
            let original = picture(1, width, height);
            let resized = apply(original.clone());
            let (low, high) = (original.as_raw().iter().min(), original.as_raw().iter().max());
            prop_assert!(resized.as_raw().iter().min() >= low && resized.as_raw().iter().max() <= high);
        }
    }
}

#[test]
fn a_picture_that_vanishes_is_named_and_ends_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..4).map(|seed| save(folder.path(), &format!("{seed}.png"), &picture(seed, 6, 4))).collect();
    let source = Arc::new(FolderSource::open(folder.path(), DecodeOptions::default()).unwrap());
    std::fs::remove_file(&files[2]).unwrap();
    let mut loader = batches(source, 1, LoaderOptions::default()).unwrap();
    assert!(loader.next().unwrap().is_ok() && loader.next().unwrap().is_ok());
    let error = loader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("2.png"), "{error}");
    assert!(loader.next().is_none());
}
