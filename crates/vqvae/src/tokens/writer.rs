//! A shard of tokens in the making, of whatever form.

use std::io::Write;

use ksom_datasets::shards::Member;

use crate::codes::Packing;
use crate::codes::file::CodesFile;
use crate::codes::images::ImageCodes;
use crate::error::{Error, Result};
use crate::tokens::form::TokenForm;
use crate::tokens::manifest::Manifest;
use crate::tokens::parquet_writer::ParquetWriter;
use crate::tokens::report::{ShardReport, count};
use crate::tokens::tar_writer::TarWriter;

/// Takes pictures' codes one by one, and writes them.
pub(super) enum TokenWriter<W: Write + Send> {
    Parquet(Box<ParquetWriter<W>>),
    Tar(TarWriter<W>),
    Codes { file: CodesFile, packing: Packing, output: W },
}

impl<W: Write + Send> TokenWriter<W> {
    pub(super) fn new(manifest: &Manifest, output: W) -> Result<Self> {
        let codes = |packing, output| {
            let Manifest { model, fingerprint, grid, downsample, levels, .. } = manifest.clone();
            let (grid, names, images) = (Some(grid), Vec::new(), Vec::new());
            let file = CodesFile { model, fingerprint, grid, downsample, levels, names, images };
            Self::Codes { file, packing, output }
        };
        Ok(match manifest.form {
            TokenForm::Parquet => Self::Parquet(Box::new(ParquetWriter::new(manifest, output)?)),
            TokenForm::Tar => Self::Tar(TarWriter::new(manifest, output)?),
            TokenForm::Safetensors => codes(Packing::Plain, output),
            TokenForm::Packed => codes(Packing::Compressed, output),
        })
    }

    /// Takes a picture's codes and the other members of its sample; those that are not kept are counted.
    pub(super) fn push(
        &mut self,
        key: String,
        codes: ImageCodes,
        others: &[Member],
        report: &mut ShardReport,
    ) -> Result<()> {
        let mut lost = |extension: &str| count(&mut report.not_kept, &format!(".{extension}"));
        match self {
            Self::Parquet(writer) => writer.push(&key, &codes, others, lost),
            Self::Tar(writer) => writer.push(&key, &codes, others, lost),
            Self::Codes { file, .. } => {
                others.iter().for_each(|member| lost(&member.extension));
                file.names.push(key);
                file.images.push(codes);
                Ok(())
            }
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.finish(),
            Self::Tar(writer) => writer.finish(),
            Self::Codes { file, packing, mut output } => {
                output.write_all(&file.to_bytes(packing)?).map_err(|error| Error::Invalid(error.to_string()))
            }
        }
    }
}
