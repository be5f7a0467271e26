//! Shards of pictures → shards of tokens.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ksom_datasets::Preprocess;
use ksom_datasets::shards::{Piece, ShardFile, ShardFiles, read_shard};
use ksom_datasets::{DecodeOptions, decode};
use ksom_vqvae::tokens::{Manifest, Outcome, Part, ShardReport, TokenEvent, TokenFolder, TokenForm, TokenSource};
use ksom_vqvae::{Error, Model};
use serde::Serialize;

use crate::console::Console;
use crate::failure::{FAILED, Usage};
use crate::files::{STREAM, refuse_stream};
use crate::left_out::tell_passed_over;
use crate::models::{self, FoundModel};
use crate::output::{Block, Report, bytes, pictures};
use crate::progress::Counter;
use crate::settings::Settings;

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

/// Whether shards are meant by what is to be encoded: all of it, or nothing of it.
pub fn are_meant(inputs: &[OsString]) -> Result<bool> {
    let is_shard = |input: &OsString| input == STREAM || ShardFiles::are_named_by(Path::new(input));
    let Some(shard) = inputs.iter().find(|input| is_shard(input)) else { return Ok(false) };
    if let Some(other) = inputs.iter().find(|input| !is_shard(input)) {
        bail!(Usage(format!(
            "{} is a shard of many pictures, {} is not: encode shards by themselves",
            shard.display(),
            other.display()
        )));
    }
    Ok(true)
}

pub fn encode(args: EncodeShards, settings: &Settings) -> Result<ShardsEncoded> {
    refuse_stream(args.output)?;
    let is_stream = args.inputs.iter().any(|input| input == STREAM);
    if is_stream && args.inputs.len() > 1 {
        bail!(Usage("- is standard input, which is one shard: name it alone".to_string()));
    }
    let found = if is_stream { ShardFiles::default() } else { ShardFiles::find(args.inputs)? };
    tell_passed_over(&found.passed_over, &settings.console);
    let (folder, single, form) = target(&args, if is_stream { 1 } else { found.shards.len() })?;
    let part = super::part(if is_stream { Some(Part::ALL) } else { args.part }, &settings.console)?;
    let model_found = find_model(&args, &found.shards, settings)?;
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
    if is_stream {
        let name = single.unwrap_or_else(|| "stdin".to_string());
        let source = TokenSource::Stream(Box::new(std::io::stdin()), &name);
        let mut told = Told::new(&settings.console, 1);
        done.shards = 1;
        let outcome = tokens.encode(&model, source, true, &mut |event| told.tell(&name, event))?;
        done.add(&name, Ok(outcome), &told);
        return Ok(done);
    }
    let mut shards = found.shards;
    if let (Some(name), [shard]) = (single, &mut shards[..]) {
        shard.name = name;
    }
    let own: VecDeque<ShardFile> =
        shards.into_iter().enumerate().filter(|(number, _)| part.has(*number)).map(|(_, shard)| shard).collect();
    done.shards = own.len();
    run(&tokens, &model, own, &mut done, &settings.console)?;
    Ok(done)
}

/// Encodes shards; those that other processes are at come last, and are waited for.
fn run(
    tokens: &TokenFolder,
    model: &Model,
    mut own: VecDeque<ShardFile>,
    done: &mut ShardsEncoded,
    console: &Console,
) -> Result<()> {
    let mut told = Told::new(console, own.len());
    let mut busy = 0;
    while let Some(shard) = own.pop_front() {
        let wait = busy > own.len();
        let outcome = tokens.encode(model, TokenSource::File(&shard), wait, &mut |event| told.tell(&shard.name, event));
        match outcome {
            Ok(Outcome::Busy) => {
                own.push_back(shard);
                busy += 1;
                continue;
            }
            // What is wrong with one shard is no reason to leave the others. What is wrong here is.
            Err(error @ (Error::Data(_) | Error::File { .. })) => done.add(&shard.name, Err(error), &told),
            other => done.add(&shard.name, Ok(other?), &told),
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
fn find_model(args: &EncodeShards, shards: &[ShardFile], settings: &Settings) -> Result<FoundModel> {
    let first = || {
        let pieces = read_shard(shards.first()?, &DecodeOptions::default()).ok()?;
        let picture = pieces.filter_map(|piece| match piece {
            Ok(Piece::Sample(sample)) => sample.picture,
            _ => None,
        });
        let options = DecodeOptions::default();
        picture
            .take(MOST_TOLD)
            .find_map(|picture| decode::decode_bytes(&picture.bytes, "the first picture", &options).ok())
            .map(|decoded| decoded.pixels.dimensions())
    };
    if args.model.is_none() && shards.is_empty() && args.preprocess.size().is_none() {
        bail!(Usage(
            "name the model with --model: standard input is read once, so no picture can be looked at first"
                .to_string()
        ));
    }
    models::find_fitting(args.model, || args.preprocess.size().or_else(first), settings)
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
