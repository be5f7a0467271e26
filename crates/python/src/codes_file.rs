//! Files of codes.

use std::path::{Path, PathBuf};

use ksom_vqvae::Error;
use ksom_vqvae::codes::Packing;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use crate::arrays::{Codes, Given, Made, from_codes, to_codes, whole_numbers};
use crate::compute::detached;
use crate::model::Model;

/// The codes of many pictures, with what is needed to decode them.
#[pyclass(frozen, module = "ksom._ksom")]
pub struct CodesFile {
    file: ksom_vqvae::CodesFile,
}

#[pymethods]
impl CodesFile {
    /// Reads a codes file.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detached(py, || Ok(Self { file: ksom_vqvae::CodesFile::read(&path)? }))
    }

    /// Codes that a model has made, or that are to be decoded by it.
    #[staticmethod]
    fn of(py: Python<'_>, model: &Model, names: Vec<String>, codes: Vec<Codes<Given<'_>>>) -> PyResult<Self> {
        let num_codes = model.model.config().quantizer.num_codes;
        let codes = codes.iter().map(|codes| to_codes(codes, num_codes)).collect::<PyResult<Vec<_>>>()?;
        detached(py, || {
            for (name, codes) in names.iter().zip(&codes) {
                codes.validate(&model.model).map_err(|message| Error::Invalid(format!("{name}: {message}")))?;
            }
            Ok(Self { file: ksom_vqvae::CodesFile::new(&model.model, model.name(), names, codes)? })
        })
    }

    /// Writes the file, as a whole or not at all.
    fn write(&self, py: Python<'_>, path: PathBuf, compress: bool) -> PyResult<()> {
        let packing = if compress { Packing::Compressed } else { Packing::Plain };
        detached(py, || self.file.write(&path, packing))
    }

    /// Makes sure that the model is one that these codes mean something to.
    fn check(&self, py: Python<'_>, model: &Model, path: PathBuf) -> PyResult<()> {
        detached(py, || self.file.check(&model.model, Path::new(&path)))
    }

    fn __len__(&self) -> usize {
        self.file.images.len()
    }

    /// The codes of a picture.
    fn codes<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Codes<Made<'py>>> {
        let images = &self.file.images;
        let found = images.get(number).cloned();
        from_codes(py, found.ok_or_else(|| PyIndexError::new_err(format!("{number} of {} pictures", images.len())))?)
    }

    /// Width and height of each picture in pixels, int64 [N, 2].
    fn sizes<'py>(&self, py: Python<'py>) -> PyResult<Made<'py>> {
        let sides: Vec<u32> = self.file.images.iter().flat_map(|image| [image.width, image.height]).collect();
        whole_numbers(py, vec![self.file.images.len(), 2], sides.into_iter())
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.file.names.clone()
    }

    #[getter]
    fn levels(&self) -> Vec<String> {
        self.file.levels.clone()
    }

    /// The shape of the codebook's grid; files of the first version do not tell.
    #[getter]
    fn grid(&self) -> Option<Vec<usize>> {
        self.file.grid.clone()
    }

    /// Codes are below this number.
    #[getter]
    fn num_codes(&self) -> usize {
        self.file.num_codes()
    }

    /// The name of the model that made the codes.
    #[getter]
    fn model(&self) -> &str {
        &self.file.model
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        &self.file.fingerprint
    }
}
