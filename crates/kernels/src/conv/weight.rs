//! A convolution's weight, and the panels that it is packed into.

use super::geometry::Axis;
use crate::memory::Aligned;
use candle_core::{Tensor, Var};
use std::sync::{Arc, Mutex, PoisonError};

/// A convolution's weight, [O, I, kh, kw] or, transposed, [I, O, kh, kw]; made from a `&Tensor`, or
/// [`ConvWeight::fixed`].
#[derive(Clone)]
pub struct ConvWeight {
    pub(super) tensor: Tensor,
    pub(super) panels: Option<Arc<Panels>>,
}

impl ConvWeight {
    /// A weight whose values nobody writes any more: it is packed by the first convolution and kept so, in up to seven
    /// times its own memory, where others are packed by each. The bits of the results are the same.
    ///
    /// A variable is never taken for fixed.
    pub fn fixed(tensor: Tensor) -> Self {
        let panels = (!tensor.is_variable()).then(Arc::default);
        Self { tensor, panels }
    }

    /// The weight itself.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

impl From<&Tensor> for ConvWeight {
    fn from(tensor: &Tensor) -> Self {
        Self { tensor: tensor.clone(), panels: None }
    }
}

impl From<&Var> for ConvWeight {
    fn from(variable: &Var) -> Self {
        variable.as_tensor().into()
    }
}

impl From<&ConvWeight> for ConvWeight {
    fn from(weight: &ConvWeight) -> Self {
        weight.clone()
    }
}

/// The panels of a weight that have been packed so far, by what they were packed for.
#[derive(Default)]
pub(crate) struct Panels(Mutex<Vec<(Key, Arc<Aligned>)>>);

/// What panels depend on besides the weight's values and shape and the instruction set.
#[derive(PartialEq)]
struct Key {
    /// Tells the weight's first two axes apart.
    output_stride: usize,
    in_step: usize,
    taps: [Vec<usize>; 2],
    /// Whether they are transformed, for Winograd's method.
    transformed: bool,
}

impl Panels {
    /// The panels for one set of taps. What one thread packs while another does the same is the same: no lock is held
    /// meanwhile, since packing lets other tasks of the thread pool run.
    fn get(&self, key: Key, pack: impl FnOnce() -> Aligned) -> Arc<Aligned> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, panels)) = lock().iter().find(|(known, _)| *known == key) {
            return panels.clone();
        }
        let packed = Arc::new(pack());
        let mut known = lock();
        if !known.iter().any(|(known, _)| *known == key) {
            known.push((key, packed.clone()));
        }
        packed
    }
}

/// A weight tensor seen as [outputs, inputs, kernel height, kernel width] through strides.
#[derive(Clone, Copy)]
pub(crate) struct Weight<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) output_stride: usize,
    pub(crate) input_stride: usize,
    pub(crate) kernel_width: usize,
    /// Where its panels are kept, if they are.
    pub(crate) kept: Option<&'a Panels>,
}

impl Weight<'_> {
    /// The panels for one set of taps: what is kept, or what `pack` makes.
    pub(super) fn panels(
        &self,
        (y, x): (&Axis, &Axis),
        transformed: bool,
        pack: impl FnOnce() -> Aligned,
    ) -> Arc<Aligned> {
        let Some(kept) = self.kept else { return Arc::new(pack()) };
        let taps = [y.taps.clone(), x.taps.clone()];
        kept.get(Key { output_stride: self.output_stride, in_step: y.in_step, taps, transformed }, pack)
    }
}
