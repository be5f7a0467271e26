//! What a quantizer is to learn from.

use candle_core::Tensor;

use crate::error::{QuantizerError, Result};

/// What a quantizer saw of a (micro-)batch: sums and counts of the inputs by code.
///
/// Made by [`Quantizer::observe`](crate::Quantizer::observe), which changes nothing, and handed to
/// [`Quantizer::step`](crate::Quantizer::step). So a batch that is given up leaves no trace in the quantizer.
#[must_use = "a quantizer learns by the step that is given this"]
#[derive(Clone, Debug)]
pub struct Observation {
    /// Sums [K, D] and counts `[K]`; none where an optimizer does the learning.
    sums: Option<(Tensor, Tensor)>,
}

impl Observation {
    pub(crate) fn new(sums: Option<(Tensor, Tensor)>) -> Self {
        Self { sums }
    }

    /// Both together: the parts of a batch are one update.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if they are not of the same quantizer, as far as shapes tell.
    pub fn and(self, other: Self) -> Result<Self> {
        let sums = match (self.sums, other.sums) {
            (Some((sums, counts)), Some((more_sums, more_counts))) if sums.dims() == more_sums.dims() => {
                Some(((sums + more_sums)?, (counts + more_counts)?))
            }
            (None, None) => None,
            (one, other) => {
                return Err(QuantizerError::Input {
                    operation: "add observations",
                    expected: format!("another one of {}", describe(one.as_ref())),
                    found: describe(other.as_ref()),
                });
            }
        };
        Ok(Self { sums })
    }

    /// The tensors that [`Observation::and`] adds up, f32: for programs whose processes each see a part of a batch. None
    /// where an optimizer does the learning.
    pub fn sums(&self) -> Vec<&Tensor> {
        self.sums.iter().flat_map(|(sums, counts)| [sums, counts]).collect()
    }

    /// The same observation with other tensors in the place of those that [`Observation::sums`] gave.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if their number or shapes are others.
    pub fn with_sums(self, sums: Vec<Tensor>) -> Result<Self> {
        let shapes = |tensors: &[&Tensor]| tensors.iter().map(|tensor| tensor.dims().to_vec()).collect::<Vec<_>>();
        let (expected, found) = (shapes(&self.sums()), shapes(&sums.iter().collect::<Vec<_>>()));
        if expected != found {
            return Err(QuantizerError::Input {
                operation: "replace an observation's sums",
                expected: format!("tensors of shapes {expected:?}"),
                found: format!("{found:?}"),
            });
        }
        let mut sums = sums.into_iter();
        Ok(Self { sums: sums.next().zip(sums.next()) })
    }

    /// The sums [K, D] and counts `[K]` of the quantizer that has this many codes of this dimension.
    pub(crate) fn into_sums(self, shape: [usize; 2]) -> Result<(Tensor, Tensor)> {
        match self.sums {
            Some((sums, counts)) if sums.dims() == shape => Ok((sums, counts)),
            other => Err(QuantizerError::Input {
                operation: "step",
                expected: format!("an observation of sums of shape {shape:?}"),
                found: describe(other.as_ref()),
            }),
        }
    }
}

fn describe(sums: Option<&(Tensor, Tensor)>) -> String {
    sums.map_or("one without sums".into(), |(sums, _)| format!("sums of shape {:?}", sums.dims()))
}
