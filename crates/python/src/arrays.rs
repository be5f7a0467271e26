//! NumPy's arrays ↔ pictures, codes and tensors.

use ksom_vqvae::candle_core::{DType, Device, Tensor};
use ksom_vqvae::codes::CodeGrid;
use ksom_vqvae::image::RgbImage;
use ksom_vqvae::{Error, ImageCodes};
use numpy::{PyArray1, PyArray2, PyArray3, PyArrayDyn, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3};
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::{invalid, raised};

/// A picture's codes for Python: its width and height, and an array per level.
pub type PictureCodes<'py> = (u32, u32, Vec<Bound<'py, PyArray2<i64>>>);

/// The same from Python.
pub type GivenCodes<'py> = (u32, u32, Vec<PyReadonlyArray2<'py, i64>>);

/// uint8 [H, W, 3] → a picture.
pub fn picture(array: &PyReadonlyArray3<'_, u8>) -> PyResult<RgbImage> {
    let py = array.py();
    let shape = array.shape();
    let sides = (u32::try_from(shape[1]), u32::try_from(shape[0]));
    let (Ok(width), Ok(height), 3) = (sides.0, sides.1, shape[2]) else {
        return Err(invalid(py, format!("expected pixels of shape [H, W, 3], found {shape:?}")));
    };
    let pixels = array.as_slice().map_err(|_| invalid(py, "expected pixels that lie in a row in memory"))?.to_vec();
    RgbImage::from_raw(width, height, pixels).ok_or_else(|| invalid(py, "there are fewer pixels than the shape says"))
}

/// A picture → uint8 [H, W, 3], without a copy.
pub fn pixels(py: Python<'_>, picture: RgbImage) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let (width, height) = picture.dimensions();
    PyArray1::from_vec(py, picture.into_raw()).reshape([height as usize, width as usize, 3])
}

/// A picture's codes → an array [h, w] per level.
pub fn from_codes(py: Python<'_>, codes: ImageCodes) -> PyResult<PictureCodes<'_>> {
    let levels = codes.levels.into_iter().map(|grid| {
        let numbers: Vec<i64> = grid.codes.into_iter().map(i64::from).collect();
        PyArray1::from_vec(py, numbers).reshape([grid.height, grid.width])
    });
    Ok((codes.width, codes.height, levels.collect::<PyResult<_>>()?))
}

/// Arrays [h, w] per level → a picture's codes, each below `num_codes`.
pub fn to_codes((width, height, levels): &GivenCodes<'_>, num_codes: usize) -> PyResult<ImageCodes> {
    let grid = |array: &PyReadonlyArray2<'_, i64>| {
        let code = |&code: &i64| match u32::try_from(code) {
            Ok(small) if (small as usize) < num_codes => Ok(small),
            _ => Err(invalid(array.py(), format!("expected codes below {num_codes}, found {code}"))),
        };
        let codes = array.as_array().iter().map(code).collect::<PyResult<_>>()?;
        Ok(CodeGrid { height: array.shape()[0], width: array.shape()[1], codes })
    };
    Ok(ImageCodes { width: *width, height: *height, levels: levels.iter().map(grid).collect::<PyResult<_>>()? })
}

/// f32 of any shape → a tensor, copied.
pub fn tensor(array: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Tensor> {
    let py = array.py();
    let values = array.as_slice().map_err(|_| invalid(py, "expected numbers that lie in a row in memory"))?;
    Tensor::from_slice(values, array.shape(), &Device::Cpu).map_err(|error| raised(py, error.into()))
}

/// Codes of any shape → a u32 tensor.
pub fn code_tensor(array: &PyReadonlyArrayDyn<'_, i64>, num_codes: usize) -> PyResult<Tensor> {
    let py = array.py();
    let code = |&code: &i64| match u32::try_from(code) {
        Ok(small) if (small as usize) < num_codes => Ok(small),
        _ => Err(invalid(py, format!("expected codes below {num_codes}, found {code}"))),
    };
    let codes: Vec<u32> = array.as_array().iter().map(code).collect::<PyResult<_>>()?;
    Tensor::from_vec(codes, array.shape(), &Device::Cpu).map_err(|error| raised(py, error.into()))
}

/// A tensor of numbers → f32 of its shape.
pub fn array<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let values = || -> Result<Vec<f32>, Error> {
        Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    };
    PyArray1::from_vec(py, values().map_err(|error| raised(py, error))?).reshape(tensor.dims())
}

/// A tensor of codes → int64 of its shape.
pub fn code_array<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyArrayDyn<i64>>> {
    let codes = || -> Result<Vec<u32>, Error> { Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?) };
    let codes = codes().map_err(|error| raised(py, error))?;
    PyArray1::from_vec(py, codes.into_iter().map(i64::from).collect()).reshape(tensor.dims())
}
