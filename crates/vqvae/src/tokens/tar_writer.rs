//! Tokens as a tar file: `KEY.codes.npy` beside the members of each sample that are kept.

use std::io::Write;

use ksom_datasets::shards::{Member, NOTE};
use tar::{Builder, EntryType, Header};

use crate::codes::images::ImageCodes;
use crate::codes::npy;
use crate::codes::numbers::Width;
use crate::error::{Error, Result};
use crate::tokens::manifest::{Manifest, width_of};

/// What a picture's size in pixels is written as.
pub(super) const SIZE: &str = "size.json";

/// So many bytes of a name fit into a header.
const SHORT: usize = 100;

pub(super) struct TarWriter<W: Write> {
    tar: Builder<W>,
    levels: Vec<String>,
    width: Width,
}

impl<W: Write> TarWriter<W> {
    pub(super) fn new(manifest: &Manifest, output: W) -> Result<Self> {
        let mut writer =
            Self { tar: Builder::new(output), levels: manifest.levels.clone(), width: width_of(manifest.num_codes) };
        writer.member(NOTE, manifest.to_json().as_bytes())?;
        Ok(writer)
    }

    pub(super) fn push(
        &mut self,
        key: &str,
        codes: &ImageCodes,
        others: &[Member],
        mut lost: impl FnMut(&str),
    ) -> Result<()> {
        let mut taken = vec![SIZE.to_string()];
        for (level, grid) in self.levels.clone().iter().zip(&codes.levels) {
            let extension = format!("{level}.npy");
            let array = npy::to_bytes(&[grid.height, grid.width], grid.codes.iter().copied(), self.width);
            self.member(&format!("{key}.{extension}"), &array)?;
            taken.push(extension);
        }
        let size = format!("{{\"width\": {}, \"height\": {}}}", codes.width, codes.height);
        self.member(&format!("{key}.{SIZE}"), size.as_bytes())?;
        for Member { extension, bytes } in others {
            if taken.contains(extension) {
                lost(extension);
                continue;
            }
            self.member(&format!("{key}.{extension}"), bytes)?;
            taken.push(extension.clone());
        }
        Ok(())
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let failed = |error: std::io::Error| Error::Invalid(error.to_string());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        let short = &name.as_bytes()[..name.len().min(SHORT)];
        if short.len() < name.len() {
            self.tar.append_pax_extensions([("path", name.as_bytes())]).map_err(failed)?;
        }
        // As it is: keys are not ours to tidy up.
        header.as_old_mut().name[..short.len()].copy_from_slice(short);
        header.set_cksum();
        self.tar.append(&header, bytes).map_err(failed)
    }

    pub(super) fn finish(self) -> Result<()> {
        let ended = self.tar.into_inner().and_then(|mut output| output.flush());
        ended.map_err(|error| Error::Invalid(error.to_string()))
    }
}
