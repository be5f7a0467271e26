//! How a model's codebooks learn: observations of each part of a batch, then one step.

use ksom_quantizers::Observation;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::network::LevelOutput;
use crate::model::network::operations::Scalar;

impl Model {
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
