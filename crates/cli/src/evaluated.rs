//! Which pictures of a data set a model is measured on.

use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ksom_datasets::sets::{NamedSource, OnUnreadable};
use ksom_datasets::{DataOptions, DataSet, DataSpec, DatasetError, Preprocess, open};
use ksom_vqvae::training::{RECIPES, ResizeChoice};
use ksom_vqvae::{Error, Model, Recipe};
use serde::Serialize;

use crate::arguments::{data_spec, size};
use crate::console::Console;
use crate::left_out::{RemarksAtEnd, tell_left_out};
use crate::models::FoundModel;

/// Arguments of every command that measures a model on a data set.
#[derive(Args)]
pub struct PartArgs {
    /// The pictures: a path, or KIND:PATH as for `ksom train`
    #[arg(long, value_name = "DATA", value_parser = data_spec())]
    pub data: DataSpec,
    /// Which part of the data set; the split is that of the model's training where it is known [default: test if the
    /// data set has one, else its own validation part, else everything]
    #[arg(long, value_enum)]
    part: Option<PartName>,
    /// Squash pictures to this size [default: as in training where it is known, with the middle for a random part]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[u32; 2]>,
    /// Pictures that are computed together
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,
    /// Leave out pictures that cannot be read (all are tried once first), instead of stopping
    #[arg(long)]
    skip_unreadable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PartName {
    Train,
    Valid,
    Test,
    All,
}

/// The pictures, and what is done to each.
pub struct Chosen {
    pub part: PartName,
    pub sources: Vec<NamedSource>,
    pub preprocess: Preprocess,
    /// Tells at the end what was odd about pictures.
    pub _remarks: RemarksAtEnd,
}

/// An error on the way through a data set, with the option that helps.
pub fn advised(error: Error, doing: String) -> anyhow::Error {
    let advice = match &error {
        Error::Data(DatasetError::Sizes { .. } | DatasetError::Crop { .. }) => {
            " (--size WxH brings all pictures to one size)"
        }
        _ => "",
    };
    anyhow::Error::new(error).context(format!("{doing}{advice}"))
}

impl PartArgs {
    /// Opens the data and picks the part.
    pub fn choose(&self, found: &FoundModel, model: &Model, console: &Console) -> Result<Chosen> {
        let recipe = recipe_of(found, model)?;
        let on_unreadable = if self.skip_unreadable { OnUnreadable::Skip } else { OnUnreadable::Fail };
        let options = DataOptions { on_unreadable, ..DataOptions::default() };
        let options = recipe.as_ref().map_or(options, |recipe| recipe.data_options(&options));
        // Without a split, the training part is everything that is not the data set's own validation or test part.
        let unsplit =
            DataOptions { valid_fraction: 0.0, valid_from: Default::default(), valid_images: None, ..options };
        let wants_split = matches!(self.part, Some(PartName::Train | PartName::Valid));
        let data = open(&self.data, if wants_split { &options } else { &unsplit })?;
        tell_left_out(&data, console);
        let remarks = RemarksAtEnd::of(&data, console);
        let DataSet { train, valid, test, .. } = data;
        let train = vec![("train".to_string(), train)];
        let (part, sources) = match self.part {
            Some(PartName::Train) => (PartName::Train, train),
            Some(PartName::Valid) => (PartName::Valid, valid),
            Some(PartName::Test) => (PartName::Test, test),
            Some(PartName::All) => {
                let called = |sources: Vec<NamedSource>, part: &'static str| {
                    sources.into_iter().map(move |(name, source)| (format!("{name}, {part}"), source))
                };
                let all = train.into_iter().chain(called(valid, "validation")).chain(called(test, "test"));
                (PartName::All, all.collect())
            }
            None if !test.is_empty() => (PartName::Test, test),
            None if !valid.is_empty() => (PartName::Valid, valid),
            None => (PartName::All, train.into_iter().map(|(_, source)| ("all".to_string(), source)).collect()),
        };
        if sources.is_empty() {
            bail!("{} has no pictures in that part: choose another --part", self.data);
        }
        Ok(Chosen { part, sources, preprocess: self.prepare(recipe.as_ref(), model), _remarks: remarks })
    }

    /// What is done to pictures: as asked for, else as in training.
    fn prepare(&self, recipe: Option<&Recipe>, model: &Model) -> Preprocess {
        let trained_size = model.config().preprocessing.trained_size;
        match (self.size, recipe, trained_size) {
            (Some(size), _, _) => ResizeChoice::Squash.preprocess(size),
            (None, Some(recipe), _) => recipe.data.preprocess(),
            (None, None, Some(size)) => ResizeChoice::Squash.preprocess(size),
            (None, None, None) => Preprocess::default(),
        }
    }
}

/// The recipe that a model was trained by: its run directory's (which may be the folder above, for `last`), or the
/// built-in one of the recorded name and seed.
fn recipe_of(found: &FoundModel, model: &Model) -> Result<Option<Recipe>> {
    let folders = found.folder().into_iter().flat_map(|folder| [Some(folder), last_of(folder)]).flatten();
    if let Some(path) = folders.map(|folder| folder.join("recipe.toml")).find(|path| path.is_file()) {
        return Ok(Some(Recipe::read(&path, &[])?));
    }
    let provenance = &model.config().provenance;
    match provenance.recipe.as_deref().filter(|name| RECIPES.iter().any(|(known, _)| known == name)) {
        Some(name) => {
            let seed = format!("training.seed={}", provenance.seed.unwrap_or(0));
            Ok(Some(Recipe::find(name, &[seed])?))
        }
        None => Ok(None),
    }
}

/// The run directory whose folder `last` this is.
fn last_of(folder: &Path) -> Option<&Path> {
    folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "last"))
}
