//! A model for inference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ksom_datasets::decode::over;
use ksom_datasets::{DecodeOptions, PictureFiles, ReadAhead};
use ksom_vqvae::candle_core::{DType, Device, Storage, Tensor};
use ksom_vqvae::hub::{HubModel, HubName};
use ksom_vqvae::image::{RgbImage, RgbaImage};
use ksom_vqvae::onnx::{self, ExportOptions, Precision};
use ksom_vqvae::system::open_device;
use ksom_vqvae::{Compute, Error, Hub, ImageCodes, ModelConfig, zoo};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Codes, Given, Made, array, channels, from_codes, picture, pixels, tensor, to_codes};
use crate::compute::{compute, detached};
use crate::errors::{invalid, raised};

/// Pictures in memory go through the model so many pixels at a time, and signals are looked at in between.
const PIXELS_AT_ONCE: usize = 1 << 22;

/// A model for inference, which never changes.
#[pyclass(frozen, module = "ksom._ksom")]
pub struct Model {
    pub model: ksom_vqvae::Model,
    #[pyo3(get)]
    name: String,
    /// Whether the name is all it takes to load it again.
    #[pyo3(get)]
    builtin: bool,
    #[pyo3(get)]
    device: String,
    #[pyo3(get)]
    portable: bool,
}

fn place(device: &str, portable: bool) -> Result<Compute, Error> {
    let compute = Compute::new(open_device(device)?.device, DType::F32);
    Ok(if portable { compute.portable() } else { compute })
}

/// What a model's name means: a folder that is there; else a built-in model; else one on the Hub.
pub enum Named {
    Folder(PathBuf),
    BuiltIn,
    Hub(HubModel),
}

/// Finds what a name means.
pub fn find(name: &str) -> Result<Named, Error> {
    if Path::new(name).exists() {
        return Ok(Named::Folder(PathBuf::from(name)));
    }
    if zoo::find(name).is_some() {
        return Ok(Named::BuiltIn);
    }
    match name.parse::<HubName>() {
        Ok(name) => Ok(Named::Hub(Hub::from_env()?.pull(&name, &mut |_| ())?)),
        Err(_) => Err(Error::NoModel {
            name: name.to_string(),
            message: format!(
                "neither a folder that exists, nor a built-in model ({}), nor owner/name on the Hub: check the path",
                zoo::names()
            ),
        }),
    }
}

#[pymethods]
impl Model {
    /// The model of a name: a folder, a built-in model or owner/name[@revision] on the Hub.
    #[staticmethod]
    fn from_pretrained(py: Python<'_>, name: String, device: String, portable: bool) -> PyResult<Self> {
        detached(py, || {
            let compute = place(&device, portable)?;
            let found = find(&name)?;
            let (model, builtin) = match &found {
                Named::BuiltIn => (ksom_vqvae::Model::builtin(&name, &compute)?, true),
                Named::Folder(folder) | Named::Hub(HubModel { folder, .. }) => {
                    (ksom_vqvae::Model::load(folder, &compute)?, false)
                }
            };
            Ok(Self { model, name, builtin, device, portable })
        })
    }

    /// A model from its configuration and its tensors by name.
    #[staticmethod]
    fn from_state(
        py: Python<'_>,
        name: String,
        config: &str,
        state: BTreeMap<String, Given<'_>>,
        device: String,
        portable: bool,
    ) -> PyResult<Self> {
        let tensors = state.iter().map(|(name, array)| Ok((name.clone(), tensor(array)?)));
        let tensors: BTreeMap<String, Tensor> = tensors.collect::<PyResult<_>>()?;
        detached(py, || {
            let compute = place(&device, portable)?;
            let config = ModelConfig::parse(config, Path::new(&name))?;
            let model = ksom_vqvae::Model::from_tensors(&config, tensors, &name, &compute, false)?;
            Ok(Self { model, name, builtin: false, device, portable })
        })
    }

    /// Every tensor of the checkpoint by name, f32, copied.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<BTreeMap<String, Made<'py>>> {
        let state = detached(py, || self.model.state())?;
        state.into_iter().map(|(name, tensor)| Ok((name, array(py, &tensor)?))).collect()
    }

    /// The configuration as JSON.
    #[getter]
    fn config_json(&self) -> String {
        self.model.config().to_json()
    }

    /// Name and stride of each level, top first.
    #[getter]
    fn levels(&self) -> Vec<(&'static str, usize)> {
        self.model.config().architecture.levels().iter().map(|level| (level.name, level.stride)).collect()
    }

    /// What codes of the model mean, as a hash.
    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        detached(py, || self.model.fingerprint())
    }

    /// Writes a model directory, with weights as f16 if `half`.
    fn save(&self, py: Python<'_>, folder: PathBuf, half: bool) -> PyResult<()> {
        detached(py, || self.model.save(&folder, if half { DType::F16 } else { DType::F32 }))
    }

    /// Writes `encoder.onnx` and `decoder.onnx`; gives their paths. `half` keeps weights in f16, `computes_half` computes
    /// in f16, too.
    fn export_onnx(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        half: bool,
        computes_half: bool,
        normalization: bool,
    ) -> PyResult<Vec<PathBuf>> {
        let precision = match (half, computes_half) {
            (_, true) => Precision::Half,
            (true, false) => Precision::HalfWeights,
            (false, false) => Precision::F32,
        };
        let options = ExportOptions { name: self.name.clone(), precision, normalization };
        let files = detached(py, || onnx::export(&self.model, &folder, &options))?;
        Ok(files.iter().map(|file| folder.join(file.name)).collect())
    }

    /// The codebook of a level.
    fn codebook(slf: Bound<'_, Self>, level: usize) -> PyResult<Codebook> {
        let (py, quantizers) = (slf.py(), slf.get().model.quantizers());
        let found = quantizers.get(level).map(|quantizer| quantizer.codebook());
        let codebook = found.ok_or_else(|| invalid(py, format!("there is no level {level}")))?;
        let values = codebook.to_device(&Device::Cpu).and_then(|tensor| tensor.contiguous());
        Ok(Codebook { values: values.map_err(|error| raised(py, error.into()))?, _model: slf.clone().unbind() })
    }

    /// Files of pictures → codes, decoded on other threads meanwhile.
    fn encode_files<'py>(&self, py: Python<'py>, files: Vec<PathBuf>) -> PyResult<Vec<Codes<Made<'py>>>> {
        let files = PictureFiles::exactly(files);
        let mut batches = detached(py, || Ok(ReadAhead::new(&files, &DecodeOptions::default())))?;
        let mut all = Vec::with_capacity(files.len());
        while let Some(batch) = detached(py, || self.next_codes(&mut batches))? {
            for codes in batch {
                all.push(from_codes(py, codes)?);
            }
            py.check_signals()?;
        }
        Ok(all)
    }

    /// Pictures uint8 [H, W, 3] → codes.
    fn encode<'py>(&self, py: Python<'py>, arrays: Vec<Given<'py>>) -> PyResult<Vec<Codes<Made<'py>>>> {
        let mut all = Vec::with_capacity(arrays.len());
        let mut waiting = arrays.iter().peekable();
        while waiting.peek().is_some() {
            let (mut pictures, mut held) = (Vec::new(), 0);
            while held < PIXELS_AT_ONCE
                && let Some(array) = waiting.next()
            {
                let picture = picture(array)?;
                held += picture.width() as usize * picture.height() as usize;
                pictures.push(picture);
            }
            for codes in compute(py, || self.model.encode_images(&pictures))? {
                all.push(from_codes(py, codes)?);
            }
            py.check_signals()?;
        }
        Ok(all)
    }

    /// Codes → pictures uint8 [H, W, 3].
    fn decode<'py>(&self, py: Python<'py>, given: Vec<Codes<Given<'py>>>) -> PyResult<Vec<Made<'py>>> {
        let num_codes = self.model.config().quantizer.num_codes;
        let codes: Vec<ImageCodes> = given.iter().map(|codes| to_codes(codes, num_codes)).collect::<PyResult<_>>()?;
        let mut all = Vec::with_capacity(codes.len());
        let mut rest = &codes[..];
        while !rest.is_empty() {
            let mut held = 0;
            let fits = |codes: &&ImageCodes| {
                held += codes.width as usize * codes.height as usize;
                held < PIXELS_AT_ONCE
            };
            let (part, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = others;
            for picture in compute(py, || self.model.decode_images(part))? {
                all.push(pixels(py, &picture));
            }
            py.check_signals()?;
        }
        Ok(all)
    }
}

/// A codebook f32 [K, D] that NumPy sees without a copy: the model's own memory where it lies on the CPU.
#[pyclass(frozen, module = "ksom._ksom")]
pub struct Codebook {
    values: Tensor,
    /// What owns the memory. It is frozen, so nothing is written there.
    _model: Py<Model>,
}

#[pymethods]
impl Codebook {
    /// Where the numbers lie, read-only: NumPy's array interface, version 3.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let shape = self.values.dims2().map_err(|error| raised(py, error.into()))?;
        let (storage, layout) = self.values.storage_and_layout();
        let numbers = match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(storage), Some((start, end))) => {
                let all = storage.as_slice::<f32>().map_err(|error| raised(py, error.into()))?;
                all.get(start..end)
            }
            _ => None,
        };
        let numbers = numbers.ok_or_else(|| invalid(py, "the codebook does not lie in a row on the CPU"))?;
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", shape)?;
        interface.set_item("typestr", if cfg!(target_endian = "little") { "<f4" } else { ">f4" })?;
        interface.set_item("data", (numbers.as_ptr() as usize, true))?;
        Ok(interface)
    }
}

impl Model {
    /// The name that it was asked for by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The codes of the next few pictures.
    fn next_codes(&self, batches: &mut ReadAhead) -> Result<Option<Vec<ImageCodes>>, Error> {
        let Some(batch) = batches.next() else { return Ok(None) };
        let pictures: Vec<RgbImage> =
            batch.into_iter().map(|read| Ok(read.outcome?.pixels)).collect::<Result<_, Error>>()?;
        crate::compute::on_pool(|| self.model.encode_images(&pictures)).map(Some)
    }
}

/// The names of the built-in models.
#[pyfunction]
pub fn builtin_models() -> Vec<&'static str> {
    zoo::ZOO.iter().map(|model| model.name).collect()
}

/// The pictures that files, folders and patterns name, each by its path and its name, as the command finds them.
#[pyfunction]
pub fn find_pictures(py: Python<'_>, inputs: Vec<PathBuf>) -> PyResult<Vec<(PathBuf, String)>> {
    detached(py, || {
        let found = PictureFiles::find(&inputs)?;
        Ok(found.iter().map(|file| (file.path.clone(), file.name.clone())).collect())
    })
}

/// uint8 [H, W, 4] → [H, W, 3], composed over white as transparent files are.
#[pyfunction]
pub fn over_white<'py>(py: Python<'py>, array: Given<'py>) -> PyResult<Made<'py>> {
    let (width, height, values) = channels(&array, 4)?;
    let rgba = RgbaImage::from_raw(width, height, values);
    let rgba = rgba.ok_or_else(|| invalid(py, "there are fewer pixels than the shape says"))?;
    Ok(pixels(py, &over(&rgba, DecodeOptions::default().background)))
}
