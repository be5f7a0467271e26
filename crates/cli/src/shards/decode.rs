//! Shards of tokens → pictures.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ksom_vqvae::tokens::{TokenShard, find_token_shards};
use ksom_vqvae::zoo;
use serde::Serialize;

use crate::files::{FileNames, create_folder, create_folder_of, write_picture};
use crate::models;
use crate::output::{Block, Report, pictures};
use crate::progress::Counter;
use crate::settings::Settings;

/// What was written.
#[derive(Serialize)]
pub struct ShardsDecoded {
    model: String,
    output: PathBuf,
    shards: usize,
    pictures: usize,
}

/// The shards of tokens that are named, if that is what is.
pub fn named(inputs: &[PathBuf]) -> Result<Option<Vec<TokenShard>>> {
    Ok(find_token_shards(inputs)?)
}

/// Decodes shards: of one its pictures into `output`, of several each into a folder of its name.
pub fn decode(
    shards: &[TokenShard],
    output: &Path,
    overwrite: bool,
    model: Option<&str>,
    settings: &Settings,
) -> Result<ShardsDecoded> {
    let occupied = std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !overwrite {
        bail!("{} holds files already: choose another folder, or pass --overwrite to replace them", output.display());
    }
    let found = match (model, shards.first()) {
        (Some(name), _) => models::find(name, settings)?,
        (None, Some(first)) => models::built_in(zoo::find(&first.model()?).unwrap_or(zoo::default())),
        (None, None) => models::built_in(zoo::default()),
    };
    let model = found.load(&settings.compute()?)?;
    create_folder(output)?;
    let counter = Counter::new(&settings.console, shards.len(), "shards");
    let mut count = 0;
    for (number, shard) in shards.iter().enumerate() {
        let folder = if shards.len() > 1 { output.join(&shard.name) } else { output.to_path_buf() };
        let mut names = FileNames::default();
        let mut failed = None;
        let read = shard.read(&model, &mut |batch| {
            let (keys, codes): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            for (key, picture) in keys.iter().zip(model.decode_images(&codes)?) {
                // A key has no extension, and may hold dots above its last part alone.
                let path = folder.join(names.next(&format!("{key}.")));
                if let Err(error) = create_folder_of(&path).and_then(|()| write_picture(&path, &picture)) {
                    failed = Some(error);
                    return Err(ksom_vqvae::Error::Invalid("a picture cannot be written".to_string()));
                }
                count += 1;
            }
            Ok(())
        });
        if let Some(error) = failed {
            return Err(error);
        }
        read?;
        counter.set(number + 1);
    }
    Ok(ShardsDecoded { model: found.name, output: output.to_path_buf(), shards: shards.len(), pictures: count })
}

impl Report for ShardsDecoded {
    fn blocks(&self) -> Vec<Block> {
        vec![Block::Line(format!(
            "{} of {} shards decoded → {}",
            pictures(self.pictures),
            self.shards,
            self.output.display()
        ))]
    }
}
