//! The file that describes an experiment, checked and with every recipe settled.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ksom_datasets::DataSpec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::files::read_text;
use crate::training::recipe::{RECIPES, Recipe};

/// The largest experiment file that is read, in bytes.
const MAX_EXPERIMENT_BYTES: u64 = 1 << 20;

/// The most configurations, seeds and runs of an experiment.
const MAX_CONFIGURATIONS: usize = 1024;
const MAX_SEEDS: usize = 1024;
const MAX_RUNS: usize = 10_000;

/// The longest name and label, in characters.
const MAX_NAME: usize = 64;
const MAX_LABEL: usize = 100;

/// A grid of configurations × seeds.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// The recipe that all configurations begin with.
    pub recipe: String,
    /// The pictures.
    pub data: DataSpec,
    /// One run of each configuration per seed, but of those that have their own.
    pub seeds: Vec<u64>,
    /// What is compared.
    pub configurations: Vec<Configuration>,
    /// The number of the configuration that the others are measured by.
    pub baseline: usize,
    /// Which configurations share a plot.
    pub figures: Vec<FigureGroup>,
    /// Whether the topology of each run's map is measured.
    pub topology: bool,
    /// Whether each run's best weights are measured on all validation pictures, however many a validation takes.
    pub full_validation: bool,
    /// What is compared over the number of codes.
    pub methods: Vec<Method>,
}

/// A method: configurations with more and more codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// What it is called in plots.
    pub label: String,
    /// The numbers of its configurations.
    pub configurations: Vec<usize>,
}

/// A configuration: the common recipe with overrides.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Its name, which is its folder's too.
    pub name: String,
    /// What it is called in tables and plots.
    pub label: String,
    /// A run for each.
    pub seeds: Vec<u64>,
    /// A recipe per seed.
    pub recipes: Vec<Recipe>,
}

/// Configurations whose curves are drawn together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureGroup {
    /// The beginning of its files' names.
    pub name: String,
    /// The numbers of the configurations.
    pub configurations: Vec<usize>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExperimentFile {
    name: String,
    recipe: String,
    #[serde(default)]
    data: Option<String>,
    seeds: Vec<u64>,
    #[serde(default)]
    set: Vec<String>,
    baseline: String,
    #[serde(default)]
    topology: bool,
    #[serde(default)]
    full_validation: bool,
    #[serde(default)]
    methods: Vec<MethodEntry>,
    configurations: Vec<ConfigurationEntry>,
    #[serde(default)]
    figures: Vec<FigureEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurationEntry {
    name: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    seeds: Option<Vec<u64>>,
    #[serde(default)]
    set: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodEntry {
    label: String,
    configurations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FigureEntry {
    name: String,
    configurations: Vec<String>,
}

/// One run of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunName {
    /// The number of its configuration.
    pub configuration: usize,
    /// The number of its seed among the configuration's.
    pub seed: usize,
}

impl Experiment {
    /// Reads an experiment file. `data` takes the place of the file's own data.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML of an experiment, asks for too many runs, or a recipe or override does not
    /// fit; the message names the file.
    pub fn find(path: &Path, data: Option<&DataSpec>) -> Result<Self> {
        let text = read_text(path, MAX_EXPERIMENT_BYTES)?;
        Self::parse(&text, path, data)
    }

    /// Parses the text of an experiment file; `path` is named in errors, and recipes are looked for beside it.
    ///
    /// # Errors
    /// As [`Experiment::find`].
    pub fn parse(text: &str, path: &Path, data: Option<&DataSpec>) -> Result<Self> {
        let invalid = |message: String| Error::file(path, message);
        let file: ExperimentFile =
            toml::from_str(text).map_err(|error| invalid(format!("expected an experiment: {error}")))?;
        file.check().map_err(invalid)?;
        let data = match (data, &file.data) {
            (Some(data), _) => data.clone(),
            (None, Some(data)) => data.parse().map_err(|error| invalid(format!("data: {error}")))?,
            (None, None) => return Err(Error::NoData { path: path.to_path_buf() }),
        };
        let recipe = recipe_place(&file.recipe, path);
        let mut configurations = Vec::with_capacity(file.configurations.len());
        for entry in &file.configurations {
            let recipe_of = |seed: &u64| {
                let seed = format!("training.seed={seed}");
                let overrides: Vec<String> = file.set.iter().chain(&entry.set).cloned().chain([seed]).collect();
                Recipe::find(&recipe, &overrides)
            };
            let seeds = entry.seeds.as_ref().unwrap_or(&file.seeds);
            let recipes: Result<Vec<Recipe>> = seeds.iter().map(recipe_of).collect();
            configurations.push(Configuration {
                name: entry.name.clone(),
                label: entry.label.clone().unwrap_or_else(|| entry.name.clone()),
                seeds: seeds.clone(),
                recipes: recipes.map_err(|error| invalid(format!("configuration {:?}: {error}", entry.name)))?,
            });
        }
        let number = |name: &str| configurations.iter().position(|known| known.name == name);
        let unknown = |name: &str| invalid(format!("there is no configuration {name:?}"));
        let baseline = number(&file.baseline).ok_or_else(|| unknown(&file.baseline))?;
        let numbers = |names: &[String]| -> Result<Vec<usize>> {
            names.iter().map(|name| number(name).ok_or_else(|| unknown(name))).collect()
        };
        let mut figures = Vec::with_capacity(file.figures.len());
        for entry in file.figures {
            figures.push(FigureGroup { name: entry.name, configurations: numbers(&entry.configurations)? });
        }
        let mut methods = Vec::with_capacity(file.methods.len());
        for entry in file.methods {
            methods.push(Method { label: entry.label, configurations: numbers(&entry.configurations)? });
        }
        if figures.is_empty() {
            figures.push(FigureGroup { name: "all".into(), configurations: (0..configurations.len()).collect() });
        }
        Ok(Self {
            name: file.name,
            path: path.to_path_buf(),
            recipe: file.recipe,
            data,
            seeds: file.seeds,
            configurations,
            baseline,
            figures,
            topology: file.topology,
            full_validation: file.full_validation,
            methods,
        })
    }

    /// The number of runs.
    pub fn runs(&self) -> usize {
        self.configurations.iter().map(|configuration| configuration.seeds.len()).sum()
    }

    /// A run's seed.
    pub fn seed_of(&self, run: RunName) -> u64 {
        self.configurations[run.configuration].seeds[run.seed]
    }

    /// A run's directory in the experiment's folder `dir`.
    pub fn run_dir(&self, dir: &Path, run: RunName) -> PathBuf {
        dir.join(&self.configurations[run.configuration].name).join(format!("seed-{}", self.seed_of(run)))
    }

    /// A run's recipe.
    pub fn recipe_of(&self, run: RunName) -> &Recipe {
        &self.configurations[run.configuration].recipes[run.seed]
    }

    /// All runs: every configuration with the first seed, then with the second, and so on.
    pub fn run_names(&self) -> impl Iterator<Item = RunName> + '_ {
        let most = self.configurations.iter().map(|configuration| configuration.seeds.len()).max().unwrap_or(0);
        (0..most).flat_map(move |seed| {
            let has_it = move |number: &usize| seed < self.configurations[*number].seeds.len();
            let numbers = (0..self.configurations.len()).filter(has_it);
            numbers.map(move |configuration| RunName { configuration, seed })
        })
    }
}

impl ExperimentFile {
    /// Checks names and numbers before any recipe is built.
    fn check(&self) -> std::result::Result<(), String> {
        let own = || self.configurations.iter().map(|entry| entry.seeds.as_ref().unwrap_or(&self.seeds));
        let fewest = own().map(Vec::len).chain([self.seeds.len()]).min().unwrap_or(0);
        let counts = [
            ("configurations", self.configurations.len(), MAX_CONFIGURATIONS),
            ("seeds", fewest, MAX_SEEDS),
            ("seeds", own().map(Vec::len).chain([self.seeds.len()]).max().unwrap_or(0), MAX_SEEDS),
            ("runs (configurations × seeds)", own().map(Vec::len).sum(), MAX_RUNS),
        ];
        if let Some((what, found, most)) = counts.iter().find(|(_, found, most)| !(1..=*most).contains(found)) {
            return Err(format!("expected 1 to {most} {what}, found {found}"));
        }
        if let Some(seed) = own().chain([&self.seeds]).find_map(|seeds| first_repeated(seeds)) {
            return Err(format!("seed {seed} is there twice"));
        }
        if self.figures.len() > MAX_CONFIGURATIONS {
            return Err(format!("expected at most {MAX_CONFIGURATIONS} figures, found {}", self.figures.len()));
        }
        for (what, names) in [
            ("configuration", self.configurations.iter().map(|entry| &entry.name).collect::<Vec<_>>()),
            ("figure", self.figures.iter().map(|entry| &entry.name).collect()),
        ] {
            if let Some(name) = names.iter().find(|name| !is_name(name)) {
                return Err(format!(
                    "a {what}'s name is part of file names: expected 1 to {MAX_NAME} letters a–z, digits, - and _, \
                     found {name:?}"
                ));
            }
            if let Some(name) = first_repeated(&names) {
                return Err(format!("{what} {name:?} is there twice"));
            }
        }
        if self.methods.len() > MAX_CONFIGURATIONS {
            return Err(format!("expected at most {MAX_CONFIGURATIONS} methods, found {}", self.methods.len()));
        }
        let labels = self.configurations.iter().filter_map(|entry| entry.label.as_ref()).chain([&self.name]);
        let labels = labels.chain(self.methods.iter().map(|method| &method.label));
        let is_label =
            |label: &str| (1..=MAX_LABEL).contains(&label.chars().count()) && !label.chars().any(char::is_control);
        if let Some(label) = labels.into_iter().find(|label| !is_label(label)) {
            return Err(format!(
                "expected a name or label of 1 to {MAX_LABEL} characters on one line, found {label:?}"
            ));
        }
        let mut overrides = self.set.iter().chain(self.configurations.iter().flat_map(|entry| &entry.set));
        let is_seed = |entry: &&String| {
            entry.split_once('=').is_some_and(|(key, _)| ["seed", "training.seed"].contains(&key.trim()))
        };
        match overrides.find(is_seed) {
            Some(entry) => Err(format!("seeds are listed in seeds = [...], found {entry:?} in set")),
            None => Ok(()),
        }
    }
}

/// Lower case, so that names stay different on file systems that ignore case.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

fn first_repeated<T: std::hash::Hash + Eq>(items: &[T]) -> Option<&T> {
    let mut seen = HashSet::new();
    items.iter().find(|item| !seen.insert(*item))
}

/// A recipe's name, or its file beside the experiment's.
fn recipe_place(recipe: &str, experiment: &Path) -> String {
    let built_in = RECIPES.iter().any(|(known, _)| *known == recipe);
    match experiment.parent() {
        Some(folder) if !built_in => folder.join(recipe).display().to_string(),
        _ => recipe.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        name = "small"
        recipe = "cifar10"
        data = "folder:pictures"
        seeds = [0, 7]
        set = ["steps=20"]
        baseline = "ema"
        [[configurations]]
        name = "ema"
        label = "EMA-VQ"
        set = ["neighborhood=none"]
        [[configurations]]
        name = "ksom"
    "#;

    fn parse(text: &str) -> Result<Experiment> {
        Experiment::parse(text, Path::new("x.toml"), None)
    }

    #[test]
    fn recipes_are_settled() {
        let experiment = parse(SMALL).unwrap();
        assert_eq!((experiment.runs(), experiment.baseline), (4, 0));
        let [ema, ksom] = &experiment.configurations[..] else { panic!("two configurations") };
        assert_eq!((ema.label.as_str(), ksom.label.as_str()), ("EMA-VQ", "ksom"));
        let training = &ksom.recipes[1].training;
        assert_eq!((training.steps, training.seed), (20, 7));
        assert_ne!(ema.recipes[0].quantizer, ksom.recipes[0].quantizer);
        // A configuration with seeds of its own.
        let text = SMALL.replace("name = \"ksom\"", "name = \"ksom\"\nseeds = [7]");
        let text = text + "[[methods]]\nlabel = \"both\"\nconfigurations = [\"ksom\", \"ema\"]\n";
        let own = parse(&text).unwrap();
        let runs: Vec<(usize, u64)> = own.run_names().map(|run| (run.configuration, own.seed_of(run))).collect();
        assert_eq!((own.runs(), runs), (3, vec![(0, 0), (1, 7), (0, 7)]));
        assert_eq!(own.methods[0].configurations, [1, 0]);
        let all = FigureGroup { name: "all".into(), configurations: vec![0, 1] };
        assert_eq!(experiment.figures, [all]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (from, to, says) in [
            ("[0, 7]", "[]", "1 to 1024 seeds"),
            ("[0, 7]", "[7, 7]", "seed 7 is there twice"),
            ("[0, 7]", "[-1]", "-1"),
            ("name = \"ksom\"", "name = \"../ksom\"", "../ksom"),
            ("name = \"ksom\"", "name = \"ksom\"\nseeds = []", "1 to 1024 seeds"),
            ("name = \"ksom\"", "name = \"ksom\"\nseeds = [3, 3]", "seed 3 is there twice"),
            ("name = \"ksom\"", "name = \"ema\"", "twice"),
            ("baseline = \"ema\"", "baseline = \"emma\"", "no configuration \"emma\""),
            ("neighborhood=none", "neighborhoods=none", "neighborhoods"),
            ("neighborhood=none", "training.seed=3", "seeds are listed"),
            ("\"cifar10\"", "\"cifar11\"", "cifar11"),
            ("folder:pictures", "floppy:pictures", "floppy"),
            ("data = \"folder:pictures\"", "", "names no data"),
            ("EMA-VQ", "a\\nb", "on one line"),
            ("topology", "", ""),
        ] {
            let text = if from == "topology" { format!("color = 3\n{SMALL}") } else { SMALL.replace(from, to) };
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.starts_with("x.toml: ") && error.contains(says), "{to}: {error}");
        }
        let many = format!("seeds = {:?}", (0..1025).collect::<Vec<_>>());
        assert!(parse(&SMALL.replace("seeds = [0, 7]", &many)).is_err());
    }
}
