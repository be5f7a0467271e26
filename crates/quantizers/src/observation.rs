//! What a quantizer is to learn from.

use candle_core::Tensor;

use crate::error::{QuantizerError, Result};
use crate::revival::Sample;

/// What a quantizer saw of a (micro-)batch: sums and counts of the inputs by code and, where codes are revived, some of
/// the inputs.
///
/// Made by [`Quantizer::observe`](crate::Quantizer::observe), which changes nothing, and handed to
/// [`Quantizer::step`](crate::Quantizer::step). So a batch that is given up leaves no trace in the quantizer.
#[must_use = "a quantizer learns by the step that is given this"]
#[derive(Clone, Debug)]
pub struct Observation {
    /// Sums [K, D] and counts `[K]`; none where an optimizer does the learning.
    sums: Option<(Tensor, Tensor)>,
    /// Inputs that codes without use may take; none where they do not.
    sample: Option<Sample>,
}

impl Observation {
    pub(crate) fn new(sums: Option<(Tensor, Tensor)>) -> Self {
        Self { sums, sample: None }
    }

    /// The same with another sample, such as that of all parts of a batch ([`Sample::and`]).
    pub fn with_sample(self, sample: Sample) -> Self {
        Self { sample: Some(sample), ..self }
    }

    /// The same with the rows of `vectors` f32 [N, D] for codes without use to take: in ascending order of the codes, the
    /// first row for the first of them. To follow another program's choice.
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if they are no rows, or of another dimension.
    pub fn offering(self, vectors: &Tensor) -> Result<Self> {
        match (&self.sums, vectors.dims()) {
            (Some((sums, _)), [_, dim]) if sums.dims()[1] == *dim => {
                Ok(Self { sample: Some(Sample::in_order(vectors)?), ..self })
            }
            (sums, found) => Err(QuantizerError::Input {
                operation: "offer vectors",
                expected: format!("rows for {}", describe(sums.as_ref())),
                found: format!("shape {found:?}"),
            }),
        }
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
        let sample = match (self.sample, other.sample) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Ok(Self { sums, sample })
    }

    /// The vectors that codes without use may take: for programs whose processes each see a part of a batch. None where
    /// codes are not revived.
    pub fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
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
        Ok(Self { sums: sums.next().zip(sums.next()), ..self })
    }

    /// The sums [K, D] and counts `[K]` of the quantizer that has this many codes of this dimension, and the sample.
    pub(crate) fn into_parts(self, shape: [usize; 2]) -> Result<((Tensor, Tensor), Option<Sample>)> {
        match self.sums {
            Some((sums, counts)) if sums.dims() == shape => Ok(((sums, counts), self.sample)),
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
