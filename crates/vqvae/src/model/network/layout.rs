//! Feature maps as the two computing paths keep them, channels last: [H, N, W, C] on [`Backend::Portable`], [N, H, W, C] on
//! [`Backend::Fast`].

use candle_core::{Result, Tensor};
use ksom_kernels::Backend;

use crate::model::network::tape::{Maps, Tape};

/// The axis of channels, on either path.
const CHANNELS: usize = 3;

/// Feature maps as the backend keeps them: entering, leaving, and what depends on the order of axes.
pub(crate) trait Layout {
    /// [N, C, H, W] → the backend's layout, followed by `tape`.
    fn enter(self, x: &Tensor, tape: Option<&Tape>) -> Result<Maps>;
    /// The backend's layout → [N, C, H, W].
    fn leave(self, x: &Maps) -> Result<Tensor>;
    /// Feature maps → one row per position [N·H·W, C], and (N, H, W).
    fn to_rows(self, maps: &Tensor) -> Result<(Tensor, (usize, usize, usize))>;
    /// One row per position [N·H·W, C] → feature maps.
    fn to_maps(self, rows: &Tensor, positions: (usize, usize, usize)) -> Result<Tensor>;
    /// Joins two feature maps along their channels.
    fn cat(self, maps: [&Maps; 2]) -> Result<Maps>;
    /// max(0, x).
    fn relu(self, x: &Maps) -> Result<Maps>;
}

impl Layout for Backend {
    fn enter(self, x: &Tensor, tape: Option<&Tape>) -> Result<Maps> {
        let values = match self {
            Backend::Portable => x.permute((2, 0, 3, 1))?.contiguous()?,
            Backend::Fast => ksom_kernels::nchw_to_nhwc(x)?,
        };
        Ok(tape.map_or_else(|| Maps::untaped(values.clone()), |tape| tape.enter(values.clone())))
    }

    fn leave(self, x: &Maps) -> Result<Tensor> {
        match self {
            Backend::Portable => x.values.permute((1, 3, 0, 2))?.contiguous(),
            Backend::Fast => ksom_kernels::nhwc_to_nchw(&x.values),
        }
    }

    fn to_rows(self, maps: &Tensor) -> Result<(Tensor, (usize, usize, usize))> {
        let maps = match self {
            Backend::Portable => maps.transpose(0, 1)?.contiguous()?,
            Backend::Fast => maps.clone(),
        };
        let (n, h, w, c) = maps.dims4()?;
        Ok((maps.reshape((n * h * w, c))?, (n, h, w)))
    }

    fn to_maps(self, rows: &Tensor, (n, h, w): (usize, usize, usize)) -> Result<Tensor> {
        let maps = rows.reshape((n, h, w, rows.dim(1)?))?;
        match self {
            Backend::Portable => maps.transpose(0, 1)?.contiguous(),
            Backend::Fast => Ok(maps),
        }
    }

    fn cat(self, maps: [&Maps; 2]) -> Result<Maps> {
        let values = Tensor::cat(&maps.map(|maps| &maps.values), CHANNELS)?;
        let Some(tape) = maps[0].tape() else { return Ok(Maps::untaped(values)) };
        let parts = maps.map(Maps::clone);
        Ok(tape.record(&maps, values, false, move |grad, gradients| {
            let mut first = 0;
            for part in &parts {
                let len = part.values.dim(CHANNELS)?;
                part.add_grad(gradients, grad.narrow(CHANNELS, first, len)?.contiguous()?)?;
                first += len;
            }
            Ok(())
        }))
    }

    fn relu(self, x: &Maps) -> Result<Maps> {
        let values = match self {
            Backend::Portable => x.values.relu()?,
            Backend::Fast => ksom_kernels::relu(&x.values)?,
        };
        let Some(tape) = x.tape() else { return Ok(Maps::untaped(values)) };
        let input = x.clone();
        // What arrives is the gradient by what lies before the ReLU already.
        Ok(tape.record(&[x], values, true, move |grad, gradients| input.add_grad(gradients, grad)))
    }
}
