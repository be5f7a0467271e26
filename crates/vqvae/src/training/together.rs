//! What the processes of a team add up in a training step: in one sum, of one buffer.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{Observation, Sample};

use crate::error::{Error, Result};
use crate::team::members::Team;

/// What a process makes of its part of a batch. All of it is of the whole batch once it is added up.
pub(crate) struct Sums {
    /// By the parameters' names.
    pub(crate) gradients: BTreeMap<String, Tensor>,
    /// What each level's quantizer saw.
    pub(crate) observations: Vec<Observation>,
    /// How often each code was chosen, by level.
    pub(crate) counts: Vec<Tensor>,
    /// Losses, each weighed by its part's share of the batch.
    pub(crate) losses: Vec<f64>,
    /// Height and width of the pictures.
    pub(crate) sides: [usize; 2],
    /// Processes that ask to stop.
    pub(crate) asks: usize,
}

impl Sums {
    /// The same of all processes. What is on a device goes through the computer's memory.
    ///
    /// # Errors
    /// A process has gone, or its pictures are of another size.
    pub(crate) fn of_all(self, team: &Team) -> Result<Self> {
        let mut own = Vec::new();
        let mut give = |tensor: &Tensor| -> Result<()> {
            own.extend(tensor.detach().flatten_all()?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
            Ok(())
        };
        self.gradients.values().try_for_each(&mut give)?;
        self.observations.iter().flat_map(Observation::sums).try_for_each(&mut give)?;
        self.counts.iter().try_for_each(&mut give)?;
        own.extend(self.losses.iter().map(|&loss| loss as f32));
        let [height, width] = self.sides;
        own.extend([height, width, self.asks].map(|number| number as f32));

        let summed = team.sum(own)?;
        let mut at = 0;
        let mut next = |count: usize| {
            at += count;
            &summed[at - count..at]
        };
        let mut take = |like: &Tensor| -> Result<Tensor> {
            Ok(Tensor::from_slice(next(like.elem_count()), like.shape(), &Device::Cpu)?.to_device(like.device())?)
        };
        let gradients = self.gradients.iter().map(|(name, own)| Ok((name.clone(), take(own)?)));
        let gradients = gradients.collect::<Result<_>>()?;
        let mut observations = Vec::with_capacity(self.observations.len());
        for own in self.observations {
            let sums = own.sums().into_iter().map(&mut take).collect::<Result<_>>()?;
            observations.push(with_all_samples(own.with_sums(sums)?, team)?);
        }
        let counts = self.counts.iter().map(&mut take).collect::<Result<_>>()?;
        let losses = next(self.losses.len()).iter().map(|&loss| f64::from(loss)).collect();
        let told = next(3);
        // Every process finds this, so that none is waited for.
        if told[..2] != [height, width].map(|side| (side * team.size()) as f32) {
            return Err(Error::Invalid(format!(
                "pictures of a batch differ in size: those of process {} have {width}×{height} pixels, and others have \
                 not: bring all to one size",
                team.rank()
            )));
        }
        Ok(Self { gradients, observations, counts, losses, sides: self.sides, asks: told[2] as usize })
    }
}

/// With the vectors of all processes for codes without use. All processes have such a sample, or none.
fn with_all_samples(observation: Observation, team: &Team) -> Result<Observation> {
    let Some(own) = observation.sample() else { return Ok(observation) };
    let parts = team.gather_bytes(own.to_bytes())?;
    let samples = parts.iter().map(|part| Sample::from_bytes(part)).collect::<Result<Vec<_>, _>>()?;
    let all = samples.into_iter().reduce(Sample::and);
    Ok(match all {
        Some(all) => observation.with_sample(all),
        None => observation,
    })
}
