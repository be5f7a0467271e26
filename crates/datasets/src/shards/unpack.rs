//! Compressed streams, known by their first bytes, and bounded in how much they may become.

use std::fs::File;
use std::io::{BufReader, Cursor, Error, Read, Result, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// A stream may unpack to this many bytes, and to this many times what was read of it. Pictures are compressed already;
/// what exceeds this is made to fill memory or disks.
const FREE: u64 = 64 << 20;
const RATIO: u64 = 200;

const BUFFER: usize = 1 << 17;

/// What a stream is compressed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    No,
    Gzip,
    Zstd,
}

impl Packed {
    /// By a stream's first bytes.
    ///
    /// # Errors
    /// It is compressed by something that is not read.
    pub fn of(head: &[u8]) -> Result<Self> {
        let named = |what: &str| Err(Error::other(format!("it is compressed by {what}: gzip and Zstandard are read")));
        match head {
            [0x1F, 0x8B, ..] => Ok(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => named("bzip2"),
            [0xFD, b'7', b'z', b'X', b'Z', ..] => named("xz"),
            [0x04, 0x22, 0x4D, 0x18, ..] => named("LZ4"),
            [b'P', b'K', 3, 4, ..] => Err(Error::other("it is a zip file: tar files are read")),
            [b'P', b'A', b'R', b'1', ..] => Err(Error::other("it is a Parquet file: it should end in .parquet")),
            _ => Ok(Self::No),
        }
    }
}

/// Whether a file is compressed; its first bytes are read again afterwards.
pub(super) fn is_packed(mut file: &File) -> Result<bool> {
    let mut head = Vec::new();
    file.take(6).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Packed::of(&head)? != Packed::No)
}

/// A stream as it is once it is unpacked.
pub(super) fn unpacked(mut input: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    input.by_ref().take(6).read_to_end(&mut head)?;
    let packed = Packed::of(&head)?;
    let read = Arc::new(AtomicU64::new(0));
    let input = Counted { input: BufReader::with_capacity(BUFFER, Cursor::new(head).chain(input)), read: read.clone() };
    Ok(match packed {
        Packed::No => Box::new(input.input),
        Packed::Gzip => Box::new(Bounded { input: MultiGzDecoder::new(BufReader::new(input)), read, made: 0 }),
        #[cfg(feature = "zstd")]
        Packed::Zstd => Box::new(Bounded { input: zstd::stream::read::Decoder::new(input)?, read, made: 0 }),
        #[cfg(not(feature = "zstd"))]
        Packed::Zstd => {
            return Err(Error::other("it is compressed by Zstandard, which was left out of this build"));
        }
    })
}

/// Counts what is read.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Ends where what was made is out of all proportion to what was read.
struct Bounded<R> {
    input: R,
    read: Arc<AtomicU64>,
    made: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.input.read(buffer)?;
        self.made += count as u64;
        let most = FREE.saturating_add(self.read.load(Ordering::Relaxed).saturating_mul(RATIO));
        if self.made > most {
            return Err(Error::other(format!("it unpacks to more than {RATIO} times its size, and is not read on")));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        unpacked(Cursor::new(bytes))?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn streams_are_unpacked_by_what_they_are() {
        let text = b"a tar file, say".to_vec();
        assert_eq!(read(text.clone()).unwrap(), text);
        assert_eq!(read(gzip(&text)).unwrap(), text);
        // As `cat a.gz b.gz` makes them.
        assert_eq!(read([gzip(&text), gzip(&text)].concat()).unwrap(), [&text[..], &text].concat());
        #[cfg(feature = "zstd")]
        assert_eq!(read(zstd::encode_all(&text[..], 1).unwrap()).unwrap(), text);
        assert_eq!(read(Vec::new()).unwrap(), b"");
        let mut cut = gzip(&text);
        cut.truncate(cut.len() - 9);
        assert!(read(cut).is_err());
        for (head, says) in [(&b"BZh91"[..], "bzip2"), (b"\xFD7zXZ\0", "xz"), (b"PK\x03\x04", "zip")] {
            assert!(read(head.to_vec()).unwrap_err().to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn what_would_fill_the_disk_ends() {
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        bomb.write_all(&vec![0; 100 << 20]).unwrap();
        let error = read(bomb.finish().unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.contains("times its size"), "{error}");
    }
}
