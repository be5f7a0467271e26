//! `ksom push-data`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use ksom_vqvae::hub::{HubName, Package, PushOptions};
use ksom_vqvae::system::sha256;
use ksom_vqvae::tokens::{MANIFEST_FILE, Manifest, ShardReport, TokenShard, find_token_shards, token_card};
use serde::Serialize;

use crate::failure::Usage;
use crate::hub;
use crate::output::{Block, Report, bytes, pictures};
use crate::progress::Counter;
use crate::settings::Settings;

/// A commit ends once its files have this many bytes: they are in memory until it is made.
const BYTES_PER_COMMIT: u64 = 256 << 20;
const CARD: &str = "README.md";

/// Upload a folder of tokens to the Hugging Face Hub, as a data set
#[derive(Args)]
#[command(after_help = "Examples:
  ksom push-data tokens/ owner/photos-tokens --dry-run
  ksom push-data tokens/ owner/photos-tokens --private --license cc-by-4.0

Goes in several commits, and when the command is given again only what is not there yet. A card is written that says what
made the tokens and how they are read, unless the folder has a README.md.")]
pub struct PushDataArgs {
    /// The folder that `ksom encode SHARDS` has filled
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    /// owner/name; the repository is created if there is none
    #[arg(value_name = "NAME")]
    name: HubName,
    /// Create the repository as a private one
    #[arg(long)]
    private: bool,
    /// The license for the card, by its name on the Hub, such as cc-by-4.0
    #[arg(long, value_name = "LICENSE")]
    license: Option<String>,
    /// Print the card and what would be uploaded, and upload nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was uploaded, or would be.
#[derive(Serialize)]
pub struct PushDataReport {
    repository: String,
    dry_run: bool,
    shards: usize,
    pictures: usize,
    /// Files that went, and those that were there already.
    uploaded: usize,
    there: usize,
    bytes: u64,
    commits: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    url: Option<String>,
}

pub fn run(args: PushDataArgs, settings: &Settings) -> Result<PushDataReport> {
    let manifest = Manifest::read(&args.tokens)?;
    let shards = find_token_shards(std::slice::from_ref(&args.tokens))?.unwrap_or_default();
    let reports = shards.iter().map(|shard| report_of(&args.tokens, shard)).collect::<Result<Vec<_>>>()?;
    let own_card = args.tokens.join(CARD);
    let card = match own_card.is_file() {
        true if args.license.is_some() => {
            bail!(Usage(format!("{} goes as it is: state the license in it", own_card.display())))
        }
        true => std::fs::read_to_string(&own_card).with_context(|| format!("cannot read {}", own_card.display()))?,
        false => token_card(args.name.repository(), &manifest, &reports, args.license.as_deref())?,
    };
    let mut files = vec![MANIFEST_FILE.to_string()];
    for shard in &shards {
        let extension = shard.form.extension();
        files.extend([format!("{}.json", shard.name), format!("{}.{extension}", shard.name)]);
    }
    let mut report = PushDataReport {
        repository: args.name.repository().to_string(),
        dry_run: args.dry_run,
        shards: shards.len(),
        pictures: reports.iter().map(|report| report.pictures).sum(),
        uploaded: 0,
        there: 0,
        bytes: 0,
        commits: Vec::new(),
        card: None,
        url: None,
    };
    if args.dry_run {
        report.uploaded = files.len() + 1;
        report.bytes = reports.iter().map(|report| report.bytes).sum();
        report.card = Some(card);
        return Ok(report);
    }
    upload(&args, files, card, &mut report, settings)?;
    Ok(report)
}

/// Uploads what is not there.
fn upload(
    args: &PushDataArgs,
    files: Vec<String>,
    card: String,
    report: &mut PushDataReport,
    settings: &Settings,
) -> Result<()> {
    let there = hub::data_files(&args.name, &files, &settings.console)?;
    let options = PushOptions { private: args.private, ..PushOptions::default() };
    let counter = Counter::new(&settings.console, files.len(), "files");
    let mut batch = vec![(CARD.to_string(), card.into_bytes())];
    let mut held = 0;
    let total = files.len();
    for (number, (path, known)) in files.into_iter().zip(there).enumerate() {
        let file = args.tokens.join(&path);
        let contents = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        // Small files have another kind of hash there: they go again.
        let same = |(size, hash): &(u64, String)| *size == contents.len() as u64 && *hash == sha256(&contents);
        if known.as_ref().is_some_and(same) {
            report.there += 1;
        } else {
            held += contents.len() as u64;
            batch.push((path, contents));
        }
        if held >= BYTES_PER_COMMIT || (number + 1 == total && !batch.is_empty()) {
            report.uploaded += batch.len();
            report.bytes += held;
            held = 0;
            let pushed = hub::push(&Package::of_data(batch.drain(..)), &args.name, &options, &settings.console)?;
            report.commits.extend(pushed.commit);
            report.url = Some(pushed.url);
        }
        counter.set(number + 1);
    }
    Ok(())
}

/// What a shard's report says.
fn report_of(folder: &Path, shard: &TokenShard) -> Result<ShardReport> {
    let path = folder.join(format!("{}.json", shard.name));
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no report of a shard", path.display()))
}

impl Report for PushDataReport {
    fn blocks(&self) -> Vec<Block> {
        let what = format!("{} shards of tokens, {}", self.shards, pictures(self.pictures));
        let (size, line) = (bytes(self.bytes), |text: String| Block::Line(text));
        if let Some(card) = &self.card {
            let first = format!("would go to {}: {what}, {size}", self.repository);
            return vec![line(first), line(String::new()), line("README.md:".to_string()), line(card.clone())];
        }
        let mut blocks = vec![line(format!(
            "{} holds {what}: {} files uploaded ({size}), {} there already",
            self.repository, self.uploaded, self.there
        ))];
        blocks.extend(self.url.clone().map(line));
        blocks
    }
}
