//! Data sets of image files: layouts, splits, mixtures, caches.

use std::path::Path;
use std::sync::Arc;

use ksom_datasets::loading::{Crop, batches};
use ksom_datasets::sets::{OnUnreadable, Part, Validation};
use ksom_datasets::sources::CachedSource;
use ksom_datasets::{DataOptions, DataSet, DatasetError, ImageSource, LoaderOptions, Normalization, Preprocess, open};

use crate::common::{all, picture, save};

/// Writes `count` pictures of 6 × 4 pixels, each different.
fn fill(folder: &Path, name: &str, count: u32) {
    for number in 0..count {
        save(folder, &format!("{name}/{number:03}.png"), &picture(number, 6, 4));
    }
}

fn open_at(kind: &str, path: &Path, options: &DataOptions) -> Result<DataSet, DatasetError> {
    open(&format!("{kind}{}", path.display()).parse()?, options)
}

fn names(source: &dyn ImageSource) -> Vec<String> {
    (0..source.len()).map(|index| source.name(index)).collect()
}

#[test]
fn a_plain_folder_is_split_by_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "a", 20);
    fill(folder.path(), "b", 20);
    let with_seed = |seed| open_at("", folder.path(), &DataOptions { seed, ..DataOptions::default() }).unwrap();
    let data = with_seed(1);
    let (_, valid) = &data.valid[0];
    assert_eq!((data.train.len(), valid.len(), data.test.len()), (32, 8, 0));
    let mut both = [names(data.train.as_ref()), names(valid.as_ref())].concat();
    both.sort();
    both.dedup();
    assert_eq!(both.len(), 40);
    assert_eq!(names(with_seed(1).train.as_ref()), names(data.train.as_ref()));
    assert_ne!(names(with_seed(2).train.as_ref()), names(data.train.as_ref()));
    assert_eq!(data.train.label(data.train.len() - 1), Some(1));
    assert!(data.description.contains("32 images to train on, 8 to validate on"), "{}", data.description);
}

#[test]
fn own_parts_are_used_unless_a_split_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train/x", 10), ("val/x", 3), ("test/x", 2)] {
        fill(folder.path(), name, count);
    }
    let own = open_at("folder:", folder.path(), &DataOptions::default()).unwrap();
    assert_eq!((own.train.len(), own.valid[0].1.len(), own.test[0].1.len()), (10, 3, 2));
    assert_eq!(own.part(Part::Test)[0].1.len(), 2);
    assert_eq!(own.part(Part::Train)[0].1.len(), 10);
    let options = DataOptions { valid_from: Validation::Split, ..DataOptions::default() };
    let split = open_at("folder:", folder.path(), &options).unwrap();
    assert_eq!((split.train.len(), split.valid[0].1.len(), split.test[0].1.len()), (8, 2, 2));
    // 99 % of the training images, validated on the data set's own: ImageNet's recipe.
    let options = DataOptions { train_fraction: 0.9, ..DataOptions::default() };
    let fewer = open_at("folder:", folder.path(), &options).unwrap();
    assert_eq!((fewer.train.len(), fewer.valid[0].1.len()), (9, 3));
    // At most so many validation pictures, spread over the set.
    let options = |valid_images| DataOptions { valid_images: Some(valid_images), ..DataOptions::default() };
    let few = open_at("folder:", folder.path(), &options(2)).unwrap().valid.remove(0).1;
    assert_eq!((few.name(0), few.name(1)), (own.valid[0].1.name(0), own.valid[0].1.name(1)));
    assert_eq!(few.len(), 2);
    assert_eq!(open_at("folder:", folder.path(), &options(9)).unwrap().valid[0].1.len(), 3);
}

#[test]
fn known_layouts_are_recognized() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (name, count) in [
        ("imagenet/train/n01440764", 4),
        ("imagenet/train/n01443537", 4),
        ("imagenet/val", 3),
        ("afhq/train/cat", 6),
        ("afhq/train/dog", 4),
        ("afhq/val/cat", 2),
        ("afhq2/train/wild", 4),
        ("afhq2/test/wild", 1),
        ("celebahq/train/female", 6),
        ("celebahq/val/male", 3),
        ("kaggle/ILSVRC/Data/CLS-LOC/train/n01440764", 2),
        ("kaggle/ILSVRC/Data/CLS-LOC/val", 1),
        ("cifar/train/airplane", 5),
        ("cifar/test/airplane", 2),
    ] {
        fill(root, name, count);
    }
    let opened = |kind: &str, name: &str| open_at(kind, &root.join(name), &DataOptions::default()).unwrap();
    for (name, kind, sizes) in [
        ("imagenet", "imagenet", (8, 3, 0)),
        ("kaggle", "imagenet", (2, 1, 0)),
        ("afhq", "afhq", (10, 2, 0)),
        ("afhq2", "afhq", (4, 1, 0)),
        ("celebahq", "celebahq", (6, 3, 0)),
        ("cifar", "folder", (4, 1, 2)),
    ] {
        for stated in [String::new(), format!("{kind}:")] {
            let data = opened(&stated, name);
            let test = data.test.first().map_or(0, |(_, source)| source.len());
            assert_eq!((data.train.len(), data.valid[0].1.len(), test), sizes, "{stated}{name}");
            assert!(data.description.starts_with(&format!("{kind} ")), "{}", data.description);
        }
    }
    assert_eq!(opened("", "imagenet").train.label(7), Some(1));
    // The second class of the training images, though the only one of the others.
    fill(root, "classes/train/a", 2);
    fill(root, "classes/train/b", 2);
    fill(root, "classes/val/b", 1);
    fill(root, "classes/test/unknown", 1);
    let data = opened("", "classes");
    assert_eq!((data.valid[0].1.label(0), data.test[0].1.label(0)), (Some(1), None));
    let wrong = open_at("imagenet:", &root.join("afhq/val"), &DataOptions::default()).err().unwrap().to_string();
    assert!(wrong.contains("it has no folder train/"), "{wrong}");
}

#[test]
fn a_mixture_is_validated_member_by_member() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (name, count) in [("afhq/train/cat", 10), ("afhq/val/cat", 2), ("own", 5), ("other/own", 5)] {
        fill(root, name, count);
    }
    let at = |name: &str| root.join(name).display().to_string();
    let spec = format!("afhq:{}+{}+folder:{}", at("afhq"), at("own"), at("other/own"));
    let data = open(&spec.parse().unwrap(), &DataOptions::default()).unwrap();
    assert_eq!(data.train.len(), 10 + 4 + 4);
    let valid: Vec<_> = data.valid.iter().map(|(name, source)| (name.as_str(), source.len())).collect();
    assert_eq!(valid, [("afhq", 2), ("own", 1), ("own (3)", 1)]);
    assert_eq!(all(data.train.as_ref()).len(), 18);
    assert!(data.train.image(18).unwrap_err().to_string().contains("which has 18"));
}

#[test]
fn unreadable_files_are_fatal_or_skipped() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "x", 6);
    std::fs::write(folder.path().join("x/002a.jpg"), b"").unwrap();
    std::fs::write(folder.path().join("x/004a.png"), b"<html>").unwrap();
    let options = DataOptions { valid_fraction: 0.0, ..DataOptions::default() };
    let fatal = open_at("", folder.path(), &options).unwrap();
    assert!(fatal.valid.is_empty());
    let mut loader = batches(fatal.train, 8, LoaderOptions::default()).unwrap();
    let error = loader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("002a.jpg") && error.contains("0 bytes"), "{error}");
    let options = DataOptions { on_unreadable: OnUnreadable::Skip, ..options };
    let skipped = open_at("", folder.path(), &options).unwrap();
    assert_eq!(skipped.train.len(), 6);
    let left_out: Vec<_> = skipped.unreadable.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left_out, ["x/002a.jpg", "x/004a.png"]);
    assert!(skipped.unreadable[1].1.contains("HTML page"), "{:?}", skipped.unreadable);
    assert_eq!(all(skipped.train.as_ref()).len(), 6);
}

#[test]
fn what_is_kept_in_memory_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "x", 9);
    let options = |keep_decoded| DataOptions { keep_decoded, valid_fraction: 0.0, ..DataOptions::default() };
    let never = all(open_at("", folder.path(), &options(0)).unwrap().train.as_ref());
    // A picture takes 72 bytes: room for all, for four, for none.
    for budget in [1 << 20, 300, 71] {
        let data = open_at("", folder.path(), &options(budget)).unwrap();
        assert_eq!(all(data.train.as_ref()), never);
        fs_rename(folder.path(), "x", "y");
        let kept = (0..9).filter(|index| data.train.image(*index).is_ok()).count();
        assert_eq!(kept as u64, (budget / 72).min(9));
        fs_rename(folder.path(), "y", "x");
    }
}

fn fs_rename(folder: &Path, from: &str, to: &str) {
    std::fs::rename(folder.join(from), folder.join(to)).unwrap();
}

#[test]
fn a_cache_is_written_once_and_again_when_it_is_stale() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "x", 10);
    let options = DataOptions { valid_fraction: 0.2, keep_decoded: 0, ..DataOptions::default() };
    let opened = || open_at("", &folder.path().join("x"), &options).unwrap();
    let cache = folder.path().join("cache");
    let preprocess = Preprocess { crop: Crop::Random { width: 3, height: 3 }, flip: true, ..Preprocess::squash(4, 5) };
    let cached = opened().cached(&preprocess, &cache).unwrap();
    let expected: Vec<_> =
        all(opened().train.as_ref()).into_iter().map(|i| preprocess.fixed().apply(i, "", None).unwrap()).collect();
    assert_eq!(all(cached.train.as_ref()), expected);
    assert_eq!(cached.valid[0].1.image(0).unwrap().dimensions(), (4, 5));

    // A training stream from it is the same as one without.
    let stream = |source, preprocess| {
        let order = ksom_datasets::Order::new(1, 8, 3).unwrap();
        let options = LoaderOptions { preprocess, workers: 2, ..LoaderOptions::default() };
        let loader = ksom_datasets::Loader::new(source, order, 0, options).unwrap();
        let values = loader.take(6).map(|batch| batch.unwrap().pixels.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.collect::<Vec<_>>()
    };
    assert_eq!(stream(cached.train.clone(), preprocess.remaining()), stream(opened().train, preprocess));

    // A fresh one is left alone: its time does not change.
    let file = cache.join("train.pixels");
    let written = || std::fs::metadata(&file).unwrap().modified().unwrap();
    let first = written();
    drop(cached);
    drop(opened().cached(&preprocess, &cache).unwrap());
    assert_eq!(written(), first);
    // Other pixels in a file of the set.
    let changed = opened().train.name(0);
    save(&folder.path().join("x"), &changed, &picture(99, 7, 4));
    let again = opened().cached(&preprocess, &cache).unwrap();
    assert_eq!(again.train.image(0).unwrap(), preprocess.fixed().apply(picture(99, 7, 4), "", None).unwrap());
    drop(again);
    // Another preprocessing, and a damaged file.
    let other = opened().cached(&Preprocess::squash(2, 2), &cache).unwrap();
    assert_eq!(other.train.image(0).unwrap().dimensions(), (2, 2));
    drop(other);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let whole = opened().cached(&Preprocess::squash(2, 2), &cache).unwrap();
    assert_eq!(all(whole.train.as_ref()).len(), 8);
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 2, "nothing is left beside the caches");
}

#[test]
fn a_cache_needs_one_size() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a.png", &picture(0, 3, 4));
    save(folder.path(), "b.png", &picture(0, 4, 3));
    let options = DataOptions { valid_fraction: 0.0, ..DataOptions::default() };
    let source: Arc<dyn ImageSource> = open_at("", folder.path(), &options).unwrap().train;
    let error = CachedSource::open(source, &Preprocess::default(), folder.path().join("c/cache")).err().unwrap();
    assert!(matches!(error, DatasetError::Sizes { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path().join("c")).unwrap().count(), 0);
}

#[test]
fn statistics_are_of_what_the_model_sees() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "x", 5);
    let options = DataOptions { valid_fraction: 0.0, ..DataOptions::default() };
    let data = open_at("", folder.path(), &options).unwrap();
    let found = Normalization::measure(data.train.as_ref(), &Preprocess::default()).unwrap();
    for channel in 0..3 {
        let images = all(data.train.as_ref());
        let values: Vec<f64> =
            images.iter().flat_map(|i| i.pixels().map(|p| f64::from(p.0[channel]) / 255.0)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((f64::from(found.mean[channel]) - mean).abs() < 1e-7);
        assert!((f64::from(found.std[channel]) - variance.sqrt()).abs() < 1e-7);
    }
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let says = |kind: &str, path: &Path, options| open_at(kind, path, &options).err().unwrap().to_string();
    let default = DataOptions::default();
    assert!(says("", &folder.path().join("none"), default).contains("none"));
    assert!(says("", folder.path(), default).contains("no images found"));
    fill(folder.path(), "x", 2);
    let bad = DataOptions { valid_fraction: 1.0, ..default };
    assert!(says("", folder.path(), bad).contains("hold out is 1"));
    let bad = DataOptions { train_fraction: 0.0, ..default };
    assert!(says("", folder.path(), bad).contains("train on is 0"));
    #[cfg(not(feature = "candle-datasets"))]
    {
        let folder = folder.path().join("binary");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("data_batch_1.bin"), "").unwrap();
        assert!(says("cifar10:", &folder, default).contains("the cargo feature `candle-datasets`"));
    }
    #[cfg(not(feature = "parquet"))]
    assert!(says("parquet:", folder.path(), default).contains("the cargo feature `parquet`"));
}

#[test]
fn a_single_file_and_a_pattern_are_data_sets_too() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "x", 4);
    let one = open_at("", &folder.path().join("x/001.png"), &DataOptions::default()).unwrap();
    assert_eq!((one.train.len(), one.valid.len()), (1, 0));
    for kind in ["", "folder:"] {
        let some = open_at(kind, &folder.path().join("x/*.png"), &DataOptions::default()).unwrap();
        assert_eq!((some.train.len(), some.valid[0].1.len()), (3, 1));
    }
}

#[test]
fn a_plus_sign_in_a_path_that_is_there_is_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("cats+dogs", 5), ("cats", 2), ("dogs", 1), ("C++", 3)] {
        fill(folder.path(), name, count);
    }
    let options = DataOptions { valid_fraction: 0.0, ..DataOptions::default() };
    let at = |name: &str| folder.path().join(name);
    for kind in ["", "folder:"] {
        for (name, count) in [("cats+dogs", 5), ("C++", 3), ("C++++", 3), ("cats++dogs", 5)] {
            assert_eq!(open_at(kind, &at(name), &options).unwrap().train.len(), count, "{kind}{name}");
        }
    }
    // What is written down is read as the same, in another folder too.
    let spec: ksom_datasets::DataSpec = at("cats+dogs").display().to_string().parse().unwrap();
    assert!(spec.to_string().ends_with("cats++dogs"));
    assert_eq!(spec.to_string().parse::<ksom_datasets::DataSpec>().unwrap(), spec);
    let both = format!("{}+{}", at("cats").display(), at("dogs").display());
    assert_eq!(open(&both.parse().unwrap(), &options).unwrap().train.len(), 3);
    let error = open_at("", &at("cats+birds"), &options).err().unwrap().to_string();
    assert!(error.contains("a plus sign within a path is written twice"), "{error}");
}

#[test]
fn what_is_passed_over_or_odd_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "train", 2);
    fill(folder.path(), "test", 1);
    for name in ["train/a.heic", "train/b.HEIC", "test/c.avif"] {
        std::fs::write(folder.path().join(name), "no picture that is read").unwrap();
    }
    let file = folder.path().join("train/000.png");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 12]).unwrap();
    let data = open_at("", folder.path(), &DataOptions::default()).unwrap();
    assert_eq!(data.passed_over.to_string(), "passed over 3 files: 2 .heic, 1 .avif");
    all(data.train.as_ref());
    all(data.valid[0].1.as_ref());
    let remarks = data.remarks.take();
    assert_eq!(remarks.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["000.png"]);
    assert!(data.remarks.take().is_empty());
}
