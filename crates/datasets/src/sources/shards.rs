//! The pictures of tar shards, read where they lie.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use rayon::prelude::*;

use crate::decode::{DecodeOptions, decode_bytes};
use crate::error::DatasetError;
use crate::files::passed_over::PassedOver;
use crate::shards::{ShardFile, ShardIndex, unpack};
use crate::sources::remarks::Remarks;
use crate::sources::source::{ImageSource, Version, out_of_range};

/// So many shards are open at most, and so many bytes of compressed ones unpacked, apart from the one that is read.
const MOST_OPEN: usize = 256;
const MOST_UNPACKED: u64 = 8 << 30;

/// The pictures of tar shards. What is held in memory is where they lie: about 50 bytes for each, and its name. A picture is
/// read when it is asked for; a compressed shard is unpacked into a temporary file when the first of its pictures is, and
/// stays there as long as others do not need the place.
pub(crate) struct ShardSource {
    shards: Vec<Shard>,
    /// `ends[i]` is the number of pictures in the shards up to and with the i-th.
    ends: Vec<usize>,
    decode: DecodeOptions,
    remarks: Remarks,
    open: Mutex<VecDeque<Open>>,
}

struct Shard {
    name: String,
    path: PathBuf,
    version: Version,
    index: ShardIndex,
}

/// A shard that is open.
struct Open {
    shard: usize,
    file: Arc<File>,
    /// Bytes of the disk that it takes.
    unpacked: u64,
}

impl ShardSource {
    /// Looks at the shards' headers; what is no picture is passed over.
    ///
    /// # Errors
    /// When a shard cannot be read to its end.
    pub fn open(
        files: Vec<ShardFile>,
        decode: DecodeOptions,
        remarks: Remarks,
    ) -> Result<(Self, PassedOver), DatasetError> {
        let indexed: Vec<Result<Shard, DatasetError>> = files
            .into_par_iter()
            .map(|ShardFile { name, path, .. }| {
                let (version, index) = (Version::of(&path)?, ShardIndex::of(&path, &decode)?);
                Ok(Shard { name, path, version, index })
            })
            .collect();
        let (mut shards, mut ends, mut passed_over, mut end) = (Vec::new(), Vec::new(), PassedOver::default(), 0);
        for shard in indexed {
            let mut shard = shard?;
            passed_over.add(std::mem::take(&mut shard.index.passed_over));
            end += shard.index.pictures.len();
            ends.push(end);
            shards.push(shard);
        }
        Ok((Self { shards, ends, decode, remarks, open: Mutex::default() }, passed_over))
    }

    /// The shard that holds picture `index`, its number, and the picture's number there.
    fn at(&self, index: usize) -> Result<(&Shard, usize, usize), DatasetError> {
        let which = self.ends.partition_point(|end| *end <= index);
        let start = which.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let shard = self.shards.get(which).ok_or_else(|| out_of_range("shards", index, self.len()))?;
        Ok((shard, which, index - start))
    }

    /// The file that holds a shard's pictures.
    fn file(&self, shard: &Shard, number: usize) -> Result<Arc<File>, DatasetError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|open| open.shard == number)
            && let Some(known) = open.remove(at)
        {
            let file = known.file.clone();
            open.push_front(known);
            return Ok(file);
        }
        // Others wait meanwhile: they need this shard, too, or one of its neighbors.
        let file = match shard.index.packed {
            true => unpack(&shard.path)?,
            false => File::open(&shard.path).map_err(DatasetError::io("read", &shard.path))?,
        };
        let unpacked = if shard.index.packed { file.metadata().map_or(0, |metadata| metadata.len()) } else { 0 };
        let file = Arc::new(file);
        open.push_front(Open { shard: number, file: file.clone(), unpacked });
        while open.len() > 1
            && (open.len() > MOST_OPEN || open.iter().map(|open| open.unpacked).sum::<u64>() > MOST_UNPACKED)
        {
            open.pop_back();
        }
        Ok(file)
    }
}

impl ImageSource for ShardSource {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let (shard, number, within) = self.at(index)?;
        let name = self.name(index);
        let picture = shard.index.pictures[within];
        // Bounded when the shard was looked at.
        let mut bytes = vec![0; picture.length as usize];
        read_at(&*self.file(shard, number)?, &mut bytes, picture.start).map_err(|error| DatasetError::Shard {
            path: shard.path.clone(),
            reason: format!("{} cannot be read: {error}", shard.index.name(within)),
        })?;
        let decoded = decode_bytes(&bytes, &name, &self.decode)?;
        Ok(self.remarks.keep(decoded, || name))
    }

    fn name(&self, index: usize) -> String {
        self.at(index).map_or_else(
            |_| format!("#{index}"),
            |(shard, _, within)| format!("{}/{}", shard.name, shard.index.name(within)),
        )
    }

    fn label(&self, index: usize) -> Option<u32> {
        let (shard, _, within) = self.at(index).ok()?;
        shard.index.pictures[within].label
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        Ok(self.at(index)?.0.version)
    }

    fn runs(&self) -> Vec<usize> {
        self.shards.iter().map(|shard| shard.index.pictures.len()).collect()
    }
}

/// Fills the buffer from a place in a file, whatever other threads read.
#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, at)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
        at += count as u64;
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
