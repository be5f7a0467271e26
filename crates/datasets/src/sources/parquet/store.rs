//! Encoded images, kept in memory or, where they are too many, in a temporary file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;

use memmap2::Mmap;

use crate::error::DatasetError;

/// The encoded images, one after the other.
pub(super) enum Bytes {
    /// In memory.
    Memory(Vec<u8>),
    /// In a temporary file that is mapped.
    Mapped(Mmap),
}

impl Bytes {
    /// Those in a range; none where the range lies beyond what this machine can address.
    pub fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        let all: &[u8] = match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        };
        all.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }
}

/// Takes encoded images: in memory at first, in a temporary file once they are too many.
pub(super) struct Sink {
    memory: Vec<u8>,
    spilled: Option<BufWriter<File>>,
    written: u64,
    in_memory: u64,
}

impl Sink {
    /// Holds up to `in_memory` bytes in memory.
    pub fn new(in_memory: u64) -> Self {
        Self { memory: Vec::new(), spilled: None, written: 0, in_memory }
    }

    /// Takes an image's bytes, and tells where they lie.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Range<u64>, DatasetError> {
        let start = self.written;
        self.written += bytes.len() as u64;
        if self.spilled.is_none() && self.written > self.in_memory {
            let mut file = BufWriter::new(tempfile::tempfile().map_err(spilling())?);
            file.write_all(&self.memory).map_err(spilling())?;
            self.memory = Vec::new();
            self.spilled = Some(file);
        }
        match &mut self.spilled {
            Some(file) => file.write_all(bytes).map_err(spilling())?,
            None => self.memory.extend_from_slice(bytes),
        }
        Ok(start..self.written)
    }

    /// All that was taken.
    pub fn finish(self) -> Result<Bytes, DatasetError> {
        let Some(file) = self.spilled else {
            return Ok(Bytes::Memory(self.memory));
        };
        let file = file.into_inner().map_err(|error| spilling()(error.into_error()))?;
        // SAFETY: the file has no name (or is removed when it is closed), so nobody else changes it, and this
        // process writes to it no more. Bytes of any value may be decoded.
        Ok(Bytes::Mapped(unsafe { Mmap::map(&file) }.map_err(spilling())?))
    }
}

fn spilling() -> impl FnOnce(std::io::Error) -> DatasetError {
    DatasetError::io("write a temporary file in", std::env::temp_dir())
}
