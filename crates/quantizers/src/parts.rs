//! What all kinds of quantizer are made of.

use candle_core::DType;
use candle_nn::{Init, VarBuilder};
use ksom_kernels::Backend;

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::{QuantizerError, Result};
use crate::neighborhood::Neighborhood;
use crate::space::Space;
use crate::state::{Buffer, Flag, StepCounter};

/// Configuration, codebook and step counter of a quantizer.
pub struct Parts {
    pub(crate) config: QuantizerConfig,
    pub(crate) neighborhood: Neighborhood,
    pub(crate) backend: Backend,
    /// What of an input is compared with the codes.
    pub(crate) space: Space,
    /// w [K, D]
    pub(crate) codebook: Buffer,
    pub(crate) counter: StepCounter,
    /// Whether the codebook has been made of the first batch, where it is to be.
    pub(crate) initialized: Option<Flag>,
}

impl Parts {
    /// Takes codebook and counter from `vb`. A new codebook is drawn from N(0, 1).
    pub(crate) fn new(config: &QuantizerConfig, kind: QuantizerKind, vb: &VarBuilder) -> Result<Self> {
        check_kind(config, kind)?;
        let name = kind.codebook_name().unwrap_or("w");
        let there = vb.contains_tensor(name);
        let init = Init::Randn { mean: 0.0, stdev: 1.0 };
        let codebook = Buffer::new(vb, name, &[config.num_codes, config.dim], init)?;
        if !there {
            codebook.set(&config.codebook_of(codebook.tensor())?)?;
        }
        Self::with_codebook(config, codebook, vb)
    }

    /// The same with a codebook that is made already.
    pub(crate) fn with_codebook(config: &QuantizerConfig, codebook: Buffer, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            neighborhood: Neighborhood::new(config)?,
            counter: StepCounter::new(vb)?,
            initialized: Flag::of(config, vb)?,
            backend: Backend::best_for(vb.device(), DType::F32),
            space: Space::of(config),
            config: config.clone(),
            codebook,
        })
    }
}

/// Refuses the configuration of another kind, and one that is out of bounds.
pub(crate) fn check_kind(config: &QuantizerConfig, kind: QuantizerKind) -> Result<()> {
    if config.kind == kind {
        return config.validate();
    }
    Err(QuantizerError::Config { field: "kind", expected: format!("{kind:?}"), found: format!("{:?}", config.kind) })
}
