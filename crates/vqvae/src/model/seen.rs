//! What a model took from somebody else's `VarBuilder`, so that it can be saved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

/// The tensors that were asked for, by their names below the builder's prefix.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeMap<String, Tensor>>>);

impl Seen {
    /// A builder that gives what `inner` gives, and remembers it here.
    pub(crate) fn builder<'a>(&self, inner: VarBuilder<'a>) -> VarBuilder<'a> {
        let (dtype, device) = (inner.dtype(), inner.device().clone());
        VarBuilder::from_backend(Box::new(Recorder { inner, seen: self.clone() }), dtype, device)
    }

    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, name: &str, tensor: &Tensor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string(), tensor.clone());
    }
}

struct Recorder<'a> {
    inner: VarBuilder<'a>,
    seen: Seen,
}

impl SimpleBackend for Recorder<'_> {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, _: &Device) -> Result<Tensor> {
        let tensor = self.inner.get_with_hints_dtype(shape, name, init, dtype)?;
        self.seen.remember(name, &tensor);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, _: &Device) -> Result<Tensor> {
        let tensor = self.inner.get_unchecked_dtype(name, dtype)?;
        self.seen.remember(name, &tensor);
        Ok(tensor)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.inner.contains_tensor(name)
    }
}
