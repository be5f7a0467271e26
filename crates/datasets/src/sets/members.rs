//! One data set, by its kind.

use std::path::Path;
use std::sync::Arc;

use crate::error::DatasetError;
use crate::files::passed_over::PassedOver;
use crate::files::picture_files::PictureFiles;
use crate::sets::layout::{self, Parts};
use crate::sets::options::DataOptions;
use crate::sets::spec::DataKind;
use crate::sources::folder::FolderSource;
use crate::sources::memory::MemorySource;
use crate::sources::remarks::Remarks;
use crate::sources::source::ImageSource;
use crate::sources::{cifar10, mnist};

/// A data set before it is split.
pub(super) struct Opened {
    /// What it is called: its kind, or its path's last part where that says more.
    pub name: String,
    pub train: Arc<dyn ImageSource>,
    pub valid: Option<Arc<dyn ImageSource>>,
    pub test: Option<Arc<dyn ImageSource>>,
    pub passed_over: PassedOver,
}

/// Opens the data set of that kind that lies at `path`.
pub(super) fn open_member(
    kind: DataKind,
    path: &Path,
    options: &DataOptions,
    remarks: &Remarks,
) -> Result<Opened, DatasetError> {
    match kind {
        DataKind::Folder | DataKind::ImageNet | DataKind::CelebaHq | DataKind::Afhq => {
            open_files(kind, path, options, remarks)
        }
        DataKind::Cifar10 => Ok(named(kind, cifar10::open(path)?)),
        DataKind::Mnist | DataKind::FashionMnist => Ok(named(kind, mnist::open(kind.name(), path)?)),
        #[cfg(feature = "parquet")]
        DataKind::Parquet => open_parquet(path, options, remarks),
        #[cfg(not(feature = "parquet"))]
        DataKind::Parquet => Err(DatasetError::Feature { kind: kind.to_string(), feature: "parquet" }),
        DataKind::Hub => Err(DatasetError::Spec {
            spec: format!("hub:{}", path.display()),
            reason: "it has to be fetched from the Hub before it is opened".to_owned(),
        }),
        #[cfg(feature = "shards")]
        DataKind::Wds => open_shards(path, options, remarks),
        #[cfg(not(feature = "shards"))]
        DataKind::Wds => Err(DatasetError::Feature { kind: kind.to_string(), feature: "shards" }),
    }
}

/// A folder of image files, or (for `folder:`) a single file or a pattern.
fn open_files(kind: DataKind, path: &Path, options: &DataOptions, remarks: &Remarks) -> Result<Opened, DatasetError> {
    let decode = options.decode;
    let name = name_of(kind, path);
    if !path.is_dir() {
        if kind != DataKind::Folder {
            return Err(DatasetError::layout(kind, path, "it is not a folder"));
        }
        let (files, passed_over) = PictureFiles::find([path])?.into_paths();
        let train = FolderSource::of_files("", files, decode).with_remarks(remarks.clone());
        return Ok(Opened { name, train: Arc::new(train), valid: None, test: None, passed_over });
    }
    let Parts { train, valid, test } = layout::parts(kind, path)?;
    let train = FolderSource::open(train, decode)?.with_remarks(remarks.clone());
    let mut passed_over = train.passed_over().clone();
    let mut open = |folder| -> Result<Arc<dyn ImageSource>, DatasetError> {
        let part = FolderSource::open(folder, decode)?.with_remarks(remarks.clone());
        passed_over.add(part.passed_over().clone());
        // Classes are counted alike in all parts.
        Ok(Arc::new(part.with_classes(train.classes().to_vec())))
    };
    let (valid, test) = (valid.map(&mut open).transpose()?, test.map(&mut open).transpose()?);
    Ok(Opened { name, train: Arc::new(train), valid, test, passed_over })
}

#[cfg(feature = "parquet")]
fn open_parquet(path: &Path, options: &DataOptions, remarks: &Remarks) -> Result<Opened, DatasetError> {
    use crate::sets::shards::Shards;
    use crate::sources::parquet::ParquetSource;

    let kind = DataKind::Parquet;
    let Shards { root, files, column, passed_over } = Shards::find(path)?;
    let [mut train, mut valid, mut test] = layout::by_name(&root, files);
    alone(&mut train, &mut valid, &mut test);
    if train.is_empty() {
        return Err(DatasetError::layout(kind, path, "it has no .parquet file to train on"));
    }
    let open = |files: Vec<_>| -> Result<Option<Arc<dyn ImageSource>>, DatasetError> {
        if files.is_empty() {
            return Ok(None);
        }
        let source = ParquetSource::open(&root, &files, column.as_deref(), options.decode, remarks.clone())?;
        Ok(Some(Arc::new(source)))
    };
    Ok(Opened {
        name: name_of(kind, path),
        train: open(train)?.ok_or_else(|| DatasetError::nothing_found(path.display(), &passed_over))?,
        valid: open(valid)?,
        test: open(test)?,
        passed_over,
    })
}

/// A single part is trained on, whatever it is called.
#[cfg(feature = "parquet")]
fn alone<T>(train: &mut Vec<T>, valid: &mut Vec<T>, test: &mut Vec<T>) {
    if train.is_empty() && valid.is_empty() {
        *train = std::mem::take(test);
    } else if train.is_empty() && test.is_empty() {
        *train = std::mem::take(valid);
    }
}

#[cfg(feature = "shards")]
fn open_shards(path: &Path, options: &DataOptions, remarks: &Remarks) -> Result<Opened, DatasetError> {
    use crate::shards::{ShardFiles, ShardKind};
    use crate::sources::shards::ShardSource;

    let ShardFiles { shards, mut passed_over } = ShardFiles::find([path])?;
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for shard in shards {
        match shard.kind {
            ShardKind::Tar => parts[layout::part_of(&shard.name)].push(shard),
            ShardKind::Parquet => passed_over.file(&shard.path),
        }
    }
    let [mut train, mut valid, mut test] = parts;
    alone(&mut train, &mut valid, &mut test);
    if train.is_empty() {
        return Err(DatasetError::layout(DataKind::Wds, path, "it has no tar shard to train on"));
    }
    let mut open = |files: Vec<_>| -> Result<Option<Arc<dyn ImageSource>>, DatasetError> {
        if files.is_empty() {
            return Ok(None);
        }
        let (source, passed) = ShardSource::open(files, options.decode, remarks.clone())?;
        passed_over.add(passed);
        Ok(Some(Arc::new(source)))
    };
    let (train, valid, test) = (open(train)?, open(valid)?, open(test)?);
    Ok(Opened {
        name: name_of(DataKind::Wds, path),
        train: train.ok_or_else(|| DatasetError::nothing_found(path.display(), &passed_over))?,
        valid,
        test,
        passed_over,
    })
}

/// A data set that has a training and a testing part.
fn named(kind: DataKind, (train, test): (MemorySource, MemorySource)) -> Opened {
    let passed_over = PassedOver::default();
    Opened { name: kind.to_string(), train: Arc::new(train), valid: None, test: Some(Arc::new(test)), passed_over }
}

fn name_of(kind: DataKind, path: &Path) -> String {
    match (kind, path.file_name()) {
        (DataKind::Folder | DataKind::Parquet | DataKind::Wds, Some(name)) => name.to_string_lossy().into_owned(),
        _ => kind.to_string(),
    }
}
