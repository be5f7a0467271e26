//! `ksom push`

use anyhow::{Result, bail};
use clap::Args;
use ksom_vqvae::hub::{CardOptions, HubName, PackOptions, Package, PushOptions};
use serde::Serialize;

use crate::failure::Usage;
use crate::hub;
use crate::models;
use crate::output::{Block, Report, bytes, table};
use crate::settings::Settings;

/// Upload a model to the Hugging Face Hub, or the page that explores its map
#[derive(Args)]
#[command(after_help = "Examples:
  ksom push runs/mine owner/model --dry-run
  ksom push runs/mine owner/model --private --license mit
  ksom push photos-ksom owner/model --onnx
  ksom push --space owner/page              # the page of `ksom explore` as a static Space
  ksom push runs/mine --space owner/page    # the same, beginning with this model

Needs a token with write access: HF_TOKEN, or that stored by `hf auth login`. What goes of a model is config.json,
model.safetensors, metrics.jsonl if there is one, README.md: yours, or else a model card made of the configuration and
the recorded metrics, and with --onnx the model as ONNX files, which the card says how to run.")]
pub struct PushArgs {
    /// A model directory, such as a run directory; the name of a built-in model; or owner/name[@revision] on the Hub
    #[arg(value_name = "MODEL", required_unless_present = "space")]
    model: Option<String>,
    /// owner/name; the repository is created if there is none
    #[arg(value_name = "NAME", required_unless_present = "space")]
    name: Option<HubName>,
    /// Upload the page of `ksom explore` as this static Space instead; MODEL is the one that it begins with
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "license", "dataset", "base_model", "onnx"])]
    space: Option<HubName>,
    /// Create the repository as a private one
    #[arg(long)]
    private: bool,
    /// The commit's message
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// The branch to commit to, created if there is none [default: main]
    #[arg(long, value_name = "BRANCH")]
    revision: Option<String>,
    /// Open a pull request instead of committing
    #[arg(long)]
    create_pr: bool,
    /// The license for the model card, by its name on the Hub, such as mit [default: other]
    #[arg(long, value_name = "LICENSE")]
    license: Option<String>,
    /// A data set on the Hub that the model was trained on, for the model card; can be given several times
    #[arg(long, value_name = "DATASET")]
    dataset: Vec<String>,
    /// The model on the Hub that this one was tuned from, for the model card, where that was tuned from a folder
    #[arg(long, value_name = "NAME")]
    base_model: Option<HubName>,
    /// Add the model as ONNX files, onnx/encoder.onnx and onnx/decoder.onnx, made for it as `ksom export` makes them
    #[arg(long)]
    onnx: bool,
    /// Print what would be uploaded, and upload nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was uploaded, or would be.
#[derive(Serialize)]
pub struct PushReport {
    repository: String,
    revision: String,
    dry_run: bool,
    files: Vec<UploadedFile>,
    /// The model card, for a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    commit: Option<String>,
    url: Option<String>,
    pull_request: Option<String>,
    /// Whether the repository is new.
    created: bool,
}

#[derive(Serialize)]
struct UploadedFile {
    path: String,
    bytes: usize,
    sha256: String,
}

pub fn run(args: PushArgs, settings: &Settings) -> Result<PushReport> {
    let is_space = args.space.is_some();
    let Some(name) = args.space.or(args.name) else { bail!(Usage("name the repository: owner/name".to_string())) };
    let name = match &args.revision {
        Some(_) if name.to_string() != name.repository() => {
            bail!(Usage("the branch is named twice: in NAME and by --revision".to_string()))
        }
        Some(revision) => name.at(revision)?,
        None => name,
    };
    let package = match &args.model {
        model if is_space => pack_space(model.as_deref(), settings)?,
        Some(model) => {
            let card = CardOptions { license: args.license, datasets: args.dataset, base_model: args.base_model };
            models::find(model, settings)?.pack(&name, &PackOptions { card, onnx: args.onnx })?
        }
        None => bail!(Usage("name the model to push".to_string())),
    };
    let files = package.files().iter().map(|file| UploadedFile {
        path: file.path.clone(),
        bytes: file.contents.len(),
        sha256: file.sha256.clone(),
    });
    let mut report = PushReport {
        repository: name.repository().to_string(),
        revision: name.revision().to_string(),
        dry_run: args.dry_run,
        files: files.collect(),
        card: None,
        commit: None,
        url: None,
        pull_request: None,
        created: false,
    };
    if args.dry_run {
        report.card = Some(String::from_utf8_lossy(package.card()).into_owned());
        return Ok(report);
    }
    let push = PushOptions { private: args.private, message: args.message, create_pr: args.create_pr };
    let outcome = hub::push(&package, &name, &push, &settings.console)?;
    report.commit = outcome.commit;
    report.url = Some(outcome.url);
    report.pull_request = outcome.pull_request;
    report.created = outcome.created;
    Ok(report)
}

/// The page of `ksom explore` as a Space.
#[cfg(feature = "explore")]
fn pack_space(model: Option<&str>, settings: &Settings) -> Result<Package> {
    let site = crate::explore::site(model, settings)?;
    Ok(Package::of_space(site.files().map(|(path, bytes)| (path, bytes.as_ref()))))
}

#[cfg(not(feature = "explore"))]
fn pack_space(_: Option<&str>, _: &Settings) -> Result<Package> {
    bail!("this ksom was built without the feature `explore`, which holds the page: build it with the feature")
}

impl Report for PushReport {
    fn blocks(&self) -> Vec<Block> {
        let row = |file: &UploadedFile| vec![file.path.clone(), bytes(file.bytes as u64), file.sha256.clone()];
        let files = table(&["file", "size", "SHA-256"], self.files.iter().map(row).collect());
        let line = |text: String| Block::Line(text);
        let target = format!("{}@{}", self.repository, self.revision);
        if let Some(card) = &self.card {
            let first = line(format!("would go to {target}:"));
            return vec![first, files, line(String::new()), line("README.md:".to_string()), line(card.clone())];
        }
        let mut blocks = vec![files];
        let new = if self.created { " (new)" } else { "" };
        let commit = self.commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        blocks.push(line(format!("uploaded to {target}{new}{commit}")));
        blocks.extend(self.url.clone().map(line));
        blocks.extend(self.pull_request.as_ref().map(|url| line(format!("pull request: {url}"))));
        blocks
    }
}
