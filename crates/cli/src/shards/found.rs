//! The shards that a command line names: files, addresses, or standard input.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use anyhow::{Result, bail};
use ksom_datasets::files::PassedOver;
use ksom_datasets::shards::{Piece, ShardFile, ShardFiles, ShardReader, WebShard, read_shard, read_stream};
use ksom_datasets::{DecodeOptions, decode};
use ksom_vqvae::tokens::TokenSource;

use crate::console::Console;
use crate::failure::Usage;
use crate::files::STREAM;

/// So many pictures are looked at for one that can be read.
const MOST_LOOKED_AT: usize = 20;

/// What was found.
pub struct FoundShards {
    /// Sorted by name.
    pub shards: Vec<Shard>,
    pub passed_over: PassedOver,
}

/// A shard of pictures.
pub enum Shard {
    /// Standard input.
    Stdin,
    File(ShardFile),
    Web(WebShard),
}

/// Whether shards are meant by what is to be encoded: all of it, or nothing of it.
pub fn are_meant(inputs: &[OsString]) -> Result<bool> {
    let is_address = |input: &OsString| input.to_str().is_some_and(WebShard::is_address);
    let is_shard =
        |input: &OsString| input == STREAM || is_address(input) || ShardFiles::are_named_by(Path::new(input));
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

impl FoundShards {
    /// Finds the shards that `inputs` name.
    pub fn find(inputs: &[OsString]) -> Result<Self> {
        let passed_over = PassedOver::default();
        if inputs.iter().any(|input| input == STREAM) {
            if inputs.len() > 1 {
                bail!(Usage("- is standard input, which is one shard: name it alone".to_string()));
            }
            return Ok(Self { shards: vec![Shard::Stdin], passed_over });
        }
        let texts = inputs.iter().filter_map(|input| input.to_str());
        let addresses: Vec<&str> = texts.filter(|text| WebShard::is_address(text)).collect();
        if addresses.is_empty() {
            let ShardFiles { shards, passed_over } = ShardFiles::find(inputs)?;
            return Ok(Self { shards: shards.into_iter().map(Shard::File).collect(), passed_over });
        }
        if addresses.len() < inputs.len() {
            bail!(Usage("shards on the web and shards on this disk: encode each by themselves".to_string()));
        }
        let shards = WebShard::find(addresses)?;
        Ok(Self { shards: shards.into_iter().map(Shard::Web).collect(), passed_over })
    }

    /// The size of the first picture, where one can be looked at before its turn.
    pub fn first_size(&self, console: Console) -> Option<(u32, u32)> {
        let options = DecodeOptions::default();
        let picture = self.shards.first()?.read(&options, console)?.filter_map(|piece| match piece {
            Ok(Piece::Sample(sample)) => sample.picture,
            _ => None,
        });
        picture
            .take(MOST_LOOKED_AT)
            .find_map(|picture| decode::decode_bytes(&picture.bytes, "the first picture", &options).ok())
            .map(|decoded| decoded.pixels.dimensions())
    }
}

impl Shard {
    pub fn name(&self) -> &str {
        match self {
            Self::Stdin => "stdin",
            Self::File(shard) => &shard.name,
            Self::Web(shard) => shard.name(),
        }
    }

    /// What is to be encoded.
    pub fn source(&self, console: Console) -> Result<TokenSource<'_>> {
        Ok(match self {
            Self::Stdin => TokenSource::Stream { input: Box::new(std::io::stdin()), origin: "standard input" },
            Self::File(shard) => TokenSource::File(shard),
            Self::Web(shard) => TokenSource::Stream { input: fetch(shard, console)?, origin: shard.shown() },
        })
    }

    /// Reads it apart from its turn; nothing where it can be read once only, or not at all.
    fn read(&self, options: &DecodeOptions, console: Console) -> Option<ShardReader> {
        match self {
            Self::Stdin => None,
            Self::File(shard) => read_shard(shard, options).ok(),
            Self::Web(shard) => read_stream(fetch(shard, console).ok()?, Path::new(shard.shown()), options).ok(),
        }
    }
}

/// A shard's bytes, from the web.
#[cfg(feature = "hub")]
fn fetch(shard: &WebShard, console: Console) -> Result<Box<dyn Read + Send>> {
    let shown = shard.shown().to_string();
    Ok(Box::new(ksom_vqvae::tokens::WebStream::new(shard.address(), move |reason, wait| {
        console.note(&format!("{shown}: {reason}; again in {:.1} s", wait.as_secs_f64()));
    })))
}

#[cfg(not(feature = "hub"))]
fn fetch(_: &WebShard, _: Console) -> Result<Box<dyn Read + Send>> {
    bail!(crate::hub::LEFT_OUT)
}
