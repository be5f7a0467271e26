//! How the gradient gets past the choice of a code.

use candle_core::Tensor;
use ksom_kernels::Backend;

use crate::config::Estimator;
use crate::cpu_ops::{MeanSquaredError, StraightThrough};
use crate::error::Result;
use crate::space::{lengths, unit};

/// The vectors `chosen` [N, D] for the inputs `x` f32 [N, D]: a tensor with the value of `chosen` exactly and the
/// gradient that the estimator gives to `x`, and the mean squared difference of both with its gradient for `x`.
pub(crate) fn differentiable_ends(
    backend: Backend,
    estimator: Estimator,
    x: &Tensor,
    chosen: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let (x, chosen) = (x.contiguous()?, chosen.detach());
    let output = match (estimator, backend) {
        (Estimator::StraightThrough, Backend::Fast) if !x.track_op() => chosen.clone(),
        (Estimator::StraightThrough, Backend::Fast) => x.apply_op2(&chosen, StraightThrough)?,
        (Estimator::StraightThrough, Backend::Portable) => with_gradient_of(&chosen, &x)?,
        (Estimator::Rotation, _) => with_gradient_of(&chosen, &rotated(&x, &chosen)?)?,
    };
    let distance = match backend {
        Backend::Fast => x.apply_op2(&chosen, MeanSquaredError)?,
        Backend::Portable => (&x - &chosen)?.sqr()?.mean_all()?,
    };
    Ok((output, distance))
}

/// The value of `value` and the gradient of `of`.
fn with_gradient_of(value: &Tensor, of: &Tensor) -> Result<Tensor> {
    // x − x is exactly zero wherever x is finite.
    Ok((value + (of - of.detach())?)?)
}

/// The rows of `x` turned and scaled into those of `chosen` by a map that is held fixed: with the directions e of x and q
/// of the code, and r that of e + q, λ (x − 2 r rᵀx + 2 q eᵀx) with λ = |code| / |x|. In the plane of both it is the
/// rotation of e to q, and outside of it the identity.
///
/// # Source
/// C. Fifty et al., *Restructuring Vector Quantization with the Rotation Trick*, arXiv 2410.06424, section 4.2.
fn rotated(x: &Tensor, chosen: &Tensor) -> Result<Tensor> {
    let fixed = x.detach();
    let (e, q) = (unit(&fixed)?, unit(chosen)?);
    let r = unit(&(&e + &q)?)?;
    let scale = lengths(chosen)?.div(&lengths(&fixed)?)?;
    let along = |direction: &Tensor| (x * direction)?.sum_keepdim(1);
    let turned = (x - r.broadcast_mul(&along(&r)?)?.affine(2.0, 0.0)?)?;
    let turned = (turned + q.broadcast_mul(&along(&e)?)?.affine(2.0, 0.0)?)?;
    Ok(turned.broadcast_mul(&scale)?)
}
