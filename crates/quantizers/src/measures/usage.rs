//! Use of the codes over a stream of batches.

use candle_core::Tensor;
use serde::Serialize;

use crate::error::{QuantizerError, Result};
use crate::form::Form;
use crate::grid::Grid;
use crate::measures::topology::{Topology, topology};
use crate::quantizer::Quantizer;

/// Accumulates the measures of a codebook over batches of inputs and their codes.
#[derive(Clone, Debug)]
pub struct CodebookUsage {
    grid: Grid,
    counts: Vec<u64>,
    inputs: u64,
    distance_sum: f64,
    topographic_errors: u64,
}

/// The measures of a codebook over some inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CodebookReport {
    /// Number of codes (K).
    pub num_codes: usize,
    /// Number of inputs seen.
    pub inputs: u64,
    /// Codes that were chosen at least once.
    pub codes_in_use: usize,
    /// exp(−Σ p ln(p + 1e−10)) of the code frequencies p over all inputs: 1 to K.
    pub perplexity: f64,
    /// Mean Euclidean distance of an input, as it is compared with the codes, to its codebook vector.
    pub quantization_error: f64,
    /// Share of inputs whose two nearest codes are not neighbors: their grid distance is ≥ 1.5.
    pub topographic_error: f64,
    /// How well distances on the grid mirror those in the codebook; none where that is undefined.
    pub topology: Option<Topology>,
}

impl CodebookUsage {
    /// Nothing seen yet, for codes on `grid`.
    pub fn new(grid: &Grid) -> Self {
        Self { counts: vec![0; grid.len()], grid: grid.clone(), inputs: 0, distance_sum: 0.0, topographic_errors: 0 }
    }

    /// Adds a batch of inputs `x`, rows [N, D] or maps [N, D, H, W], with the `codes` that `quantizer` gave them.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if shapes or the number of codes do not fit; nothing is added then.
    pub fn observe(&mut self, quantizer: &dyn Quantizer, x: &Tensor, codes: &Tensor) -> Result<()> {
        if quantizer.grid() != &self.grid {
            return Err(QuantizerError::Input {
                operation: "observe codebook usage",
                expected: format!("a quantizer on a grid of shape {:?}", self.grid.shape()),
                found: format!("shape {:?}", quantizer.grid().shape()),
            });
        }
        let form = Form::of("observe codebook usage", x, quantizer.config().dim)?;
        let codes = form.code_row("observe codebook usage", codes)?;
        // Also checks that every code is in range.
        let chosen = quantizer.lookup(&codes)?;
        let compared = quantizer.compared(&x.detach())?;
        let distances = (compared - chosen)?.sqr()?.sum(1)?.sqrt()?.to_vec1::<f32>()?;
        let two = quantizer.assign_two(x)?.to_vec2::<u32>()?;

        for code in codes.to_vec1::<u32>()? {
            self.counts[code as usize] += 1;
        }
        self.inputs += distances.len() as u64;
        self.distance_sum += distances.iter().map(|&distance| f64::from(distance)).sum::<f64>();
        let torn = |two: &&Vec<u32>| !self.grid.are_close(two[0] as usize, two[1] as usize);
        self.topographic_errors += two.iter().filter(torn).count() as u64;
        Ok(())
    }

    /// Forgets what was seen.
    pub fn clear(&mut self) {
        *self = Self::new(&self.grid);
    }

    /// Adds what somebody else has counted: how often each code was chosen `[K]` among `inputs`. Distances are not added.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if there is another number of counts.
    pub fn add_counts(&mut self, counts: &[u64], inputs: u64) -> Result<()> {
        if counts.len() != self.counts.len() {
            return Err(QuantizerError::Input {
                operation: "add counts of codes",
                expected: format!("{} counts", self.counts.len()),
                found: counts.len().to_string(),
            });
        }
        self.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.inputs += inputs;
        Ok(())
    }

    /// How often each code was chosen `[K]`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of inputs seen.
    pub fn inputs(&self) -> u64 {
        self.inputs
    }

    /// Codes that were chosen at least once.
    pub fn codes_in_use(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// exp(−Σ p ln(p + 1e−10)) of the code frequencies p; 1 before any input.
    pub fn perplexity(&self) -> f64 {
        let total = self.inputs.max(1) as f64;
        let entropy: f64 = self.counts.iter().map(|&count| count as f64 / total).map(|p| -p * (p + 1e-10).ln()).sum();
        entropy.exp()
    }

    /// All measures. `codebook` is that of the quantizer, f32 [K, D]; see [`topology`] for the other arguments.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] before any input, or if `codebook` has another shape.
    pub fn report(&self, codebook: &Tensor, permutations: usize, seed: u64) -> Result<CodebookReport> {
        if self.inputs == 0 {
            return Err(QuantizerError::Input {
                operation: "report codebook usage",
                expected: "at least one input".into(),
                found: "none".into(),
            });
        }
        let used: Vec<usize> = (0..self.counts.len()).filter(|&code| self.counts[code] > 0).collect();
        Ok(CodebookReport {
            num_codes: self.counts.len(),
            inputs: self.inputs,
            codes_in_use: used.len(),
            perplexity: self.perplexity(),
            quantization_error: self.distance_sum / self.inputs as f64,
            topographic_error: self.topographic_errors as f64 / self.inputs as f64,
            topology: topology(&self.grid, codebook, &used, permutations, seed)?,
        })
    }
}
