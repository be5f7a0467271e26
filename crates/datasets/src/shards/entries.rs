//! The entries of a tar file, one after the other: headers are read by the crate `tar`, and bounded before they are
//! believed.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

use tar::{EntryType, Header, PaxExtensions};

const BLOCK: u64 = 512;

/// The longest name that is read, and the longest extended header.
const MAX_NAME: u64 = 4096;
const MAX_EXTENDED: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// What is passed over, in words.
    Other(&'static str),
}

/// An entry, whose data come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Bytes of its data in the file.
    pub size: u64,
    /// Where its data begin.
    pub start: u64,
}

/// What entries are read from.
pub(super) trait Input: Read {
    /// Goes on so many bytes; fewer where the input ends.
    fn skip(&mut self, bytes: u64) -> Result<()>;
}

/// An input that can only be read.
pub(super) struct Stream<R>(pub R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Input for Stream<R> {
    fn skip(&mut self, bytes: u64) -> Result<()> {
        match std::io::copy(&mut self.0.by_ref().take(bytes), &mut std::io::sink())? {
            skipped if skipped == bytes => Ok(()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// An input of known length in which one can go anywhere.
pub(super) struct Seeking<R> {
    input: R,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Seeking<R> {
    pub fn new(mut input: R) -> Result<Self> {
        let length = input.seek(SeekFrom::End(0))?;
        input.seek(SeekFrom::Start(0))?;
        Ok(Self { input, at: 0, length })
    }
}

impl<R: Read> Read for Seeking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.input.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<R: Read + Seek> Input for Seeking<R> {
    fn skip(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.length - self.at.min(self.length) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.at += bytes;
        // At most the file's length.
        self.input.seek_relative(bytes as i64)
    }
}

/// The entries of a tar file.
pub(super) struct Entries<R> {
    input: R,
    at: u64,
    /// What is left of the current entry's data, and of its last block.
    data: u64,
    padding: u64,
    ended: bool,
}

impl<R: Input> Entries<R> {
    pub fn new(input: R) -> Self {
        Self { input, at: 0, data: 0, padding: 0, ended: false }
    }

    /// The next entry; `None` behind the last.
    ///
    /// # Errors
    /// The input cannot be read, is no tar file, or ends before its end is marked.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let (mut name, mut size, mut sparse) = (None, None, false);
        loop {
            self.skip(self.data + self.padding)?;
            (self.data, self.padding) = (0, 0);
            let Some(header) = self.header()? else {
                self.ended = true;
                // To the end, so that checksums behind the data are compared and a pipe is not broken.
                std::io::copy(&mut self.input, &mut std::io::sink())?;
                return Ok(None);
            };
            let kind = header.entry_type();
            self.data = match size {
                Some(size) if !is_extension(kind) => size,
                _ => header.entry_size().map_err(|_| damaged("the size of an entry is no number"))?,
            };
            self.padding =
                self.data.checked_next_multiple_of(BLOCK).ok_or_else(|| damaged("an entry is too large"))? - self.data;
            match kind {
                EntryType::GNULongName => {
                    let mut long = self.read(MAX_NAME)?.ok_or_else(|| damaged("a name is too long"))?;
                    long.truncate(long.iter().position(|byte| *byte == 0).unwrap_or(long.len()));
                    name = Some(long);
                }
                EntryType::XHeader => {
                    let extended = self.read(MAX_EXTENDED)?.ok_or_else(|| damaged("an extended header is too long"))?;
                    for extension in PaxExtensions::new(&extended) {
                        let extension = extension.map_err(|_| damaged("an extended header is malformed"))?;
                        match extension.key_bytes() {
                            b"path" if extension.value_bytes().len() as u64 > MAX_NAME => {
                                return Err(damaged("a name is too long"));
                            }
                            b"path" => name = Some(extension.value_bytes().to_vec()),
                            b"size" => size = extension.value().ok().and_then(|text| text.parse().ok()),
                            key => sparse |= key.starts_with(b"GNU.sparse."),
                        }
                    }
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {}
                kind => {
                    if kind == EntryType::GNUSparse {
                        self.skip_sparse_map(&header)?;
                    }
                    let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
                    let kind = match kind {
                        _ if sparse => Kind::Other("that are sparse"),
                        EntryType::Directory => Kind::Folder,
                        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Folder,
                        EntryType::Regular | EntryType::Continuous => Kind::File,
                        EntryType::Link | EntryType::Symlink => Kind::Other("that are links"),
                        EntryType::GNUSparse => Kind::Other("that are sparse"),
                        _ => Kind::Other("that are pipes or devices"),
                    };
                    return Ok(Some(Entry { name, kind, size: self.data, start: self.at }));
                }
            }
        }
    }

    /// The current entry's data; `None` where they are more than `limit`.
    pub fn read(&mut self, limit: u64) -> Result<Option<Vec<u8>>> {
        if self.data > limit {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        // Memory grows with what is there, whatever the header says.
        let read = self.input.by_ref().take(self.data).read_to_end(&mut bytes)? as u64;
        self.at += read;
        if read < self.data {
            return Err(cut_short());
        }
        self.data = 0;
        Ok(Some(bytes))
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        self.at += bytes;
        self.input.skip(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_short(),
            _ => error,
        })
    }

    /// A block; `None` where the input is at its end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>> {
        let mut bytes = Vec::with_capacity(BLOCK as usize);
        self.input.by_ref().take(BLOCK).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        match <[u8; BLOCK as usize]>::try_from(bytes) {
            Ok(block) => Ok(Some(block)),
            Err(bytes) if bytes.is_empty() => Ok(None),
            Err(_) => Err(cut_short()),
        }
    }

    /// The next header; `None` at the mark of the end, an empty block.
    fn header(&mut self) -> Result<Option<Header>> {
        let at = self.at;
        let Some(block) = self.block()? else {
            return Err(match at {
                0 => damaged("it is empty (0 bytes)"),
                _ => cut_short(),
            });
        };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum counts its own field as blanks.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
        if header.cksum().ok() != Some(expected) {
            return Err(damaged(&match at {
                0 => "it is no tar file".to_owned(),
                _ => format!("it is damaged: at byte {at} there should be the header of an entry"),
            }));
        }
        Ok(Some(header))
    }

    /// A sparse file's map may go on in blocks of its own, which its size does not count.
    fn skip_sparse_map(&mut self, header: &Header) -> Result<()> {
        let mut goes_on = header.as_gnu().is_some_and(|gnu| gnu.is_extended());
        while goes_on {
            let block = self.block()?.ok_or_else(cut_short)?;
            // Behind 21 pieces of 24 bytes.
            goes_on = block[504] == 1;
        }
        Ok(())
    }
}

/// Whether an entry says something of the next one.
fn is_extension(kind: EntryType) -> bool {
    matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader)
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

fn cut_short() -> Error {
    damaged("it is cut short: the end of the tar file is missing")
}
