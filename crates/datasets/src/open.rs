//! A specification → the pictures to train on, to validate on and to test on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rayon::prelude::*;

use crate::layout::{self, Parts};
use crate::random::Purpose;
use crate::split::{divide, split};
use crate::{
    CachedSource, Concat, DataKind, DataSpec, DatasetError, DecodeOptions, FolderSource, ImageSource, KeepSource,
    Preprocess, Subset, find_images,
};

/// A source and what it is called.
pub type NamedSource = (String, Arc<dyn ImageSource>);

/// Which pictures a run is validated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// A seeded share of the training images, which are then not trained on.
    Split,
    /// The data set's own validation images; as [`Self::Split`] where it has none.
    #[default]
    OwnSet,
}

/// What happens to pictures that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnreadable {
    /// The first that is met is an error that names it.
    #[default]
    Fail,
    /// All pictures are decoded once when the data set is opened; those that fail are left out and listed in
    /// [`DataSet::unreadable`].
    Skip,
}

/// How a data set is opened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataOptions {
    /// What the split is drawn from.
    pub seed: u64,
    /// The share of the training images that are split off for validation, where a split is made. 0.2 by default.
    pub valid_fraction: f64,
    /// Which pictures a run is validated on.
    pub valid_from: Validation,
    /// The share of the remaining training images that are trained on. 1 by default.
    pub train_fraction: f64,
    /// The most pictures of each set that are validated on, spread evenly over it. All by default.
    pub valid_images: Option<usize>,
    /// What happens to pictures that cannot be decoded.
    pub on_unreadable: OnUnreadable,
    /// How pictures are decoded.
    pub decode: DecodeOptions,
    /// How many bytes of decoded pictures are kept in memory after they were first used. 1 GiB by default.
    pub keep_decoded: u64,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            valid_fraction: 0.2,
            valid_from: Validation::default(),
            train_fraction: 1.0,
            valid_images: None,
            on_unreadable: OnUnreadable::default(),
            decode: DecodeOptions::default(),
            keep_decoded: 1 << 30,
        }
    }
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The pictures that are trained on.
    Train,
    /// The pictures that a run is validated on.
    Valid,
    /// The pictures that are kept for the end.
    Test,
}

/// The pictures of a data set or mixture.
pub struct DataSet {
    /// What it is, for people: the kinds, the paths and how many pictures there are.
    pub description: String,
    /// The pictures to train on; of a mixture, those of all its members.
    pub train: Arc<dyn ImageSource>,
    /// The pictures to validate on, for each member by itself. Empty where there are too few to split.
    pub valid: Vec<NamedSource>,
    /// The pictures to test on, for each member that has some.
    pub test: Vec<NamedSource>,
    /// The pictures that were left out: their names and why they could not be decoded.
    pub unreadable: Vec<(String, String)>,
    /// The names of the same pictures for each source that was opened, in order: what [`open_again`] takes.
    pub left_out: Vec<Vec<String>>,
}

impl DataSet {
    /// One part, by member.
    pub fn part(&self, part: Part) -> Vec<NamedSource> {
        match part {
            Part::Train => vec![("train".to_owned(), self.train.clone())],
            Part::Valid => self.valid.clone(),
            Part::Test => self.test.clone(),
        }
    }

    /// The same with the training and validation pictures decoded into memory-mapped files in `folder`, which are
    /// written first where they are missing or stale. Loaders then apply [`Preprocess::remaining`].
    ///
    /// # Errors
    /// As [`CachedSource::open`].
    pub fn cached(mut self, preprocess: &Preprocess, folder: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let folder = folder.as_ref();
        let open = |source: &Arc<dyn ImageSource>, name: String| {
            let file = folder.join(name);
            let cached = CachedSource::open(source.clone(), preprocess, file)?;
            Ok::<Arc<dyn ImageSource>, DatasetError>(Arc::new(cached))
        };
        self.train = open(&self.train, "train.pixels".to_owned())?;
        for (number, (_, source)) in self.valid.iter_mut().enumerate() {
            *source = open(source, format!("valid-{number}.pixels"))?;
        }
        Ok(self)
    }
}

/// One member of a mixture before it is split.
struct Member {
    name: String,
    train: Arc<dyn ImageSource>,
    valid: Option<Arc<dyn ImageSource>>,
    test: Option<Arc<dyn ImageSource>>,
}

/// Opens a data set or mixture.
///
/// Files are listed and read, but image files are not decoded before they are asked for (unless unreadable ones are
/// to be skipped). Each member of a mixture is split by itself.
///
/// # Errors
/// When a member is missing, is not laid out as its kind demands, holds no pictures, or its kind was left out of this
/// build; when a fraction makes no sense.
pub fn open(spec: &DataSpec, options: &DataOptions) -> Result<DataSet, DatasetError> {
    open_or_again(spec, options, None)
}

/// Opens a data set as it was opened before: exactly the pictures of [`DataSet::left_out`] are left out before anything
/// is split, whatever can be decoded now.
///
/// # Errors
/// As [`open`].
pub fn open_again(spec: &DataSpec, options: &DataOptions, left_out: &[Vec<String>]) -> Result<DataSet, DatasetError> {
    open_or_again(spec, options, Some(left_out))
}

fn open_or_again(
    spec: &DataSpec,
    options: &DataOptions,
    again: Option<&[Vec<String>]>,
) -> Result<DataSet, DatasetError> {
    if !(options.train_fraction > 0.0 && options.train_fraction <= 1.0) {
        return Err(DatasetError::Option {
            option: "the fraction of the images to train on",
            value: options.train_fraction.to_string(),
            reason: "it must be above 0 and at most 1".to_owned(),
        });
    }
    let budget = Arc::new(AtomicU64::new(options.keep_decoded));
    let (mut unreadable, mut left_out) = (Vec::new(), Vec::new());
    let (mut train, mut valid, mut test) = (Vec::new(), Vec::<NamedSource>::new(), Vec::new());
    let mut descriptions = Vec::new();
    for (number, member) in spec.members().iter().enumerate() {
        let kind = match member.kind() {
            Some(kind) => kind,
            None => layout::detect(member.path())?,
        };
        let opened = open_member(kind, member.path(), options)?;
        let mut prepare = |source: Arc<dyn ImageSource>| -> Result<Arc<dyn ImageSource>, _> {
            let source: Arc<dyn ImageSource> = Arc::new(KeepSource::new(source, budget.clone()));
            let (told, number) = (unreadable.len(), left_out.len());
            let source = match (again, options.on_unreadable) {
                (Some(again), _) => without(source, again.get(number).map_or(&[], Vec::as_slice)),
                (None, OnUnreadable::Fail) => Ok(source),
                (None, OnUnreadable::Skip) => readable(source, &mut unreadable),
            }?;
            left_out.push(match again {
                Some(again) => again.get(number).cloned().unwrap_or_default(),
                None => unreadable[told..].iter().map(|(name, _): &(String, String)| name.clone()).collect(),
            });
            Ok::<_, DatasetError>(source)
        };
        let all = prepare(opened.train)?;
        let own_valid = opened.valid.map(&mut prepare).transpose()?;
        let own_test = opened.test.map(&mut prepare).transpose()?;
        if all.is_empty() {
            return Err(DatasetError::NothingFound(member.path().display().to_string()));
        }
        // Members of one name are told apart by their number.
        let taken = valid.iter().any(|(name, _)| *name == opened.name);
        let name = if taken { format!("{} ({})", opened.name, number + 1) } else { opened.name };
        let (mut rest, held_out) = match (options.valid_from, own_valid) {
            (Validation::OwnSet, Some(own)) => ((0..all.len()).collect(), Some(own)),
            _ => {
                let (rest, held_out) = split(all.len(), options.valid_fraction, options.seed)?;
                (rest, subset(&all, held_out)?)
            }
        };
        let held_out = match (held_out, options.valid_images) {
            (Some(source), Some(most)) if most < source.len() => subset(&source, spread(source.len(), most))?,
            (held_out, _) => held_out,
        };
        if options.train_fraction < 1.0 {
            let left_out = 1.0 - options.train_fraction;
            let (kept, _) = divide(rest.len(), left_out, options.seed, Purpose::Selection);
            rest = kept.into_iter().filter_map(|at| rest.get(at).copied()).collect();
        }
        descriptions.push(format!(
            "{kind} {}: {} images to train on, {} to validate on, {} to test on",
            member.path().display(),
            rest.len(),
            held_out.as_ref().map_or(0, |source| source.len()),
            own_test.as_ref().map_or(0, |source| source.len()),
        ));
        train.push(if rest.len() == all.len() { all } else { Arc::new(Subset::new(all, rest)?) });
        valid.extend(held_out.map(|source| (name.clone(), source)));
        test.extend(own_test.map(|source| (name, source)));
    }
    let train: Arc<dyn ImageSource> = match train.pop() {
        Some(only) if train.is_empty() => only,
        last => Arc::new(Concat::new(train.into_iter().chain(last).collect())),
    };
    Ok(DataSet { description: descriptions.join("; "), train, valid, test, unreadable, left_out })
}

/// `count` of the numbers 0 … `len` − 1, evenly spread.
fn spread(len: usize, count: usize) -> Vec<usize> {
    (0..count).map(|number| (number as u128 * len as u128 / count as u128) as usize).collect()
}

/// The pictures `indices` of `source`; `None` if there are none.
fn subset(source: &Arc<dyn ImageSource>, indices: Vec<usize>) -> Result<Option<Arc<dyn ImageSource>>, DatasetError> {
    if indices.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Subset::new(source.clone(), indices)?)))
}

/// The pictures of `source` but those of these names.
fn without(source: Arc<dyn ImageSource>, names: &[String]) -> Result<Arc<dyn ImageSource>, DatasetError> {
    if names.is_empty() {
        return Ok(source);
    }
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let indices = (0..source.len()).filter(|index| !names.contains(source.name(*index).as_str())).collect();
    Ok(Arc::new(Subset::new(source, indices)?))
}

/// The pictures of `source` that can be decoded; the others are listed.
fn readable(
    source: Arc<dyn ImageSource>,
    unreadable: &mut Vec<(String, String)>,
) -> Result<Arc<dyn ImageSource>, DatasetError> {
    let failures: Vec<Option<String>> = (0..source.len())
        .into_par_iter()
        .map(|index| source.image(index).err().map(|error| error.to_string()))
        .collect();
    if failures.iter().all(Option::is_none) {
        return Ok(source);
    }
    let mut indices = Vec::new();
    for (index, failure) in failures.into_iter().enumerate() {
        match failure {
            None => indices.push(index),
            Some(reason) => unreadable.push((source.name(index), reason)),
        }
    }
    Ok(Arc::new(Subset::new(source, indices)?))
}

fn open_member(kind: DataKind, path: &Path, options: &DataOptions) -> Result<Member, DatasetError> {
    match kind {
        DataKind::Folder | DataKind::ImageNet | DataKind::CelebaHq | DataKind::Afhq => open_files(kind, path, options),
        #[cfg(feature = "candle-datasets")]
        DataKind::Cifar10 => named(kind, crate::candle_sets::cifar10(path)?),
        #[cfg(feature = "candle-datasets")]
        DataKind::Mnist | DataKind::FashionMnist => named(kind, crate::candle_sets::mnist(kind, path)?),
        #[cfg(not(feature = "candle-datasets"))]
        DataKind::Cifar10 | DataKind::Mnist | DataKind::FashionMnist => {
            Err(DatasetError::Feature { kind: kind.to_string(), feature: "candle-datasets" })
        }
        #[cfg(feature = "parquet")]
        DataKind::Parquet => open_parquet(path, options),
        #[cfg(not(feature = "parquet"))]
        DataKind::Parquet => Err(DatasetError::Feature { kind: kind.to_string(), feature: "parquet" }),
    }
}

/// A folder of image files, or (for `folder:`) a single file or a pattern.
fn open_files(kind: DataKind, path: &Path, options: &DataOptions) -> Result<Member, DatasetError> {
    let decode = options.decode;
    if !path.is_dir() {
        if kind != DataKind::Folder {
            return Err(DatasetError::layout(kind, path, "it is not a folder"));
        }
        let files = find_images(&[path.to_string_lossy().into_owned()])?;
        return Ok(Member {
            name: name_of(kind, path),
            train: Arc::new(FolderSource::of_files("", files, decode)),
            valid: None,
            test: None,
        });
    }
    let Parts { train, valid, test } = layout::parts(kind, path)?;
    let train = FolderSource::open(train, decode)?;
    let open = |folder| -> Result<Arc<dyn ImageSource>, DatasetError> {
        // Classes are counted alike in all parts.
        Ok(Arc::new(FolderSource::open(folder, decode)?.with_classes(train.classes().to_vec())))
    };
    let (valid, test) = (valid.map(open).transpose()?, test.map(open).transpose()?);
    Ok(Member { name: name_of(kind, path), train: Arc::new(train), valid, test })
}

#[cfg(feature = "parquet")]
fn open_parquet(path: &Path, options: &DataOptions) -> Result<Member, DatasetError> {
    let kind = DataKind::Parquet;
    let (root, files) = if path.is_dir() {
        (path, layout::parquet_files(path)?)
    } else {
        (path.parent().unwrap_or(path), vec![path.to_path_buf()])
    };
    let [mut train, valid, mut test] = layout::by_name(root, files);
    if train.is_empty() && valid.is_empty() {
        // A single part is trained on, whatever it is called.
        train = std::mem::take(&mut test);
    }
    if train.is_empty() {
        return Err(DatasetError::layout(kind, path, "it has no .parquet file to train on"));
    }
    let open = |files: Vec<_>| -> Result<Option<Arc<dyn ImageSource>>, DatasetError> {
        if files.is_empty() {
            return Ok(None);
        }
        let source = crate::parquet_set::ParquetSource::open(root, &files, options.decode)?;
        Ok(Some(Arc::new(source)))
    };
    Ok(Member {
        name: name_of(kind, path),
        train: open(train)?.ok_or_else(|| DatasetError::NothingFound(path.display().to_string()))?,
        valid: open(valid)?,
        test: open(test)?,
    })
}

/// A data set that has a training and a testing part.
#[cfg(feature = "candle-datasets")]
fn named(kind: DataKind, (train, test): (crate::MemorySource, crate::MemorySource)) -> Result<Member, DatasetError> {
    Ok(Member { name: kind.to_string(), train: Arc::new(train), valid: None, test: Some(Arc::new(test)) })
}

/// What a member is called: its kind, or its path's last part where that says more.
fn name_of(kind: DataKind, path: &Path) -> String {
    match (kind, path.file_name()) {
        (DataKind::Folder | DataKind::Parquet, Some(name)) => name.to_string_lossy().into_owned(),
        _ => kind.to_string(),
    }
}
