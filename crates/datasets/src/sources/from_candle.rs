//! candle-datasets hands out floats in 0 … 1, [N, 3, 32, 32] or [N, rows · columns]; here they become bytes again, exactly.

use candle_core::Tensor;

use crate::error::DatasetError;

/// How many pictures become bytes at once: the floats of all would double the memory.
const AT_ONCE: usize = 1_000;

/// Bytes from values in 0 … 1; `arrange` writes the `each` bytes of a picture as [height, width, 3].
pub(crate) fn pixels(
    images: &Tensor,
    each: usize,
    arrange: impl Fn(&[u8], &mut Vec<u8>),
) -> Result<Vec<u8>, DatasetError> {
    let count = images.dim(0)?;
    let mut pixels = Vec::new();
    for start in (0..count).step_by(AT_ONCE) {
        let part = images.narrow(0, start, AT_ONCE.min(count - start))?;
        let values = part.flatten_all()?.to_vec1::<f32>()?;
        // v / 255 · 255 is within a rounding error of v. `as` saturates.
        let bytes: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        for picture in bytes.chunks_exact(each) {
            arrange(picture, &mut pixels);
        }
    }
    Ok(pixels)
}

/// Classes from labels.
pub(crate) fn numbers(labels: &Tensor) -> Result<Vec<u32>, DatasetError> {
    Ok(labels.to_vec1::<u8>()?.into_iter().map(u32::from).collect())
}
