//! Shards of tokens, read again.

use std::path::{Path, PathBuf};

use ksom_datasets::DecodeOptions;
use ksom_datasets::shards::{NOTE, Piece, ShardFile, ShardFiles, ShardKind, read_note, read_shard};

use crate::codes::file::CodesFile;
use crate::codes::images::{CodeGrid, ImageCodes};
use crate::codes::npy;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tokens::form::TokenForm;
use crate::tokens::manifest::{MAX_BYTES, Manifest};
use crate::tokens::parquet_reader::{ParquetReader, TakeTokens};
use crate::tokens::tar_writer::SIZE;

/// How many pictures' codes are handed out together.
const BATCH: usize = 256;

/// A shard of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenShard {
    /// Its name below what was asked for, without its extension.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its form.
    pub form: TokenForm,
}

/// The shards of tokens that inputs name: folders, patterns, Parquet and tar files. Nothing where the inputs are something
/// else, such as codes files.
///
/// # Errors
/// Shards are named together with something else, or a folder holds none.
pub fn find_token_shards(inputs: &[PathBuf]) -> Result<Option<Vec<TokenShard>>> {
    let names_shards = |input: &PathBuf| input.is_dir() || ShardFile::kind_of(input).is_some();
    if !inputs.iter().any(names_shards) {
        return Ok(None);
    }
    let mut shards = Vec::new();
    for input in inputs {
        if !names_shards(input) {
            return Err(Error::file(input, "shards of tokens are decoded by themselves, without other codes"));
        }
        let before = shards.len();
        if input.is_dir() {
            list(input, input, &mut shards)?;
        } else {
            for ShardFile { name, path, kind } in ShardFiles::find([input])?.shards {
                let form = if kind == ShardKind::Tar { TokenForm::Tar } else { TokenForm::Parquet };
                shards.push(TokenShard { name, path, form });
            }
        }
        if shards.len() == before {
            return Err(Error::file(input, "expected shards of tokens (.parquet, .tar or .safetensors), found none"));
        }
    }
    shards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(shards))
}

fn list(root: &Path, folder: &Path, shards: &mut Vec<TokenShard>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|source| Error::io("list", folder, source))?.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Folders are not entered by links, which may lead in circles.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(root, &path, shards)?;
        } else if let Some(form) = TokenForm::of(&path).filter(|_| path.is_file()) {
            let below = path.strip_prefix(root).unwrap_or(&path).with_extension("");
            let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            shards.push(TokenShard { name: parts.join("/"), path, form });
        }
    }
    Ok(())
}

impl TokenShard {
    /// The name of the model that made the tokens.
    ///
    /// # Errors
    /// The shard does not say.
    pub fn model(&self) -> Result<String> {
        match self.form {
            TokenForm::Safetensors | TokenForm::Packed => Ok(CodesFile::read(&self.path)?.model),
            TokenForm::Tar | TokenForm::Parquet => Ok(self.manifest()?.model),
        }
    }

    /// What made the tokens, as the shard itself says.
    fn manifest(&self) -> Result<Manifest> {
        let unknown = || {
            let expected = "expected a shard of tokens, as ksom writes";
            Error::file(&self.path, format!("{expected}, found nothing that says which model its codes belong to"))
        };
        let json = match self.form {
            TokenForm::Tar => {
                let note = read_note(&self.path, NOTE, MAX_BYTES)?.ok_or_else(unknown)?;
                String::from_utf8(note).map_err(|_| unknown())?
            }
            _ => ParquetReader::open(&self.path)?.about().ok_or_else(unknown)?,
        };
        Manifest::parse(&json, &self.path)
    }

    /// Hands out all pictures' keys and codes, which were checked against the model, in batches.
    ///
    /// # Errors
    /// The shard is damaged, its tokens are those of another model, or `take` fails.
    pub fn read(&self, model: &Model, take: &mut TakeTokens) -> Result<()> {
        if matches!(self.form, TokenForm::Safetensors | TokenForm::Packed) {
            let file = CodesFile::read(&self.path)?;
            file.check(model, &self.path)?;
            let mut all: Vec<_> = file.names.into_iter().zip(file.images).collect();
            while !all.is_empty() {
                let rest = all.split_off(all.len().min(BATCH));
                take(std::mem::replace(&mut all, rest))?;
            }
            return Ok(());
        }
        let manifest = self.manifest()?;
        let Manifest { model: name, fingerprint, grid, downsample, levels, .. } = manifest.clone();
        // What a codes file checks: that codes mean something to the model.
        let (grid, names, images) = (Some(grid), Vec::new(), Vec::new());
        let mut empty = CodesFile { model: name, fingerprint, grid, downsample, levels, names, images };
        empty.check(model, &self.path)?;
        let mut checked = |batch: Vec<(String, ImageCodes)>| {
            (empty.names, empty.images) = batch.into_iter().unzip();
            for (name, image) in empty.names.iter().zip(&empty.images) {
                image.validate(model).map_err(|message| Error::file(&self.path, format!("{name}: {message}")))?;
            }
            take(std::mem::take(&mut empty.names).into_iter().zip(std::mem::take(&mut empty.images)).collect())
        };
        match self.form {
            TokenForm::Tar => self.read_tar(&manifest, &mut checked),
            _ => ParquetReader::open(&self.path)?.read(&manifest.levels, BATCH, &mut checked),
        }
    }

    fn read_tar(&self, manifest: &Manifest, take: &mut TakeTokens) -> Result<()> {
        let file = ShardFile { name: self.name.clone(), path: self.path.clone(), kind: ShardKind::Tar };
        let mut batch = Vec::new();
        for piece in read_shard(&file, &DecodeOptions::default())? {
            let Piece::Sample(sample) = piece? else { continue };
            let member = |extension: &str| {
                let found = sample.others.iter().find(|member| member.extension == extension);
                found.map(|member| &member.bytes[..]).ok_or_else(|| {
                    Error::file(&self.path, format!("{}: expected a member .{extension}, found none", sample.key))
                })
            };
            #[derive(serde::Deserialize)]
            struct Size {
                width: u32,
                height: u32,
            }
            let Size { width, height } = serde_json::from_slice(member(SIZE)?)
                .map_err(|error| Error::file(&self.path, format!("{}.{SIZE}: {error}", sample.key)))?;
            let mut levels = Vec::new();
            for level in &manifest.levels {
                let array = npy::read(member(&format!("{level}.npy"))?, &self.path)?;
                let [height, width] = array.shape[..] else {
                    let message = format!("{}: expected codes [h, w], found {:?}", sample.key, array.shape);
                    return Err(Error::file(&self.path, message));
                };
                levels.push(CodeGrid { height, width, codes: array.values });
            }
            batch.push((sample.key, ImageCodes { width, height, levels }));
            if batch.len() == BATCH {
                take(std::mem::take(&mut batch))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { take(batch) }
    }
}
