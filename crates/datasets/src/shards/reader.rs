//! A shard as a stream of samples.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::decode::DecodeOptions;
use crate::error::DatasetError;
use crate::shards::entries::{Entries, Stream};
use crate::shards::find::{ShardFile, ShardKind};
use crate::shards::samples::{Piece, Samples};
use crate::shards::unpack::unpacked;
use crate::sources::parquet::ParquetRows;

/// The most bytes of a picture in a shard. Larger ones are passed over.
const MAX_PICTURE: u64 = 256 << 20;

/// The samples of a shard, one after the other; memory is bounded by one of them (of a Parquet file, by a page). The first
/// error ends it.
pub struct ShardReader {
    pieces: Pieces,
    path: PathBuf,
}

enum Pieces {
    Tar(Samples<Stream<Box<dyn Read + Send>>>),
    Parquet(Box<ParquetRows>),
}

/// Opens a shard.
///
/// # Errors
/// It cannot be opened, or is no shard of its kind.
pub fn read_shard(shard: &ShardFile, decode: &DecodeOptions) -> Result<ShardReader, DatasetError> {
    let path = &shard.path;
    // Before it is opened: to open a pipe is to wait for its other end.
    let metadata = std::fs::metadata(path).map_err(DatasetError::io("read", path))?;
    if !metadata.is_file() {
        return Err(refused(path, "expected a file, found a folder, pipe or device"));
    }
    match shard.kind {
        ShardKind::Tar => {
            let file = File::open(path).map_err(DatasetError::io("read", path))?;
            read_stream(file, path, decode)
        }
        ShardKind::Parquet => {
            let rows = Box::new(ParquetRows::open(path, max_picture(decode))?);
            Ok(ShardReader { pieces: Pieces::Parquet(rows), path: path.clone() })
        }
    }
}

/// Reads a tar file, compressed or not, from a stream; `path` is what errors call it.
///
/// # Errors
/// Its first bytes cannot be read, or are those of something else.
pub fn read_stream(
    input: impl Read + Send + 'static,
    path: &Path,
    decode: &DecodeOptions,
) -> Result<ShardReader, DatasetError> {
    let input = unpacked(input).map_err(|error| refused(path, error))?;
    let pieces = Pieces::Tar(Samples::new(Stream(input), max_picture(decode)));
    Ok(ShardReader { pieces, path: path.to_path_buf() })
}

/// The first entry of a tar file, if it is called `name` and has at most `limit` bytes.
///
/// # Errors
/// It cannot be read, or is no tar file.
pub fn read_note(path: &Path, name: &str, limit: u64) -> Result<Option<Vec<u8>>, DatasetError> {
    let file = File::open(path).map_err(DatasetError::io("read", path))?;
    let read = || {
        let mut entries = Entries::new(Stream(unpacked(file)?));
        match entries.next()? {
            Some(entry) if entry.name == name.as_bytes() => entries.read(limit),
            _ => Ok(None),
        }
    };
    read().map_err(|error: std::io::Error| refused(path, error))
}

pub(super) fn max_picture(decode: &DecodeOptions) -> u64 {
    decode.max_bytes().min(MAX_PICTURE)
}

pub(super) fn refused(path: &Path, reason: impl ToString) -> DatasetError {
    DatasetError::Shard { path: path.to_path_buf(), reason: reason.to_string() }
}

impl Iterator for ShardReader {
    type Item = Result<Piece, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.pieces {
            Pieces::Tar(samples) => Some(samples.next()?.map_err(|error| refused(&self.path, error))),
            Pieces::Parquet(rows) => rows.next(),
        }
    }
}
