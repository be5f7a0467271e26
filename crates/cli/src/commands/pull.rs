//! `ksom pull`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use ksom_vqvae::hub::HubName;
use ksom_vqvae::system::write_atomic;
use serde::Serialize;

use crate::files::create_folder;
use crate::hub;
use crate::output::{Block, Report, bytes};
use crate::settings::Settings;

/// The files of a model.
const FILES: [&str; 2] = ["config.json", "model.safetensors"];

/// Download a model from the Hugging Face Hub
#[derive(Args)]
#[command(after_help = "Examples:
  ksom pull owner/model
  ksom pull owner/model@v1.0 --local-dir model

Models go to the cache that Python's huggingface_hub uses (HF_HOME, HF_HUB_CACHE). HF_TOKEN or the stored token opens
private ones; HF_ENDPOINT names another Hub; with HF_HUB_OFFLINE=1 only the cache is used. docs/hub.md has the whole
list.")]
pub struct PullArgs {
    /// owner/name, or owner/name@revision with a branch, a tag or a commit
    #[arg(value_name = "NAME")]
    name: HubName,
    /// Copy the model's files into this folder, too
    #[arg(long, value_name = "DIR")]
    local_dir: Option<PathBuf>,
    /// Replace other files that are there already in DIR
    #[arg(long, requires = "local_dir")]
    overwrite: bool,
}

/// What is here now.
#[derive(Serialize)]
pub struct PullReport {
    repository: String,
    /// What the revision was found to be.
    commit: String,
    /// The model directory.
    folder: PathBuf,
    /// Size of its files.
    bytes: u64,
}

pub fn run(args: PullArgs, settings: &Settings) -> Result<PullReport> {
    let pulled = hub::pull(&args.name, &settings.console)?;
    let files = FILES
        .iter()
        .map(|name| {
            let path = pulled.folder.join(name);
            std::fs::read(&path)
                .map(|contents| (*name, contents))
                .with_context(|| format!("cannot read {}", path.display()))
        })
        .collect::<Result<Vec<_>>>()?;
    if let Some(folder) = &args.local_dir {
        for (name, contents) in &files {
            let path = folder.join(name);
            // The same file again is no harm.
            if !args.overwrite && path.exists() && std::fs::read(&path).ok().as_ref() != Some(contents) {
                bail!("{} exists already: choose another folder, or pass --overwrite to replace it", path.display());
            }
        }
        create_folder(folder)?;
        for (name, contents) in &files {
            write_atomic(&folder.join(name), contents)?;
        }
    }
    Ok(PullReport {
        repository: pulled.repository,
        commit: pulled.commit,
        folder: args.local_dir.unwrap_or(pulled.folder),
        bytes: files.iter().map(|(_, contents)| contents.len() as u64).sum(),
    })
}

impl Report for PullReport {
    fn blocks(&self) -> Vec<Block> {
        vec![Block::Fields(vec![
            ("model", self.repository.clone()),
            ("commit", self.commit.clone()),
            ("folder", self.folder.display().to_string()),
            ("size", bytes(self.bytes)),
        ])]
    }
}
