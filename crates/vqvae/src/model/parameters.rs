//! The named tensors of a model: drawn from a seed, or loaded and checked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::error::{Error, Result};

/// A generator of its own for each named purpose, so that one tensor's values do not depend on which others exist.
pub(crate) fn named_rng(seed: u64, name: &str) -> ChaCha8Rng {
    // FNV-1a: small, stable, and only ever used to keep streams apart.
    let stream = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

enum Source {
    /// Draw what is not among the given tensors.
    Seeded { seed: u64, given: BTreeMap<String, Tensor> },
    /// Everything must be given.
    Given { tensors: BTreeMap<String, Tensor> },
}

/// Where a model's tensors come from while it is built, and what was asked for.
///
/// It backs a [`VarBuilder`], so that the paths of `vb.pp("name")` are the keys of the checkpoint. Unlike
/// [`candle_nn::VarMap`] it draws from a seed, is strict about what is missing or left over, and hands out [`Var`]s only
/// where training was asked for (candle records every operation on a `Var` for the backward pass).
pub struct Parameters {
    source: Source,
    trainable: bool,
    taken: Mutex<Taken>,
}

/// Values that are made up at most in place of tensors that do not fit, so that all of those can be named.
const MAX_MADE_UP: usize = 1 << 24;

#[derive(Default)]
struct Taken {
    vars: BTreeMap<String, Var>,
    tensors: BTreeMap<String, Tensor>,
    problems: Vec<String>,
    /// Values made up so far.
    made_up: usize,
}

impl Parameters {
    /// Tensors drawn from `seed` by the distribution that each layer asks for, but those named in `given` as they are.
    pub fn seeded(seed: u64, given: BTreeMap<String, Tensor>, trainable: bool) -> Arc<Self> {
        Self::new(Source::Seeded { seed, given }, trainable)
    }

    /// Tensors from a checkpoint.
    pub fn given(tensors: BTreeMap<String, Tensor>, trainable: bool) -> Arc<Self> {
        Self::new(Source::Given { tensors }, trainable)
    }

    fn new(source: Source, trainable: bool) -> Arc<Self> {
        Arc::new(Self { source, trainable, taken: Mutex::default() })
    }

    /// A builder that takes tensors from here, converted to `dtype` on `device`.
    pub fn var_builder(self: &Arc<Self>, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Handle(self.clone())), dtype, device.clone())
    }

    /// To be called once the model is built, or could not be: every tensor that was asked for was there with its shape,
    /// and none is left over.
    ///
    /// # Errors
    /// [`Error::Weights`] naming `origin` and each missing, extra or misshapen tensor.
    pub fn check(&self, origin: &str) -> Result<()> {
        let taken = self.taken();
        let mut problems = taken.problems.clone();
        // Where so much was wrong that building was given up, the rest has not been asked for.
        if let Source::Given { tensors } = &self.source
            && taken.made_up <= MAX_MADE_UP
        {
            problems.extend(
                tensors
                    .keys()
                    .filter(|name| !taken.tensors.contains_key(*name))
                    .map(|name| format!("{name} is not expected")),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Weights { origin: origin.to_string(), problems }) }
    }

    /// The variables handed out so far, by name. Empty unless trainable.
    pub fn vars(&self) -> BTreeMap<String, Var> {
        self.taken().vars.clone()
    }

    /// Every tensor handed out so far, by name.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.taken().tensors.clone()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str, shape: &Shape, init: Init) -> candle_core::Result<Tensor> {
        let (known, seed) = match &self.source {
            Source::Seeded { seed, given } => (given.get(name), Some(*seed)),
            Source::Given { tensors } => (tensors.get(name), None),
        };
        match (known, seed) {
            (Some(tensor), _) if tensor.shape() == shape => Ok(tensor.clone()),
            (Some(tensor), _) => {
                let problem = format!("{name} should have shape {:?}, found {:?}", shape.dims(), tensor.dims());
                self.make_up(problem, shape)
            }
            (None, Some(seed)) => draw(&mut named_rng(seed, name), shape, init),
            (None, None) => self.make_up(format!("{name} {:?} is missing", shape.dims()), shape),
        }
    }

    /// Notes what is wrong and gives zeros, so that building goes on to whatever else is wrong, within bounds.
    fn make_up(&self, problem: String, shape: &Shape) -> candle_core::Result<Tensor> {
        let mut taken = self.taken();
        taken.problems.push(problem);
        taken.made_up = taken.made_up.saturating_add(shape.elem_count());
        if taken.made_up > MAX_MADE_UP {
            candle_core::bail!("too many tensors do not fit");
        }
        Tensor::zeros(shape, DType::F32, &Device::Cpu)
    }
}

/// Values of `shape` in the order in which `rng` gives them.
pub(crate) fn draw(rng: &mut ChaCha8Rng, shape: &Shape, init: Init) -> candle_core::Result<Tensor> {
    let count = shape.elem_count();
    let values: Vec<f32> = match init {
        Init::Uniform { lo, up } => (0..count).map(|_| rng.random_range(lo as f32..up as f32)).collect(),
        Init::Randn { mean, stdev } => {
            (0..count).map(|_| (mean + stdev * rng.sample::<f64, _>(StandardNormal)) as f32).collect()
        }
        Init::Const(value) => vec![value as f32; count],
        Init::Kaiming { .. } => candle_core::bail!("layers state the bounds of their initial weights"),
    };
    Tensor::from_vec(values, shape, &Device::Cpu)
}

struct Handle(Arc<Parameters>);

impl SimpleBackend for Handle {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.0.find(name, &shape, init)?.to_dtype(dtype)?.to_device(device)?;
        let mut taken = self.0.taken();
        let tensor = if self.0.trainable {
            // A copy: a variable is written in place, and the source may be somebody else's.
            let var = Var::from_tensor(&tensor.copy()?)?;
            let tracked = var.as_tensor().clone();
            taken.vars.insert(name.to_string(), var);
            tracked
        } else {
            tensor
        };
        taken.tensors.insert(name.to_string(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} was asked for without its shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match &self.0.source {
            Source::Seeded { given: tensors, .. } | Source::Given { tensors } => tensors.contains_key(name),
        }
    }
}
