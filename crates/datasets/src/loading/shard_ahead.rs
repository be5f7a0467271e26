//! A shard's pictures, decoded and brought to their size on threads ahead of who uses them.

use crate::decode::{DecodeOptions, Decoded, decode_bytes};
use crate::error::DatasetError;
use crate::loading::ahead::{Ahead, Job, Made};
use crate::loading::preprocess::Preprocess;
use crate::shards::{Member, Piece, Sample, ShardReader};

/// What became of a piece of a shard.
#[derive(Debug)]
pub enum ShardPiece {
    /// A sample's picture.
    Picture {
        /// The sample's key.
        key: String,
        /// Its picture, or why there is none that can be used.
        outcome: Result<Decoded, DatasetError>,
        /// The sample's other members.
        others: Vec<Member>,
    },
    /// A sample without a picture, by its key.
    Without(String),
    /// An entry that was passed over, by kind.
    PassedOver(String),
    /// The shard ends here, though it should not.
    Broken(DatasetError),
}

/// An iterator over batches of a shard's pictures, in order; see [`super::ReadAhead`].
pub struct ShardAhead(Ahead<ShardPiece>);

impl ShardAhead {
    /// Starts to read and decode.
    pub fn new(shard: ShardReader, decode: &DecodeOptions, preprocess: &Preprocess) -> Self {
        let (decode, preprocess) = (*decode, *preprocess);
        Self(Ahead::new(shard.map(move |piece| -> Job<ShardPiece> {
            Box::new(move || match piece {
                Ok(Piece::Sample(sample)) => decoded(sample, &decode, &preprocess),
                Ok(Piece::PassedOver(kind)) => ShardPiece::PassedOver(kind),
                Err(error) => ShardPiece::Broken(error),
            })
        })))
    }
}

fn decoded(sample: Sample, decode: &DecodeOptions, preprocess: &Preprocess) -> ShardPiece {
    let Sample { key, picture, others } = sample;
    let Some(Member { extension, bytes }) = picture else { return ShardPiece::Without(key) };
    let name = format!("{key}.{extension}");
    let outcome = decode_bytes(&bytes, &name, decode)
        .and_then(|Decoded { pixels, remark }| Ok(Decoded { pixels: preprocess.apply(pixels, &name, None)?, remark }));
    ShardPiece::Picture { key, outcome, others }
}

impl Iterator for ShardAhead {
    type Item = Vec<ShardPiece>;

    fn next(&mut self) -> Option<Vec<ShardPiece>> {
        self.0.next()
    }
}

impl Made for ShardPiece {
    fn pixels(&self) -> usize {
        match self {
            Self::Picture { outcome, others, .. } => {
                let pixels = outcome.as_ref().map_or(0, |decoded| decoded.pixels.pixels().len());
                // A pixel takes three bytes.
                pixels + others.iter().map(|member| member.bytes.len()).sum::<usize>() / 3
            }
            _ => 0,
        }
    }
}
