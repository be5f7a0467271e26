//! The pages of a column in a Parquet file: how much memory they ask for, told from their headers before a reader
//! believes it. Headers are Thrift's compact protocol, as the Parquet format describes them.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom, Take};

/// What a page may ask for, however few bytes are stored of it.
const SMALL_PAGE: u64 = 64 << 20;
/// Bytes that a stored byte of a larger page may become: deflate makes 1,032 of one at most.
const MOST_PER_BYTE: u64 = 1100;
/// Bytes of a header at most: it may quote values, not pictures.
const LONGEST_HEADER: u64 = 1 << 20;
/// Structures within structures at most: the format has three.
const DEEPEST: usize = 8;

/// Refuses a column whose pages, `len` bytes from `start`, ask for far more memory than what is stored of them can fill.
pub fn check_pages(file: File, (start, len): (u64, u64)) -> Result<()> {
    let mut file = BufReader::new(file);
    let (mut at, end) = (start, start.saturating_add(len));
    while at < end {
        file.seek(SeekFrom::Start(at))?;
        let mut header = Header(file.by_ref().take(LONGEST_HEADER));
        let sizes = header.page_sizes().map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => invalid("a page's header has no end"),
            _ => error,
        });
        let (asked, stored) = sizes?;
        if asked > SMALL_PAGE.max(stored.saturating_mul(MOST_PER_BYTE)) {
            return Err(invalid(format!("a page of {stored} bytes claims to hold {asked}")));
        }
        at = at.saturating_add(LONGEST_HEADER - header.0.limit()).saturating_add(stored);
    }
    Ok(())
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what.into())
}

/// A page's header as it is read.
struct Header<'a>(Take<&'a mut BufReader<File>>);

impl Header<'_> {
    /// Reads to the end of the header: the page's size uncompressed (field 2) and as stored (field 3).
    fn page_sizes(&mut self) -> Result<(u64, u64)> {
        let mut sizes = [None; 2];
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (2 | 3, 5) => {
                    let size = u64::try_from(self.integer()?).map_err(|_| invalid("a page of negative size"))?;
                    sizes[usize::from(id == 3)] = Some(size);
                }
                _ => self.skip(kind, 0)?,
            }
        }
        match sizes {
            [Some(asked), Some(stored)] => Ok((asked, stored)),
            _ => Err(invalid("a page without its size")),
        }
    }

    /// The kind of a structure's next field, whose number becomes `id`; none at its end.
    fn field(&mut self, id: &mut i64) -> Result<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => self.integer()?,
            step => id.wrapping_add(i64::from(step)),
        };
        Ok(Some(byte & 15))
    }

    /// Skips a value that is none of a list's truth values, which take a byte there and none here.
    fn skip(&mut self, kind: u8, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(invalid("a page's header is nested too deeply"));
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.discard(1),
            4..=6 => self.integer().map(|_| ()),
            7 => self.discard(8),
            8 => {
                let len = self.varint()?;
                self.discard(len)
            }
            9 | 10 => {
                let head = self.byte()?;
                let len = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..len).try_for_each(|_| match head & 15 {
                    1 | 2 => self.discard(1),
                    kind => self.skip(kind, depth + 1),
                })
            }
            12 => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            kind => Err(invalid(format!("a page's header has a field of unknown kind {kind}"))),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(invalid("a number in a page's header is too long"))
    }

    /// A signed number: ZigZag.
    fn integer(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn discard(&mut self, len: u64) -> Result<()> {
        let read = std::io::copy(&mut self.0.by_ref().take(len), &mut std::io::sink())?;
        if read == len { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What is said of a column of these bytes.
    fn check(bytes: &[u8]) -> Result<()> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        check_pages(file, (0, bytes.len() as u64))
    }

    /// A header of type 0 that asks for `asked` bytes where `stored` follow, with a structure of `more` bytes.
    fn header(asked: u32, stored: u32, more: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x15, 0];
        for size in [asked, stored] {
            bytes.push(0x15);
            let mut rest = u64::from(size) << 1;
            while rest > 127 {
                bytes.push(rest as u8 | 128);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes.extend_from_slice(more);
        bytes.push(0);
        bytes
    }

    #[test]
    fn pages_that_ask_for_too_much_are_refused() {
        // A structure with a truth value, a double, text, a list of truth values and a list of numbers.
        let more = [0x2c, 0x11, 0x17, 1, 2, 3, 4, 5, 6, 7, 8, 0x18, 2, 9, 9, 0x19, 0x21, 1, 2, 0x19, 0x15, 7, 0];
        let page = |asked, stored: u32| [header(asked, stored, &more), vec![0xff; stored as usize]].concat();
        let pages = [page(10, 10), page(64 << 20, 1), page(1100 * (1 << 16), 1 << 16)].concat();
        check(&pages).unwrap();
        for page in [page((64 << 20) + 1, 1), page(u32::MAX >> 1, 1 << 16)] {
            let error = check(&[pages.clone(), page].concat()).unwrap_err().to_string();
            assert!(error.contains("claims to hold"), "{error}");
        }
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        let whole = header(10, 10, &[]);
        for len in 1..whole.len() {
            check(&whole[..len]).unwrap_err();
        }
        for (bytes, said) in [
            (&[0x15, 0, 0][..], "without its size"),
            (&[0x1d], "unknown kind 13"),
            (&[0x15, 0, 0x15, 1], "negative size"),
            (&[0x18, 255, 255, 255, 255, 15], "has no end"),
            (&[0x15, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], "too long"),
            (&[0x1c; 100], "nested too deeply"),
            (&[0x19, 0x1c, 0x19, 0xfc, 255, 255, 255, 255, 15], "has no end"),
        ] {
            let error = check(bytes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}, not {said}");
        }
    }
}
