//! Shards of pictures → shards of tokens.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ksom_datasets::Preprocess;
use ksom_vqvae::tokens::{Manifest, Outcome, Part, ShardReport, TokenEvent, TokenFolder, TokenForm};
use ksom_vqvae::{Error, Model};
use serde::Serialize;

use crate::console::Console;
use crate::failure::{FAILED, Usage};
use crate::files::refuse_stream;
use crate::left_out::tell_passed_over;
use crate::models::{self, FoundModel};
use crate::output::{Block, Report, bytes, pictures};
use crate::progress::Counter;
use crate::settings::Settings;
use crate::shards::found::{FoundShards, Shard};

/// At most so many pictures that were skipped are told one by one; reports list them all.
const MOST_TOLD: usize = 20;

/// What the command line says of shards.
pub struct EncodeShards<'a> {
    pub inputs: &'a [OsString],
    /// A folder, or the file of a single shard's tokens.
    pub output: &'a Path,
    pub form: Option<TokenForm>,
    pub part: Option<Part>,
    pub preprocess: Preprocess,
    pub model: Option<&'a str>,
}

/// What was done.
#[derive(Serialize)]
pub struct ShardsEncoded {
    output: PathBuf,
    model: String,
    fingerprint: String,
    form: TokenForm,
    /// The part of the shards that was to be done, `i/n`.
    part: String,
    /// Shards of that part.
    shards: usize,
    /// Of these: made now, and there already.
    made: usize,
    there: usize,
    pictures: usize,
    codes: u64,
    skipped: usize,
    passed_over: usize,
    /// Of the tokens that were made.
    bytes: u64,
    /// Shards whose tokens could not be made.
    failed: Vec<FailedShard>,
}

#[derive(Serialize)]
struct FailedShard {
    shard: String,
    reason: String,
}

pub fn encode(args: EncodeShards, settings: &Settings) -> Result<ShardsEncoded> {
    refuse_stream(args.output)?;
    let found = FoundShards::find(args.inputs)?;
    tell_passed_over(&found.passed_over, &settings.console);
    let (folder, single, form) = target(&args, found.shards.len())?;
    let is_stream = matches!(found.shards[..], [Shard::Stdin]);
    let part = super::part(if is_stream { Some(Part::ALL) } else { args.part }, &settings.console)?;
    let model_found = find_model(&args, &found, settings)?;
    let model = model_found.load(&settings.compute()?)?;
    let (origin, commit) = model_found.origin();
    let tokens = TokenFolder::open(&folder, Manifest::new(&model, (origin, commit), form, args.preprocess)?)?;
    let mut done = ShardsEncoded {
        output: args.output.to_path_buf(),
        model: tokens.manifest().model.clone(),
        fingerprint: tokens.manifest().fingerprint.clone(),
        form,
        part: part.to_string(),
        shards: 0,
        made: 0,
        there: 0,
        pictures: 0,
        codes: 0,
        skipped: 0,
        passed_over: found.passed_over.len(),
        bytes: 0,
        failed: Vec::new(),
    };
    let own = found.shards.into_iter().enumerate().filter(|(number, _)| part.has(*number));
    let own: VecDeque<(String, Shard)> =
        own.map(|(_, shard)| (single.clone().unwrap_or_else(|| shard.name().to_string()), shard)).collect();
    done.shards = own.len();
    run(&tokens, &model, own, &mut done, &settings.console)?;
    Ok(done)
}

/// Encodes shards; those that other processes are at come last, and are waited for.
fn run(
    tokens: &TokenFolder,
    model: &Model,
    mut own: VecDeque<(String, Shard)>,
    done: &mut ShardsEncoded,
    console: &Console,
) -> Result<()> {
    let mut told = Told::new(console, own.len());
    let mut busy = 0;
    while let Some((name, shard)) = own.pop_front() {
        // What can be read once only is not left for later.
        let wait = busy > own.len() || matches!(shard, Shard::Stdin);
        let source = shard.source(*console)?;
        let outcome = tokens.encode(model, &name, source, wait, &mut |event| told.tell(&name, event));
        match outcome {
            Ok(Outcome::Busy) => {
                own.push_back((name, shard));
                busy += 1;
                continue;
            }
            // What is wrong with one shard is no reason to leave the others. What is wrong here is.
            Err(error @ (Error::Data(_) | Error::File { .. })) => done.add(&name, Err(error), &told),
            other => done.add(&name, Ok(other?), &told),
        }
        busy = 0;
        told.counter.set(done.made + done.there + done.failed.len());
    }
    if told.skipped > 0 {
        console
            .warn(&format!("{} pictures cannot be used and have no tokens: the reports list them", told.skipped), None);
    }
    Ok(())
}

/// The folder for tokens, the name of a single shard where the output is a file, and the form.
fn target(args: &EncodeShards, count: usize) -> Result<(PathBuf, Option<String>, TokenForm)> {
    let by_name = TokenForm::of(args.output).filter(|_| !args.output.is_dir());
    let Some(named) = by_name else {
        if args.output.is_file() {
            bail!("{} is a file: shards of tokens go into a folder", args.output.display());
        }
        return Ok((args.output.to_path_buf(), None, args.form.unwrap_or_default()));
    };
    if count > 1 {
        bail!(Usage(format!("{} would be one file, for {count} shards: name a folder", args.output.display())));
    }
    let form = args.form.unwrap_or(named);
    if form.extension() != named.extension() {
        bail!(Usage(format!("{} should end in .{}", args.output.display(), form.extension())));
    }
    let folder = match args.output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let name = args.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((folder, Some(name), form))
}

/// The model that was asked for, or the one that fits the first picture.
fn find_model(args: &EncodeShards, found: &FoundShards, settings: &Settings) -> Result<FoundModel> {
    if args.model.is_none() && matches!(found.shards[..], [Shard::Stdin]) && args.preprocess.size().is_none() {
        bail!(Usage(
            "name the model with --model: standard input is read once, so no picture can be looked at first"
                .to_string()
        ));
    }
    let size = || args.preprocess.size().or_else(|| found.first_size(settings.console));
    models::find_fitting(args.model, size, settings)
}

/// What is told while shards are encoded.
struct Told<'a> {
    console: &'a Console,
    counter: Counter,
    skipped: usize,
}

impl<'a> Told<'a> {
    fn new(console: &'a Console, shards: usize) -> Self {
        Self { console, counter: Counter::new(console, shards, "shards"), skipped: 0 }
    }

    fn tell(&mut self, shard: &str, event: TokenEvent) {
        if let TokenEvent::Skipped { key, reason } = event {
            self.skipped += 1;
            if self.skipped <= MOST_TOLD {
                self.console.warn(&format!("skipped {key} of {shard}: {reason}"), self.counter.bar());
            }
        }
    }
}

impl ShardsEncoded {
    fn add(&mut self, shard: &str, outcome: Result<Outcome, Error>, told: &Told) {
        match outcome {
            Ok(Outcome::Made(report)) => {
                let ShardReport { pictures, codes, bytes, skipped, .. } = *report;
                self.made += 1;
                self.pictures += pictures;
                self.codes += codes;
                self.bytes += bytes;
                self.skipped += skipped.len();
            }
            Ok(Outcome::There | Outcome::Busy) => self.there += 1,
            Err(error) => {
                let reason = error.to_string();
                told.console.warn(&format!("shard {shard} has no tokens: {reason}"), told.counter.bar());
                self.failed.push(FailedShard { shard: shard.to_string(), reason });
            }
        }
    }
}

impl Report for ShardsEncoded {
    fn blocks(&self) -> Vec<Block> {
        let there = if self.there > 0 { format!(", {} there already", self.there) } else { String::new() };
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        let mut blocks = vec![Block::Line(format!(
            "{} of {} shards made{there}: {}{skipped} → {} codes → {}, {}",
            self.made,
            self.shards,
            pictures(self.pictures),
            self.codes,
            self.output.display(),
            bytes(self.bytes),
        ))];
        if !self.failed.is_empty() {
            let names: Vec<&str> = self.failed.iter().map(|failed| failed.shard.as_str()).collect();
            blocks.push(Block::Line(format!("without tokens: {}", names.join(", "))));
        }
        blocks
    }

    fn exit_code(&self) -> u8 {
        if self.failed.is_empty() { 0 } else { FAILED }
    }
}
