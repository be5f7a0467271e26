//! `ksom info`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ksom_quantizers::{Estimator, Initialization, NeighborhoodKind, QuantizerKind, Similarity};
use ksom_vqvae::codes::{grid_layout, stored_bits};
use ksom_vqvae::evaluation::metrics;
use ksom_vqvae::{ModelConfig, zoo};
use serde::Serialize;

use crate::models;
use crate::output::{Block, Report, architecture_name, bytes, sides};
use crate::settings::Settings;

/// Show what a model is and where it comes from
#[derive(Args)]
#[command(after_help = "Example:
  ksom info runs/ksom")]
pub struct InfoArgs {
    /// A model directory, the name of a built-in model (`ksom list`), or owner/name[@revision] on the Hub
    #[arg(value_name = "MODEL", default_value = zoo::DEFAULT)]
    model: String,
}

/// What a model is.
#[derive(Serialize)]
pub struct InfoReport {
    model: String,
    /// Its folder; absent for a built-in one.
    folder: Option<PathBuf>,
    /// Its commit, if it came from the Hub.
    commit: Option<String>,
    #[serde(flatten)]
    config: ModelConfig,
    levels: Vec<LevelReport>,
    /// Where a code lies on its grid.
    grid_layout: String,
    /// Numbers in the checkpoint.
    parameters: usize,
    /// Names what the codes mean.
    fingerprint: String,
    /// Size of the weights.
    bytes: u64,
}

#[derive(Serialize)]
struct LevelReport {
    name: &'static str,
    /// Picture pixels per code along each side.
    stride: usize,
    bits_per_pixel: f64,
    /// The same in a codes file that is not compressed, without names and sizes.
    stored_bits_per_pixel: f64,
    /// Training steps that the codebook has seen.
    codebook_steps: u64,
}

pub fn run(args: InfoArgs, settings: &Settings) -> Result<InfoReport> {
    let found = models::find(&args.model, settings)?;
    let model = found.load(&settings.compute()?)?;
    let config = model.config().clone();
    let levels = config.architecture.levels().into_iter().zip(model.quantizers()).map(|(level, quantizer)| {
        let pixels = (level.stride * level.stride) as f64;
        Ok(LevelReport {
            name: level.name,
            stride: level.stride,
            bits_per_pixel: metrics::bits_per_pixel(config.quantizer.num_codes, 1.0, pixels),
            stored_bits_per_pixel: f64::from(stored_bits(config.quantizer.num_codes)) / pixels,
            codebook_steps: quantizer.steps()?,
        })
    });
    Ok(InfoReport {
        levels: levels.collect::<Result<_>>()?,
        grid_layout: grid_layout(&config.quantizer.grid),
        parameters: model.parameter_count()?,
        fingerprint: model.fingerprint()?,
        bytes: found.weights_bytes()?,
        folder: found.folder().map(PathBuf::from),
        commit: found.origin().1,
        config,
        model: args.model,
    })
}

impl Report for InfoReport {
    fn blocks(&self) -> Vec<Block> {
        let ModelConfig { architecture, quantizer, preprocessing, provenance, .. } = &self.config;
        let place = self.folder.as_ref().map_or("built into this program".to_string(), |f| f.display().to_string());
        let codes = self.levels.iter().map(|level| {
            format!(
                "{} (one per {} pixels, {:.4} bits/pixel; {:.4} in a codes file)",
                level.name,
                sides(&[level.stride; 2]),
                level.bits_per_pixel,
                level.stored_bits_per_pixel
            )
        });
        let steps = self.levels.iter().map(|level| level.codebook_steps.to_string());
        let mut fields = vec![
            ("model", self.model.clone()),
            ("place", place),
            ("architecture", architecture_name(architecture.kind).to_string()),
            ("hidden channels", architecture.hidden.to_string()),
            (
                "residual blocks",
                format!("{} of {} channels", architecture.residual_layers, architecture.residual_hidden),
            ),
            ("parameters", self.parameters.to_string()),
            ("weights", bytes(self.bytes)),
            ("levels", codes.collect::<Vec<_>>().join(", ")),
            ("quantizer", quantizer.name().to_string()),
            ("codebook", format!("{} codes of dimension {}", quantizer.num_codes, quantizer.dim)),
            ("grid", format!("{}: {}", sides(&quantizer.grid), self.grid_layout)),
        ];
        if quantizer.kind.has_neighborhood() {
            fields.push(("shrink step", quantizer.shrink_step.to_string()));
        }
        if quantizer.kind == QuantizerKind::Ksom {
            fields.push(("decay", quantizer.decay.to_string()));
        }
        if quantizer.kind != QuantizerKind::Fsq {
            fields.push(("commitment", quantizer.commitment.to_string()));
        }
        if quantizer.kind == QuantizerKind::Ksom {
            fields.push(("initial counts", quantizer.counter_init.to_string()));
            fields.push(("skips unused codes", if quantizer.skip_unused { "yes" } else { "no" }.to_string()));
        }
        let options = [
            ("stages", (architecture.stages > 1).then(|| architecture.stages.to_string())),
            ("compares", (quantizer.similarity == Similarity::Cosine).then(|| "the cosine".to_string())),
            ("gradient", (quantizer.estimator == Estimator::Rotation).then(|| "rotated".to_string())),
            ("begins with", (quantizer.init == Initialization::KMeans).then(|| "k-means".to_string())),
            ("revives codes below", (quantizer.revive_below > 0.0).then(|| quantizer.revive_below.to_string())),
        ];
        fields.extend(options.into_iter().filter_map(|(name, value)| Some((name, value?))));
        if quantizer.neighborhood == NeighborhoodKind::Gaussian {
            fields.push(("gaussian base", quantizer.gaussian_base.to_string()));
        }
        if quantizer.kind == QuantizerKind::GdSom {
            fields.push(("kohonen cost", quantizer.kohonen_cost.to_string()));
        }
        fields.push(("codebook steps", steps.collect::<Vec<_>>().join(", ")));
        fields.push(("pixel mean", format!("{:?}", preprocessing.normalization.mean)));
        fields.push(("pixel deviation", format!("{:?}", preprocessing.normalization.std)));
        fields.extend(preprocessing.trained_size.map(|size| ("trained at", sides(&size))));
        fields.extend(provenance.recipe.clone().map(|recipe| ("recipe", recipe)));
        fields.extend(provenance.data.clone().map(|data| ("data", data)));
        fields.extend(provenance.seed.map(|seed| ("seed", seed.to_string())));
        fields.extend(provenance.steps.map(|steps| ("training steps", steps.to_string())));
        let base_revision = provenance.base_revision.iter().map(|commit| format!("@{commit}")).collect::<String>();
        fields.extend(provenance.base_model.as_ref().map(|base| ("fine-tuned from", format!("{base}{base_revision}"))));
        fields.extend(provenance.written_by.clone().map(|program| ("written by", program)));
        fields.extend(self.commit.clone().map(|commit| ("commit", commit)));
        fields.push(("fingerprint", self.fingerprint.clone()));
        vec![Block::Fields(fields)]
    }
}
