//! A tar file's entries → samples.

use std::collections::VecDeque;
use std::io::Result;

use crate::files::formats::is_picture_name;
use crate::shards::entries::{Entries, Entry, Input, Kind};
use crate::shards::key::{leads_out, split_key};

/// The most bytes of a sample's other members together. More are passed over.
const MAX_OTHERS: u64 = 64 << 20;

/// An entry of this name, before all others, says something of the whole shard. WebDataset passes over such names.
pub const NOTE: &str = "__ksom__";

/// A member of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What follows its key's dot, in small letters: `jpg`, `cls`, `seg.png`.
    pub extension: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// What belongs together: a picture, its class, what else is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// What it is called in its shard.
    pub key: String,
    /// The first of its members that is a picture by its extension.
    pub picture: Option<Member>,
    /// The others, in their order.
    pub others: Vec<Member>,
}

/// What comes out of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A sample.
    Sample(Sample),
    /// An entry that belongs to no sample or is not read; in words, as of a kind.
    PassedOver(String),
}

/// The samples of a tar file, one after the other.
pub(super) struct Samples<R> {
    entries: Entries<R>,
    /// The most bytes of a picture.
    max_picture: u64,
    /// The sample whose members are being read.
    open: Option<Sample>,
    /// What is read and not handed out.
    ready: VecDeque<Piece>,
    ended: bool,
}

impl<R: Input> Samples<R> {
    pub fn new(input: R, max_picture: u64) -> Self {
        Self { entries: Entries::new(input), max_picture, open: None, ready: VecDeque::new(), ended: false }
    }

    /// Reads the next entry; false behind the last.
    fn advance(&mut self) -> Result<bool> {
        let Some(entry) = self.entries.next()? else {
            self.ready.extend(self.open.take().map(Piece::Sample));
            return Ok(false);
        };
        match place(&entry) {
            Ok(Some((key, extension))) => {
                if self.open.as_ref().is_none_or(|open| open.key != key) {
                    let before = self.open.replace(Sample { key, ..Sample::default() });
                    self.ready.extend(before.map(Piece::Sample));
                }
                let passed_over = self.member(extension)?;
                self.ready.extend(passed_over.map(Piece::PassedOver));
            }
            Ok(None) => {}
            Err(kind) => self.ready.push_back(Piece::PassedOver(kind)),
        }
        Ok(true)
    }

    /// Reads a member into the sample that is open; what is too large is told instead.
    fn member(&mut self, extension: String) -> Result<Option<String>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let is_picture = open.picture.is_none() && is_picture_name(&extension);
        let held: u64 = open.others.iter().map(|member| member.bytes.len() as u64).sum();
        let limit = if is_picture { self.max_picture } else { MAX_OTHERS - held.min(MAX_OTHERS) };
        let Some(bytes) = self.entries.read(limit)? else {
            return Ok(Some(format!("too large (.{extension})")));
        };
        let member = Member { extension, bytes };
        match is_picture {
            true => open.picture = Some(member),
            false => open.others.push(member),
        }
        Ok(None)
    }
}

impl<R: Input> Iterator for Samples<R> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            if self.ended {
                return None;
            }
            match self.advance() {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The sample that an entry belongs to, and its extension there. Nothing for folders; an error is what passes it over.
pub(super) fn place(entry: &Entry) -> std::result::Result<Option<(String, String)>, String> {
    match entry.kind {
        Kind::File => {}
        Kind::Folder => return Ok(None),
        Kind::Other(what) => return Err(what.to_owned()),
    }
    let Ok(name) = std::str::from_utf8(&entry.name) else { return Err("whose names are not Unicode".to_owned()) };
    if name.contains('\0') || leads_out(name) {
        return Err("whose names lead elsewhere".to_owned());
    }
    if name.split('/').next_back().is_some_and(|last| last.starts_with("__") && last.ends_with("__")) {
        // What WebDataset keeps for itself.
        return Ok(None);
    }
    let Some((key, extension)) = split_key(name) else { return Err("without a key and an extension".to_owned()) };
    Ok(Some((key.to_owned(), extension)))
}
