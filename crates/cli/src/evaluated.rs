//! Which pictures of a data set a model is measured on.

use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ksom_datasets::sets::{NamedSource, OnUnreadable};
use ksom_datasets::{DataOptions, DataSet, DataSpec, DatasetError, Preprocess, open};
use ksom_vqvae::training::{RECIPES, ResizeChoice, set_aside};
use ksom_vqvae::{Error, Model, Recipe};
use serde::Serialize;

use crate::arguments::{data_spec, size};
use crate::console::Console;
use crate::left_out::{RemarksAtEnd, tell_left_out};
use crate::models::FoundModel;
use crate::output::{grouped, pictures, sides};

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
    /// Squash pictures to this size [default: pictures are whole, each at its own size, whatever the model]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[u32; 2]>,
    /// Prepare pictures as the model's training did for its validations, with the middle for a random part
    #[arg(long, conflicts_with = "size")]
    as_trained: bool,
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
    /// Which pictures these are, of how many, in words.
    pub taken: String,
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
        let unsplit = DataOptions {
            valid_fraction: 0.0,
            train_fraction: 1.0,
            valid_from: Default::default(),
            valid_images: None,
            ..options
        };
        let wants_split = self.part.is_some_and(|part| part != PartName::All);
        let mut data = open(&self.data, if wants_split { &options } else { &unsplit })?;
        if let Some(recipe) = recipe.as_ref().filter(|_| wants_split) {
            set_aside(&mut data, recipe)?;
        }
        tell_left_out(&data, console);
        let remarks = RemarksAtEnd::of(&data, console);
        // Shares that a recipe leaves out count, too.
        let all = if wants_split { count(&open(&self.data, &unsplit)?) } else { count(&data) };
        let DataSet { train, valid, test, .. } = data;
        let train = vec![(self.name(), train)];
        let (part, sources, what) = match self.part {
            Some(PartName::Train) => (PartName::Train, train, "the training part"),
            Some(PartName::Valid) => (PartName::Valid, valid, "the validation part"),
            Some(PartName::Test) => (PartName::Test, test, "the test part"),
            Some(PartName::All) => {
                let named = |sources: Vec<NamedSource>, part| {
                    sources.into_iter().map(move |(name, source)| (format!("{name}, {part}"), source))
                };
                let parts = named(train, "training").chain(named(valid, "validation")).chain(named(test, "test"));
                (PartName::All, parts.collect(), "all")
            }
            None if !test.is_empty() => (PartName::Test, test, "the test part"),
            None if !valid.is_empty() => (PartName::Valid, valid, "the validation part"),
            None => (PartName::All, train, "all"),
        };
        let images = sources.iter().map(|(_, source)| source.len()).sum::<usize>();
        if images == 0 {
            bail!("{} has no pictures in that part: choose another --part", self.data);
        }
        let taken = match what {
            "all" => format!("all of its {}", pictures(images)),
            what => format!("{} of {}: {what}", grouped(images), pictures(all)),
        };
        self.tell_of_training(part, model, console);
        Ok(Chosen { part, sources, preprocess: self.prepare(recipe.as_ref(), model), taken, _remarks: remarks })
    }

    /// Says so where a model is measured on pictures that it may have learned.
    fn tell_of_training(&self, part: PartName, model: &Model, console: &Console) {
        let trained_on = model.config().provenance.data.as_deref().and_then(|data| data.rsplit_once(':'));
        if part == PartName::All && trained_on.is_some_and(|(name, _)| name == self.name()) {
            let name = self.name();
            console.note(&format!(
                "the model was trained on a part of data of this name ({name}); --part valid takes those it was not \
                 trained on"
            ));
        }
    }

    /// The data as somebody would name them: with plus signs as they are in paths.
    pub fn shown(data: &DataSpec) -> String {
        data.to_string().replace("++", "+")
    }

    /// The data's name without the folders they lie in.
    pub fn name(&self) -> String {
        let names = self.data.members().iter().filter_map(|member| member.path().file_name());
        names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(" + ")
    }

    /// How pictures are taken, in words.
    pub fn manner(&self) -> String {
        match self.size {
            Some(size) => format!("brought to {}", sides(&size)),
            None if self.as_trained => "prepared as in training".to_string(),
            None => "whole, at their own size".to_string(),
        }
    }

    /// What is done to pictures: as asked for, else nothing.
    fn prepare(&self, recipe: Option<&Recipe>, model: &Model) -> Preprocess {
        let trained_size = model.config().preprocessing.trained_size;
        match (self.size, recipe, trained_size) {
            (Some(size), _, _) => ResizeChoice::Squash.preprocess(size),
            (None, Some(recipe), _) if self.as_trained => recipe.data.preprocess(),
            (None, None, Some(size)) if self.as_trained => ResizeChoice::Squash.preprocess(size),
            _ => Preprocess::default(),
        }
    }
}

fn count(data: &DataSet) -> usize {
    let sets = data.valid.iter().chain(&data.test).map(|(_, source)| source.len());
    data.train.len() + sets.sum::<usize>()
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
