//! What both kinds of quantizer are made of.

use candle_core::DType;
use candle_nn::{Init, VarBuilder};
use ksom_kernels::Backend;

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::{QuantizerError, Result};
use crate::neighborhood::Neighborhood;
use crate::state::{Buffer, StepCounter};

/// Configuration, codebook and step counter of a quantizer.
pub struct Parts {
    pub(crate) config: QuantizerConfig,
    pub(crate) neighborhood: Neighborhood,
    pub(crate) backend: Backend,
    /// w [K, D]
    pub(crate) codebook: Buffer,
    pub(crate) counter: StepCounter,
}

impl Parts {
    /// Takes codebook and counter from `vb`. A new codebook is drawn from N(0, 1).
    pub(crate) fn new(config: &QuantizerConfig, kind: QuantizerKind, vb: &VarBuilder) -> Result<Self> {
        if config.kind != kind {
            return Err(QuantizerError::Config {
                field: "kind",
                expected: format!("{kind:?}"),
                found: format!("{:?}", config.kind),
            });
        }
        let neighborhood = Neighborhood::new(config)?;
        let shape = [config.num_codes, config.dim];
        Ok(Self {
            codebook: Buffer::new(vb, kind.codebook_name(), &shape, Init::Randn { mean: 0.0, stdev: 1.0 })?,
            counter: StepCounter::new(vb)?,
            backend: Backend::best_for(vb.device(), DType::F32),
            config: config.clone(),
            neighborhood,
        })
    }
}
