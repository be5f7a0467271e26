//! What a training step's forward pass leaves behind, and the way back over it.
//!
//! candle's own graph serves every other use. It makes a tensor of zeros and a sum for each gradient, and keeps every
//! activation until the end; here sums and ReLU masks are part of the products, and each activation goes when its turn
//! is over.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use candle_core::{Result, Tensor, TensorId};
use ksom_kernels::{Backend, Rest};

use crate::model::network::operations::Operations;

/// Feature maps on their way through a network.
#[derive(Clone)]
pub(crate) struct Maps {
    /// In the backend's layout.
    pub(crate) values: Tensor,
    place: Option<Place>,
}

/// Where maps stand on a tape.
#[derive(Clone)]
struct Place {
    /// Not kept alive by what it records: a forward pass that ends in an error leaves nothing behind.
    tape: Weak<RefCell<Record>>,
    index: usize,
    /// Whether they came out of a ReLU.
    rectified: bool,
}

impl Maps {
    /// Maps that no tape follows: candle's graph does, if their values ask for it.
    pub(crate) fn untaped(values: Tensor) -> Self {
        Self { values, place: None }
    }

    /// The tape that follows these maps.
    pub(crate) fn tape(&self) -> Option<Tape> {
        self.place.as_ref()?.tape.upgrade().map(Tape)
    }

    /// The gradient by these maps is `grad` more. Where the maps came out of a ReLU, the gradient by what lies before
    /// it is kept.
    pub(crate) fn add_grad(&self, gradients: &mut Gradients, grad: Tensor) -> Result<()> {
        let backend = gradients.backend;
        self.add_grad_with(gradients, |rest| {
            let grad = match rest.others {
                Some(others) => backend.sum(others, &grad)?,
                None => grad,
            };
            if rest.rectified { backend.relu_grad(&grad, &self.values) } else { Ok(grad) }
        })
    }

    /// As [`Maps::add_grad`], for a gradient that can be computed with the rest of it in one go.
    pub(crate) fn add_grad_with(
        &self,
        gradients: &mut Gradients,
        compute: impl FnOnce(Rest) -> Result<Tensor>,
    ) -> Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let slot = &mut gradients.slots[place.index];
        slot.uses = slot.uses.checked_sub(1).ok_or_else(|| broken("was led back more often than it was used"))?;
        let others = slot.grad.take();
        let rest = Rest { others: others.as_ref(), rectified: place.rectified && slot.uses == 0 };
        slot.grad = Some(compute(rest)?);
        Ok(())
    }
}

/// Leads the gradient of one operation's result back to its inputs and parameters.
type Backward = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<()>>;

/// Records the operations of one forward pass.
pub(crate) struct Tape(Rc<RefCell<Record>>);

struct Record {
    backend: Backend,
    slots: Vec<Slot>,
    /// The operations in their order, each with the index of its result.
    operations: Vec<(usize, Backward)>,
    multiply_adds: Counts,
}

impl Record {
    fn new(backend: Backend) -> Self {
        Self { backend, slots: Vec::new(), operations: Vec::new(), multiply_adds: Counts::default() }
    }
}

/// Multiply-adds in each direction.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) forward: u64,
    pub(crate) backward: u64,
}

/// The gradient of maps, as it adds up.
#[derive(Default)]
struct Slot {
    grad: Option<Tensor>,
    /// Operations that use the maps and have not been led back yet.
    uses: usize,
}

impl Tape {
    pub(crate) fn new(backend: Backend) -> Self {
        Self(Rc::new(RefCell::new(Record::new(backend))))
    }

    /// Maps that are followed from here on.
    pub(crate) fn enter(&self, values: Tensor) -> Maps {
        self.place(values, false)
    }

    fn place(&self, values: Tensor, rectified: bool) -> Maps {
        let mut record = self.0.borrow_mut();
        record.slots.push(Slot::default());
        let place = Place { tape: Rc::downgrade(&self.0), index: record.slots.len() - 1, rectified };
        Maps { values, place: Some(place) }
    }

    /// The result of an operation on `inputs`. `backward` has to add a gradient to each of them.
    pub(crate) fn record(
        &self,
        inputs: &[&Maps],
        values: Tensor,
        rectified: bool,
        backward: impl FnOnce(Tensor, &mut Gradients) -> Result<()> + 'static,
    ) -> Maps {
        for place in inputs.iter().filter_map(|input| input.place.as_ref()) {
            self.0.borrow_mut().slots[place.index].uses += 1;
        }
        let result = self.place(values, rectified);
        let mut record = self.0.borrow_mut();
        let index = record.slots.len() - 1;
        record.operations.push((index, Box::new(backward)));
        result
    }

    /// Counts the work of an operation.
    pub(crate) fn count(&self, forward: usize, backward: usize) {
        let counts = &mut self.0.borrow_mut().multiply_adds;
        counts.forward += forward as u64;
        counts.backward += backward as u64;
    }

    /// The work counted so far.
    pub(crate) fn multiply_adds(&self) -> Counts {
        self.0.borrow().multiply_adds
    }

    /// The gradients of all parameters by their tensors, from the gradient `grad` of `output`; the quantizers add those
    /// of `share` times their loss.
    pub(crate) fn backward(&self, output: &Maps, grad: Tensor, share: f64) -> Result<HashMap<TensorId, Tensor>> {
        let backend = self.0.borrow().backend;
        let Record { slots, operations, .. } = self.0.replace(Record::new(backend));
        let mut gradients = Gradients { backend, slots, parameters: HashMap::new(), share };
        if let Some(place) = &output.place {
            gradients.slots[place.index].grad = Some(grad);
        }
        for (index, backward) in operations.into_iter().rev() {
            let Slot { grad, uses } = std::mem::take(&mut gradients.slots[index]);
            // The last use applies the ReLU's mask: one too few, and the gradient would be wrong in silence.
            if uses != 0 {
                return Err(broken("was used more often than it was led back"));
            }
            let grad = grad.ok_or_else(|| broken("leads nowhere"))?;
            backward(grad, &mut gradients)?;
        }
        Ok(gradients.parameters)
    }
}

/// An operation has not kept its word: it is to add one gradient to each of its inputs.
fn broken(how: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("on the way back over a training step, a feature map {how}")).bt()
}

/// Gradients as they are found.
pub(crate) struct Gradients {
    backend: Backend,
    slots: Vec<Slot>,
    parameters: HashMap<TensorId, Tensor>,
    share: f64,
}

impl Gradients {
    /// What the quantizers' losses are multiplied by.
    pub(crate) fn share(&self) -> f64 {
        self.share
    }

    /// The gradient by `parameter`, which is used once in a forward pass.
    pub(crate) fn set_parameter(&mut self, parameter: &Tensor, grad: Tensor) {
        self.parameters.insert(parameter.id(), grad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn a_pass_that_is_not_led_back_leaves_nothing_behind() -> Result<()> {
        let values = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
        let kept = Rc::new(());
        let tape = Tape::new(Backend::Fast);
        let input = tape.enter(values.clone());
        let (used, witness) = (input.clone(), kept.clone());
        let output = tape.record(&[&input], values, false, move |grad, gradients| {
            let _witness = witness;
            used.add_grad(gradients, grad)
        });
        assert_eq!(Rc::strong_count(&kept), 2);
        drop(tape);
        assert_eq!(Rc::strong_count(&kept), 1);
        assert!(output.tape().is_none());
        Ok(())
    }

    /// The way back over one operation on two inputs that adds `times` gradients to the first of them.
    fn lead_back(times: usize) -> Result<HashMap<TensorId, Tensor>> {
        let values = Tensor::ones(1, DType::F32, &Device::Cpu)?;
        let tape = Tape::new(Backend::Fast);
        let input = tape.enter(values.clone());
        let through = input.clone();
        let middle =
            tape.record(&[&input], values.clone(), true, move |grad, gradients| through.add_grad(gradients, grad));
        let used = middle.clone();
        let output = tape.record(&[&middle], values.clone(), false, move |grad, gradients| {
            (0..times).try_for_each(|_| used.add_grad(gradients, grad.clone()))
        });
        tape.backward(&output, values, 1.0)
    }

    #[test]
    fn every_use_is_led_back_once() {
        assert!(lead_back(1).is_ok());
        assert!(lead_back(0).unwrap_err().to_string().contains("more often than it was led back"));
        assert!(lead_back(2).unwrap_err().to_string().contains("more often than it was used"));
    }
}
