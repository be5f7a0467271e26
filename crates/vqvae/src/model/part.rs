//! Which part of a model a training changes.

use serde::{Deserialize, Serialize};

use crate::model::config::{Architecture, ArchitectureKind};

/// The part of a model that learns; the rest stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Everything.
    #[default]
    All,
    /// What makes pictures of codes: codes made before remain good.
    Decoder,
    /// The codebooks.
    Codebook,
}

impl Part {
    /// Whether codebooks are in this part.
    pub fn has_codebooks(self) -> bool {
        self != Self::Decoder
    }

    /// Whether a tensor of that name in the checkpoint is in this part.
    pub(crate) fn has(self, name: &str, architecture: &Architecture) -> bool {
        let below = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
        match self {
            Self::All => true,
            Self::Codebook => architecture.levels().iter().any(|level| below(level.prefix)),
            Self::Decoder => match architecture.kind {
                ArchitectureKind::VqVae => below("_decoder"),
                // `dec_t` is not among them: the bottom codes are made with its help.
                ArchitectureKind::VqVae2 => below("upsample_t") || below("dec"),
            },
        }
    }
}
