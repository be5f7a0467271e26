//! NumPy's arrays ↔ pictures, codes and tensors.
//!
//! An array comes as its shape and its bytes, and goes so; the Python half makes arrays of them (`ksom/arrays.py`). Beside
//! what is computed with them a copy takes no time, and the package needs nothing of NumPy's C interface.

use ksom_vqvae::candle_core::{DType, Device, Tensor};
use ksom_vqvae::codes::CodeGrid;
use ksom_vqvae::image::RgbImage;
use ksom_vqvae::{Error, ImageCodes};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use crate::errors::{invalid, raised};

/// An array from Python: its shape, and its numbers in a row.
pub type Given<'py> = (Vec<usize>, Bound<'py, PyBytes>);

/// An array for Python.
pub type Made<'py> = (Vec<usize>, Bound<'py, PyByteArray>);

/// A picture's codes: its width and height, and int64 [h, w] per level.
pub type Codes<A> = (u32, u32, Vec<A>);

/// An array of pixels with so many channels, as width, height and bytes.
pub fn channels(array: &Given<'_>, count: usize) -> PyResult<(u32, u32, Vec<u8>)> {
    let (shape, bytes) = array;
    if let &[height, width, found] = &shape[..]
        && let (Ok(width), Ok(height), true) = (u32::try_from(width), u32::try_from(height), found == count)
    {
        return Ok((width, height, bytes.as_bytes().to_vec()));
    }
    Err(invalid(bytes.py(), format!("expected pixels of shape [H, W, {count}], found {shape:?}")))
}

/// uint8 [H, W, 3] → a picture.
pub fn picture(array: &Given<'_>) -> PyResult<RgbImage> {
    let (width, height, pixels) = channels(array, 3)?;
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| invalid(array.1.py(), "there are fewer pixels than the shape says"))
}

/// A picture → uint8 [H, W, 3].
pub fn pixels<'py>(py: Python<'py>, picture: &RgbImage) -> Made<'py> {
    let shape = vec![picture.height() as usize, picture.width() as usize, 3];
    (shape, PyByteArray::new(py, picture.as_raw()))
}

/// Numbers in a row → an array of that shape.
fn made<'py, const N: usize>(
    py: Python<'py>,
    shape: Vec<usize>,
    numbers: impl ExactSizeIterator<Item = [u8; N]>,
) -> PyResult<Made<'py>> {
    let bytes = PyByteArray::new_with(py, numbers.len() * N, |bytes| {
        bytes.chunks_exact_mut(N).zip(numbers).for_each(|(to, number)| to.copy_from_slice(&number));
        Ok(())
    })?;
    Ok((shape, bytes))
}

/// Whole numbers → int64 of that shape.
pub fn whole_numbers<'py>(
    py: Python<'py>,
    shape: Vec<usize>,
    numbers: impl ExactSizeIterator<Item = u32>,
) -> PyResult<Made<'py>> {
    made(py, shape, numbers.map(|number| i64::from(number).to_ne_bytes()))
}

/// The numbers of an array, of so many bytes each.
fn numbers<const N: usize>(array: &Given<'_>) -> PyResult<impl Iterator<Item = [u8; N]>> {
    let (shape, bytes) = array;
    if shape.iter().try_fold(N, |size, &axis| size.checked_mul(axis)) != Some(bytes.as_bytes().len()) {
        return Err(invalid(bytes.py(), format!("there are not the numbers that the shape {shape:?} says")));
    }
    Ok(bytes.as_bytes().as_chunks::<N>().0.iter().copied())
}

/// int64 → codes below `num_codes`.
fn codes(array: &Given<'_>, num_codes: usize) -> PyResult<Vec<u32>> {
    let code = |bytes| match i64::from_ne_bytes(bytes) {
        code if (0..num_codes as i64).contains(&code) => Ok(code as u32),
        code => Err(invalid(array.1.py(), format!("expected codes below {num_codes}, found {code}"))),
    };
    numbers(array)?.map(code).collect()
}

/// A picture's codes → int64 [h, w] per level.
pub fn from_codes(py: Python<'_>, codes: ImageCodes) -> PyResult<Codes<Made<'_>>> {
    let levels =
        codes.levels.into_iter().map(|grid| whole_numbers(py, vec![grid.height, grid.width], grid.codes.into_iter()));
    Ok((codes.width, codes.height, levels.collect::<PyResult<_>>()?))
}

/// int64 [h, w] per level → a picture's codes, each below `num_codes`.
pub fn to_codes((width, height, levels): &Codes<Given<'_>>, num_codes: usize) -> PyResult<ImageCodes> {
    let grid = |array: &Given<'_>| match array.0[..] {
        [height, width] => Ok(CodeGrid { height, width, codes: codes(array, num_codes)? }),
        _ => Err(invalid(array.1.py(), format!("expected codes of shape [h, w], found {:?}", array.0))),
    };
    Ok(ImageCodes { width: *width, height: *height, levels: levels.iter().map(grid).collect::<PyResult<_>>()? })
}

/// f32 of any shape → a tensor.
pub fn tensor(array: &Given<'_>) -> PyResult<Tensor> {
    let values: Vec<f32> = numbers(array)?.map(f32::from_ne_bytes).collect();
    Tensor::from_vec(values, &array.0[..], &Device::Cpu).map_err(|error| raised(array.1.py(), error.into()))
}

/// int64 of any shape → a tensor of codes.
pub fn code_tensor(array: &Given<'_>, num_codes: usize) -> PyResult<Tensor> {
    let codes = codes(array, num_codes)?;
    Tensor::from_vec(codes, &array.0[..], &Device::Cpu).map_err(|error| raised(array.1.py(), error.into()))
}

/// A tensor of numbers → f32 of its shape.
pub fn array<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Made<'py>> {
    let values = || -> Result<Vec<f32>, Error> {
        Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    };
    let values = values().map_err(|error| raised(py, error))?;
    made(py, tensor.dims().to_vec(), values.into_iter().map(f32::to_ne_bytes))
}

/// A tensor of codes → int64 of its shape.
pub fn code_array<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Made<'py>> {
    let codes = || -> Result<Vec<u32>, Error> { Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?) };
    whole_numbers(py, tensor.dims().to_vec(), codes().map_err(|error| raised(py, error))?.into_iter())
}
