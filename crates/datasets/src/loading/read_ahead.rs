//! Pictures' files, decoded on threads ahead of who uses them.

use crate::decode::{DecodeOptions, Decoded, decode_file};
use crate::error::DatasetError;
use crate::files::picture_files::PictureFiles;
use crate::loading::ahead::{Ahead, Job, Made};

/// A picture that was read, or why it could not be.
#[derive(Debug)]
pub struct Read {
    /// Its number among the files.
    pub number: usize,
    /// Its name below what was asked for.
    pub name: String,
    /// Its pixels and what was odd about its file, or why it cannot be read.
    pub outcome: Result<Decoded, DatasetError>,
}

/// An iterator over batches of pictures, in order; each picture is decoded once, on one of a few threads.
///
/// Memory is bounded by the batch that was handed out last, one that waits, and a picture for each thread. What comes
/// out does not depend on the number of threads, of which there may be none where the system grants no more. Dropping
/// it stops and joins them.
pub struct ReadAhead {
    pictures: Ahead<Read>,
    total: usize,
}

impl ReadAhead {
    /// Starts to decode the given files.
    pub fn new(files: &PictureFiles, options: &DecodeOptions) -> Self {
        let files: Vec<_> = files.iter().map(|file| (file.path.clone(), file.name.clone())).collect();
        let (total, options) = (files.len(), *options);
        let jobs = files.into_iter().enumerate().map(move |(number, (path, name))| -> Job<Read> {
            Box::new(move || Read { number, name, outcome: decode_file(path, &options) })
        });
        Self { pictures: Ahead::new(jobs), total }
    }

    /// How many pictures have been handed out.
    pub fn done(&self) -> usize {
        self.pictures.done()
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.total
    }
}

impl Iterator for ReadAhead {
    type Item = Vec<Read>;

    fn next(&mut self) -> Option<Vec<Read>> {
        self.pictures.next()
    }
}

impl Made for Read {
    fn pixels(&self) -> usize {
        self.outcome.as_ref().map_or(0, |decoded| decoded.pixels.pixels().len())
    }
}
