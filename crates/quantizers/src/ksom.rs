//! KSOM and EMA-VQ: a codebook that learns by exponential moving averages over a neighborhood.

use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::Result;
use crate::form::Form;
use crate::observation::Observation;
use crate::parts::Parts;
use crate::pass::Pass;
use crate::quantizer::{Quantized, Quantizer};
use crate::revival::{Sample, Takeover};
use crate::rows;
use crate::space::{Space, unit};
use crate::state::{Buffer, Flag, StepCounter};

/// A codebook w = m / c of moving averages: sums m [K, D] and counts c `[K]` of the inputs, each spread over the chosen
/// code's neighborhood A_t. EMA-VQ is the case A = I.
///
/// # Source
/// arXiv 2302.07950, section 3; arXiv 1711.00937, appendix A.1 for EMA-VQ.
pub struct Ksom {
    parts: Parts,
    /// m [K, D]
    ema_sums: Buffer,
    /// c `[K]`
    ema_counts: Buffer,
}

impl Ksom {
    /// Takes `_w` [K, D], `_ema_w` [K, D], `_ema_cluster_size` `[K]` and the scalar `counter` from `vb`, in f32 whatever
    /// the builder's type, on the builder's device; where the codebook begins with k-means, the scalar `initialized`, too.
    ///
    /// In a [`VarMap`](candle_nn::VarMap) that has none of them yet: w ~ N(0, 1), m = w, c = c₀, t = 0. They are
    /// variables of the map then, and follow what the quantizer learns, so that the map can be saved and loaded.
    /// Nevertheless they are buffers, like the running mean of a batch norm: no gradient ever leads to them, so an
    /// optimizer that was given all variables of the map leaves them alone, weight decay included.
    ///
    /// # Errors
    /// [`QuantizerError::Config`](crate::QuantizerError::Config) if the configuration is out of bounds or not that of a
    /// KSOM; a tensor is missing, or has another shape or type.
    pub fn new(config: &QuantizerConfig, vb: VarBuilder) -> Result<Self> {
        let parts = Parts::new(config, QuantizerKind::Ksom, &vb)?;
        let (k, d) = (config.num_codes, config.dim);
        let there = vb.contains_tensor("_ema_w");
        let ema_sums = Buffer::new(&vb, "_ema_w", &[k, d], Init::Const(0.0))?;
        if !there {
            ema_sums.set(parts.codebook.tensor())?;
        }
        let ema_counts = Buffer::new(&vb, "_ema_cluster_size", &[k], Init::Const(config.counter_init))?;
        Ok(Self { parts, ema_sums, ema_counts })
    }

    /// c and m moved toward counts and sums, and w = m / c, after so many steps.
    fn update(&self, steps: u64, sums: &Tensor, counts: &Tensor) -> Result<()> {
        let Parts { config, neighborhood, backend, codebook, .. } = &self.parts;
        let (k, decay, epsilon) = (config.num_codes as f64, config.decay, config.epsilon);
        // One product with A for both: [K, D + 1].
        let both = Tensor::cat(&[sums, &counts.unsqueeze(1)?], 1)?;
        let both = neighborhood.apply_on(*backend, steps, &both)?;
        let d = both.narrow(1, 0, config.dim)?;
        let n = both.narrow(1, config.dim, 1)?;

        let (old_counts, old_sums) = (self.ema_counts.tensor().unsqueeze(1)?, self.ema_sums.tensor());
        let mut c = (old_counts.affine(decay, 0.0)? + n.affine(1.0 - decay, 0.0)?)?;
        let mut m = (old_sums.affine(decay, 0.0)? + d.affine(1.0 - decay, 0.0)?)?;
        if !config.skip_unused {
            let total = c.sum_all()?.reshape((1, 1))?;
            c = c.affine(1.0, epsilon)?.broadcast_div(&total.affine(1.0, k * epsilon)?)?.broadcast_mul(&total)?;
        }
        let mut w = m.broadcast_div(&c)?;
        if self.parts.space == Space::Sphere {
            w = unit(&w)?;
        }
        if config.skip_unused {
            let used = n.gt(0.0)?;
            c = used.where_cond(&c, &old_counts)?;
            let used = used.broadcast_as(m.shape())?.contiguous()?;
            m = used.where_cond(&m, old_sums)?;
            w = used.where_cond(&w, codebook.tensor())?;
        }
        self.ema_counts.set(&c.squeeze(1)?)?;
        self.ema_sums.set(&m)?;
        codebook.set(&w)
    }

    /// Codes whose count has fallen below the threshold take vectors of the batch, and with them averages that give those
    /// vectors and a count at the threshold: the next steps then move them as they move any other code.
    fn revive(&self, steps: u64, sample: &Sample) -> Result<()> {
        let Parts { config, codebook, .. } = &self.parts;
        let counts = self.ema_counts.tensor().to_vec1::<f32>()?;
        let Some(taken) = Takeover::new(&counts, config.revive_below, sample, steps) else { return Ok(()) };
        let vectors = taken.vectors(codebook.tensor().device())?;
        codebook.set(&taken.of(codebook.tensor(), &vectors)?)?;
        let sums = vectors.affine(config.revive_below, 0.0)?;
        self.ema_sums.set(&taken.of(self.ema_sums.tensor(), &sums)?)?;
        let new = Tensor::full(config.revive_below as f32, (vectors.dim(0)?, 1), vectors.device())?;
        self.ema_counts.set(&taken.of(&self.ema_counts.tensor().unsqueeze(1)?, &new)?.squeeze(1)?)
    }
}

impl Quantizer for Ksom {
    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }

    fn forward_with(&self, x: &Tensor, codes: &Tensor) -> Result<Quantized> {
        let pass = Pass::new(&self.parts, x, codes)?;
        let loss = pass.commitment()?;
        pass.end(loss)
    }

    fn observe(&self, x: &Tensor, codes: &Tensor) -> Result<Observation> {
        let Parts { config, backend, counter, .. } = &self.parts;
        let form = Form::of("observe", x, config.dim)?;
        let (codes, inputs) = (form.code_row("observe", codes)?, self.compared(x)?);
        let observation = Observation::new(Some(rows::code_sums(*backend, &inputs, &codes, config.num_codes)?));
        if config.revive_below == 0.0 {
            return Ok(observation);
        }
        Ok(observation.with_sample(Sample::of(&inputs, config.num_codes, counter.get()?)?))
    }

    /// A center without vectors of its own counts as one: its average is where it is.
    fn begin_at(&self, centers: &Tensor, sizes: &Tensor) -> Result<()> {
        let sizes = sizes.broadcast_maximum(&Tensor::ones((), DType::F32, sizes.device())?)?;
        self.parts.codebook.set(centers)?;
        self.ema_sums.set(&centers.broadcast_mul(&sizes.unsqueeze(1)?)?)?;
        self.ema_counts.set(&sizes)
    }

    fn step_from(&mut self, counter: f32, observation: Observation) -> Result<()> {
        let steps = StepCounter::before_next(counter)?;
        let shape = [self.parts.config.num_codes, self.parts.config.dim];
        let ((sums, counts), sample) = observation.into_parts(shape)?;
        self.update(steps, &sums, &counts)?;
        if let Some(sample) = sample {
            self.revive(steps, &sample)?;
        }
        self.parts.counter.advance()
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        let mut state = vec![
            ("_w", self.codebook().clone()),
            ("_ema_w", self.ema_sums.tensor().clone()),
            ("_ema_cluster_size", self.ema_counts.tensor().clone()),
            ("counter", self.parts.counter.tensor().clone()),
        ];
        state.extend(self.parts.initialized.as_ref().map(Flag::named));
        state
    }
}
