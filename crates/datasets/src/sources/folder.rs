//! A folder of image files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::decode::{DecodeOptions, decode_file, image_size};
use crate::error::DatasetError;
use crate::files::names::relative;
use crate::files::passed_over::PassedOver;
use crate::files::walk::walk;
use crate::sources::remarks::Remarks;
use crate::sources::source::{ImageSource, Version, out_of_range};

/// Image files below a folder, decoded when they are asked for.
///
/// A picture's class is the folder it lies in, relative to the root; classes are numbered in sorted order. Where all
/// pictures lie in one folder there are no classes.
pub struct FolderSource {
    root: PathBuf,
    files: Vec<PathBuf>,
    labels: Vec<Option<u32>>,
    classes: Vec<String>,
    passed_over: PassedOver,
    decode: DecodeOptions,
    remarks: Remarks,
}

impl FolderSource {
    /// Lists `root` recursively; no file is decoded yet.
    ///
    /// # Errors
    /// When the folder cannot be listed or holds no pictures.
    pub fn open(root: impl AsRef<Path>, decode: DecodeOptions) -> Result<Self, DatasetError> {
        let root = root.as_ref();
        let listing = walk(root)?;
        if listing.pictures.is_empty() {
            return Err(DatasetError::nothing_found(root.display(), &listing.passed_over));
        }
        let mut source = Self::of_files(root, listing.pictures, decode);
        source.passed_over = listing.passed_over;
        Ok(source)
    }

    /// The given files, in the given order; names and classes are relative to `root`.
    pub fn of_files(root: impl AsRef<Path>, files: Vec<PathBuf>, decode: DecodeOptions) -> Self {
        let root = root.as_ref();
        let names: BTreeSet<String> = files.iter().map(|file| class(root, file)).collect();
        let classes: Vec<String> = if names.len() > 1 { names.into_iter().collect() } else { Vec::new() };
        let source = Self {
            root: root.to_path_buf(),
            files,
            labels: Vec::new(),
            classes: Vec::new(),
            passed_over: PassedOver::default(),
            decode,
            remarks: Remarks::default(),
        };
        source.with_classes(classes)
    }

    /// The same with the classes of another folder, so that both count alike; pictures of other classes get none.
    pub fn with_classes(mut self, classes: Vec<String>) -> Self {
        let numbers: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        self.labels = self.files.iter().map(|file| numbers.get(class(&self.root, file).as_str()).copied()).collect();
        self.classes = classes;
        self
    }

    /// The files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The names of the classes, in order of their numbers; none where all pictures lie in one folder.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The same, with what is odd about pictures told to `remarks`.
    pub fn with_remarks(mut self, remarks: Remarks) -> Self {
        self.remarks = remarks;
        self
    }

    /// What was passed over when the folder was listed.
    pub fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    fn file(&self, index: usize) -> Result<&PathBuf, DatasetError> {
        let file = self.files.get(index);
        file.ok_or_else(|| out_of_range(&self.root.display().to_string(), index, self.files.len()))
    }
}

impl ImageSource for FolderSource {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let decoded = decode_file(self.file(index)?, &self.decode)?;
        Ok(self.remarks.keep(decoded, || self.name(index)))
    }

    fn size(&self, index: usize) -> Result<(u32, u32), DatasetError> {
        image_size(self.file(index)?)
    }

    fn name(&self, index: usize) -> String {
        self.file(index).map_or_else(|_| format!("#{index}"), |file| relative(&self.root, file))
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied().flatten()
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        Version::of(self.file(index)?)
    }
}

/// The class of a file: the folder it lies in.
fn class(root: &Path, file: &Path) -> String {
    relative(root, file.parent().unwrap_or(Path::new("")))
}
