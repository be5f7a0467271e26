//! How a model's codebooks learn: from the first batch where they begin with it; then observations of each part of a batch, then one step.

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::Observation;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::network::LevelOutput;
use crate::model::network::operations::Scalar;
use crate::team::members::Team;

impl Model {
    /// Makes of the batch `pixels`, this process's part of it, cut into `parts`, the codebooks that are still to be made of a first one: level by level,
    /// since what a level sees depends on those before it.
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub(crate) fn initialize_codebooks(&mut self, pixels: &Tensor, parts: usize) -> Result<()> {
        if !self.part.has_codebooks() {
            return Ok(());
        }
        for level in 0..self.quantizers().len() {
            if !self.quantizers()[level].awaits_vectors()? {
                continue;
            }
            let seen =
                |part: &Tensor| Ok(self.reconstruction(&self.input(part, None)?, None)?.levels.remove(level).inputs);
            let rows: Vec<Tensor> = pixels.chunk(parts.max(1), 0)?.iter().map(seen).collect::<Result<_>>()?;
            let rows = of_all(&Tensor::cat(&rows, 0)?.detach(), &self.compute.team)?;
            self.network.quantizers_mut()[level].initialize(&rows)?;
        }
        Ok(())
    }

    /// What the quantizers are to learn from the levels of a (micro-)batch, one observation per level; none where
    /// codebooks do not learn. Changes nothing: it is for [`Model::update_quantizers`], after those of all parts of the
    /// batch have been added.
    ///
    /// # Errors
    /// `levels` are not from this model.
    pub fn observe(&self, levels: &[LevelOutput]) -> Result<Vec<Observation>> {
        if !self.part.has_codebooks() {
            return Ok(Vec::new());
        }
        let seen = self.quantizers().into_iter().zip(levels);
        seen.map(|(quantizer, level)| Ok(quantizer.observe(&level.inputs, &level.codes.flatten_all()?)?)).collect()
    }

    /// Ends a training step for the quantizers: codebooks move, the neighborhood shrinks.
    ///
    /// # Errors
    /// There is not one observation for each level; a tensor operation fails.
    pub fn update_quantizers(&mut self, observations: Vec<Observation>) -> Result<()> {
        let counters = Scalar::read(&self.step_counters())?;
        self.update_quantizers_from(&counters, observations)
    }

    /// The step counter of each quantizer that learns.
    pub(crate) fn step_counters(&self) -> Vec<Scalar> {
        if !self.part.has_codebooks() {
            return Vec::new();
        }
        let states = self.quantizers().into_iter().flat_map(|quantizer| quantizer.state());
        states.filter(|(name, _)| *name == "counter").map(|(_, counter)| Scalar::OnDevice(counter)).collect()
    }

    /// As [`Model::update_quantizers`], with what was read of [`Model::step_counters`].
    pub(crate) fn update_quantizers_from(&mut self, counters: &[f64], observations: Vec<Observation>) -> Result<()> {
        if !self.part.has_codebooks() {
            return Ok(());
        }
        let mut quantizers = self.network.quantizers_mut();
        if observations.len() != quantizers.len() {
            let (expected, found) = (quantizers.len(), observations.len());
            return Err(Error::Invalid(format!(
                "expected an observation for each of {expected} levels, found {found}"
            )));
        }
        for ((quantizer, observation), &counter) in quantizers.iter_mut().zip(observations).zip(counters) {
            quantizer.step_from(counter as f32, observation)?;
        }
        Ok(())
    }
}

/// The rows f32 [N, D] of all processes of a team, one after another.
fn of_all(rows: &Tensor, team: &Team) -> Result<Tensor> {
    if team.is_alone() {
        return Ok(rows.clone());
    }
    let own = rows.flatten_all()?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let bytes = own.into_iter().flat_map(f32::to_le_bytes).collect();
    let mut values: Vec<f32> = Vec::new();
    for part in team.gather_bytes(bytes)? {
        values.extend(part.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap_or_default())));
    }
    let dim = rows.dim(1)?;
    Ok(Tensor::from_slice(&values, (values.len() / dim, dim), rows.device())?)
}
