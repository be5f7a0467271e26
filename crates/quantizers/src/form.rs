//! The two forms of a quantizer's input.

use candle_core::{DType, Tensor};

use crate::error::{QuantizerError, Result};

/// Rows [N, D], or maps [N, D, H, W], which are a row at each position.
pub(crate) struct Form {
    dim: usize,
    /// The shape of the codes: `[N]` or [N, H, W].
    positions: Vec<usize>,
}

impl Form {
    /// The form of `x`.
    pub(crate) fn of(operation: &'static str, x: &Tensor, dim: usize) -> Result<Self> {
        let positions = match *x.dims() {
            [n, d] if d == dim => vec![n],
            [n, d, h, w] if d == dim => vec![n, h, w],
            _ => vec![0],
        };
        if positions.contains(&0) {
            return Err(QuantizerError::Input {
                operation,
                expected: format!("rows of shape [N, {dim}] or maps of shape [N, {dim}, H, W], not empty"),
                found: format!("shape {:?}", x.dims()),
            });
        }
        Ok(Self { dim, positions })
    }

    fn is_rows(&self) -> bool {
        self.positions.len() == 1
    }

    /// How many vectors there are.
    pub(crate) fn len(&self) -> usize {
        self.positions.iter().product()
    }

    /// The vectors of `x`, which has this form, as rows in f32.
    pub(crate) fn rows(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        Ok(if self.is_rows() { x } else { x.permute((0, 2, 3, 1))?.reshape((self.len(), self.dim))? })
    }

    /// Checks that `codes` is u32 with one code for each vector, and gives them in a row, contiguous.
    pub(crate) fn code_row(&self, operation: &'static str, codes: &Tensor) -> Result<Tensor> {
        if codes.dtype() == DType::U32 && codes.dims() == self.positions {
            return Ok(codes.flatten_all()?.contiguous()?);
        }
        Err(QuantizerError::Input {
            operation,
            expected: format!("u32 codes of shape {:?}", self.positions),
            found: format!("{:?} of shape {:?}", codes.dtype(), codes.dims()),
        })
    }

    /// A row of codes in the shape that fits this form.
    pub(crate) fn codes(&self, row: Tensor) -> Result<Tensor> {
        Ok(if self.is_rows() { row } else { row.reshape(self.positions.as_slice())? })
    }

    /// Rows [N, D] back in this form.
    pub(crate) fn restore(&self, rows: Tensor) -> Result<Tensor> {
        let [n, h, w] = self.positions[..] else { return Ok(rows) };
        Ok(rows.reshape((n, h, w, self.dim))?.permute((0, 3, 1, 2))?.contiguous()?)
    }
}
