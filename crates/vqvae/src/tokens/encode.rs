//! One shard of pictures → its tokens.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use ksom_datasets::decode::Decoded;
use ksom_datasets::loading::{ShardAhead, ShardPiece};
use ksom_datasets::shards::{Member, ShardFile, ShardReader, read_shard, read_stream};
use ksom_datasets::{DatasetError, DecodeOptions, RgbImage};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::tokens::manifest::Manifest;
use crate::tokens::report::{ShardReport, count};
use crate::tokens::writer::TokenWriter;

/// Where a shard's pictures come from.
pub enum TokenSource<'a> {
    /// A file.
    File(&'a ShardFile),
    /// A tar file, compressed or not, as a stream.
    Stream {
        /// Its bytes.
        input: Box<dyn std::io::Read + Send>,
        /// Where it comes from, for people: `standard input`.
        origin: &'a str,
    },
}

impl TokenSource<'_> {
    fn open(self, decode: &DecodeOptions) -> Result<(ShardReader, String), DatasetError> {
        Ok(match self {
            Self::File(shard) => (read_shard(shard, decode)?, shard.path.display().to_string()),
            Self::Stream { input, origin } => (read_stream(input, Path::new(origin), decode)?, origin.to_string()),
        })
    }
}

/// What is told meanwhile.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokenEvent<'a> {
    /// So many more pictures are encoded.
    Encoded(usize),
    /// A picture is skipped.
    Skipped {
        /// Its key.
        key: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// Encodes a shard's pictures into `output`, batch by batch.
pub(super) fn encode(
    model: &Model,
    manifest: &Manifest,
    (name, source): (&str, TokenSource),
    output: &mut (dyn Write + Send),
    on_event: &mut dyn FnMut(TokenEvent),
) -> Result<ShardReport> {
    let begun = Instant::now();
    let mut report = ShardReport {
        shard: name.to_string(),
        model: manifest.model.clone(),
        fingerprint: manifest.fingerprint.clone(),
        ..ShardReport::default()
    };
    let decode = DecodeOptions::default();
    let (shard, input) = source.open(&decode)?;
    report.input = input;
    let mut output = Counting { output, bytes: 0 };
    let mut writer = TokenWriter::new(manifest, &mut output)?;
    let mut keys = HashSet::new();
    for batch in ShardAhead::new(shard, &decode, &manifest.preprocess) {
        let (mut samples, mut pictures) = (Vec::new(), Vec::new());
        for piece in batch {
            match piece {
                ShardPiece::Picture { key, .. } if !keys.insert(key.clone()) => {
                    skip(key, "its key is that of another sample".to_string(), &mut report, on_event);
                }
                ShardPiece::Picture { key, outcome: Ok(Decoded { pixels, remark }), others } => {
                    if let Some(remark) = remark {
                        count(&mut report.remarks, remark);
                    }
                    samples.push((key, others));
                    pictures.push(pixels);
                }
                ShardPiece::Picture { key, outcome: Err(error), .. } => {
                    skip(key, reason(error), &mut report, on_event);
                }
                ShardPiece::Without(_) => report.without_picture += 1,
                ShardPiece::PassedOver(kind) => count(&mut report.passed_over, &kind),
                ShardPiece::Broken(error) => return Err(error.into()),
            }
        }
        write(model, samples, &pictures, &mut writer, &mut report)?;
        on_event(TokenEvent::Encoded(pictures.len()));
    }
    writer.finish()?;
    output.flush().map_err(|error| Error::Invalid(error.to_string()))?;
    report.bytes = output.bytes;
    report.seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    Ok(report)
}

fn skip(key: String, reason: String, report: &mut ShardReport, on_event: &mut dyn FnMut(TokenEvent)) {
    on_event(TokenEvent::Skipped { key: &key, reason: &reason });
    report.skip(key, reason);
}

/// Why a picture cannot be used, without its name.
fn reason(error: DatasetError) -> String {
    match error {
        DatasetError::Image { reason, .. } => reason,
        DatasetError::TooLarge { width, height, max_pixels, .. } => {
            format!("it has {width}×{height} pixels, more than the {max_pixels} allowed")
        }
        DatasetError::Crop { size: (width, height), .. } => {
            format!("its {width}×{height} pixels are too few for the crop")
        }
        other => other.to_string(),
    }
}

fn write<W: Write + Send>(
    model: &Model,
    samples: Vec<(String, Vec<Member>)>,
    pictures: &[RgbImage],
    writer: &mut TokenWriter<W>,
    report: &mut ShardReport,
) -> Result<()> {
    for ((key, others), codes) in samples.into_iter().zip(model.encode_images(pictures)?) {
        report.pictures += 1;
        report.codes += codes.levels.iter().map(|grid| grid.codes.len() as u64).sum::<u64>();
        report.pixels += u64::from(codes.width) * u64::from(codes.height);
        writer.push(key, codes, &others, report)?;
    }
    Ok(())
}

/// Counts what is written.
struct Counting<'a> {
    output: &'a mut (dyn Write + Send),
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
