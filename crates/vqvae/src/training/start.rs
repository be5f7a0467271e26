//! How a training begins: from nothing, from a model, or from where it was left.

use std::path::Path;

use candle_core::DType;
use ksom_datasets::{DataSet, DataSpec, Normalization, Preprocess};
use ksom_kernels::AdamW;
use ksom_quantizers::MAX_STEPS;

use crate::checkpoint::finite;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{ModelConfig, Provenance, config_path};
use crate::record::writer::MetricsLog;
use crate::system::compute::Compute;
use crate::system::files::write_atomic;
use crate::training::access::DataAccess;
use crate::training::alike::model_of_first;
use crate::training::fitting::{SET_ASIDE, prepare};
use crate::training::footprint::require_for_training;
use crate::training::optimizer::Optimizer;
use crate::training::recipe::{NormalizationChoice, Recipe};
use crate::training::run_lock::RunLock;
use crate::training::sources::{Sources, fingerprint};
use crate::training::state::{Progress, TrainingState, check_resumable, training_path};
use crate::training::trainer::{Trainer, recipe_path};

/// A model to train on from.
pub struct Base {
    /// The model. One that was loaded for inference is made trainable.
    pub model: Model,
    /// Its name, for the record.
    pub name: String,
    /// Its commit, where it came from the Hub.
    pub revision: Option<String>,
}

impl Trainer {
    /// Starts a training in the run directory `run`, which is created and must not hold a training yet.
    ///
    /// With `base`, training goes on from that model: its architecture and quantizer take the place of the recipe's, and
    /// its codebook's step counter goes on, so that the neighborhood does not widen again, unless the recipe wants it
    /// to. The base model counts as the first result: if nothing better comes, it is what the run directory holds.
    ///
    /// # Errors
    /// The run directory holds a training ([`Error::TrainingExists`]), the data cannot be opened, or the model cannot be
    /// built.
    pub fn start(
        recipe: Recipe,
        spec: &DataSpec,
        access: &DataAccess,
        run: &Path,
        compute: &Compute,
        base: Option<Base>,
    ) -> Result<Self> {
        let team = &compute.team;
        if team.leads() {
            refuse_used(run)?;
        }
        let mut recipe = settled(recipe, base.as_ref());
        let data = access.open(spec, &recipe)?;
        let sources = Sources::of(spec, &access.options, &data, base.as_ref().map(|base| base.name.as_str()));
        let data = access.prepare(data, &mut recipe, base.as_ref().map(|base| base.model.config()), team)?;
        let trainer = Self::begin(recipe, (&spec.to_string(), &names(spec)), data, run, compute, base)?;
        if trainer.leads() {
            sources.write(run)?;
        }
        Ok(trainer)
    }

    /// As [`Trainer::start`], on a data set that the caller has made, of any
    /// [`ImageSource`](ksom_datasets::ImageSource); `name` is its name for the record. Such a training is resumed by
    /// [`Trainer::resume_on`].
    ///
    /// # Errors
    /// As [`Trainer::start`].
    pub fn start_on(
        recipe: Recipe,
        name: &str,
        mut data: DataSet,
        run: &Path,
        compute: &Compute,
        base: Option<Base>,
    ) -> Result<Self> {
        if compute.team.leads() {
            refuse_used(run)?;
        }
        let mut recipe = settled(recipe, base.as_ref());
        let enlarged = prepare(&mut data, &mut recipe, base.as_ref().map(|base| base.model.config()))?;
        let preprocess = recipe.data.preprocess();
        Self::begin(recipe, (name, name), (data, preprocess, enlarged), run, compute, base)
    }

    fn begin(
        mut recipe: Recipe,
        (spec, name): (&str, &str),
        (data, preprocess, enlarged): (DataSet, Preprocess, usize),
        run: &Path,
        compute: &Compute,
        base: Option<Base>,
    ) -> Result<Self> {
        let valid = data.valid.iter().map(|(_, source)| source.len()).sum();
        if data.train.is_empty() || valid == 0 {
            return Err(Error::TooFewImages { data: spec.to_string(), train: data.train.len(), valid });
        }
        let (architecture, quantizer) = (recipe.architecture.clone(), recipe.quantizer.clone());
        check_memory(&ModelConfig::new(architecture, quantizer), &recipe, &data, &preprocess, compute)?;
        let normalization = match recipe.data.normalization {
            NormalizationChoice::Measure => {
                compute.team.patient().first_makes(|| Ok(Normalization::measure(data.train.as_ref(), &preprocess)?))?
            }
            NormalizationChoice::Base => {
                return Err(Error::Invalid(
                    "the recipe takes normalization from a base model, but this is a training from scratch: set it to \
                     measure, imagenet or half"
                        .into(),
                ));
            }
            NormalizationChoice::Imagenet => Normalization::IMAGENET,
            NormalizationChoice::Half => Normalization::HALF,
            NormalizationChoice::Given(given) => given,
        };
        // Settled, so that resuming measures nothing anew.
        recipe.data.normalization = NormalizationChoice::Given(normalization);
        let (mut model, base_model, base_revision) = match base {
            Some(Base { model, name, revision }) if recipe.training.restart_neighborhood => {
                (model.restart_neighborhood()?, Some(name), revision)
            }
            Some(Base { model, name, revision }) => (model.into_trainable()?, Some(name), revision),
            None => {
                let config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
                (Model::init(&config, recipe.training.seed, compute)?, None, None)
            }
        };
        model.join(&compute.team);
        let mut model = model_of_first(model)?;
        check_steps(&model, recipe.training.steps)?;
        let mut preprocessing = model.config().preprocessing.clone();
        preprocessing.normalization = normalization;
        preprocessing.trained_size = recipe.data.size;
        model.set_preprocessing(preprocessing);
        model.set_provenance(Provenance {
            recipe: Some(recipe.name.clone()),
            data: Some(describe(name, &data)),
            seed: Some(recipe.training.seed),
            steps: Some(0),
            base_model,
            base_revision,
            written_by: Some(concat!("ksom ", env!("CARGO_PKG_VERSION")).to_string()),
        });
        let lock = match compute.team.leads() {
            true => {
                std::fs::create_dir_all(run).map_err(|source| Error::io("create", run, source))?;
                let lock = RunLock::acquire(run)?;
                refuse_used(run)?;
                write_atomic(&recipe_path(run), recipe.to_toml().as_bytes())?;
                Some(lock)
            }
            false => None,
        };
        let progress = Progress::new(spec.to_string(), fingerprint(data.train.as_ref()));
        let trainer = Self::assemble(recipe, (run, lock), model, (data, preprocess, enlarged), progress)?;
        if trainer.leads() {
            // The run directory is a model directory, and can be resumed, from the start.
            trainer.model.save(run, DType::F32)?;
            trainer.checkpoint()?;
        }
        trainer.check_alike()?;
        Ok(trainer)
    }

    /// Continues the training in `run` from its last checkpoint, to the same bits as if it had not been interrupted
    /// (with the same program, processor and number of threads). `spec` is only needed if the data have moved.
    ///
    /// # Errors
    /// There is no checkpoint ([`Error::NoTraining`]), or it does not fit the recipe, or the data are others.
    pub fn resume(run: &Path, spec: Option<&DataSpec>, access: &DataAccess, compute: &Compute) -> Result<Self> {
        let (lock, state, mut recipe, config) = left_in(run, compute)?;
        let (progress, options) = (&state.progress, recipe.data_options(&access.options));
        let (data, sources) = Sources::open(run, spec, &progress.data, &options, &progress.data_fingerprint)?;
        if let Some(changed) = sources.filter(|_| compute.team.leads()) {
            changed.write(run)?;
        }
        let name = progress.data.clone();
        let base = settled_base(&recipe, &config);
        let data = access.prepare(data, &mut recipe, base, &compute.team)?;
        Self::go_on((run, lock), (recipe, config), state, &name, data, compute)
    }

    /// As [`Trainer::resume`], for a training that [`Trainer::start_on`] started, on the same data set.
    ///
    /// # Errors
    /// As [`Trainer::resume`].
    pub fn resume_on(run: &Path, mut data: DataSet, compute: &Compute) -> Result<Self> {
        let (lock, state, mut recipe, config) = left_in(run, compute)?;
        let base = settled_base(&recipe, &config);
        let enlarged = prepare(&mut data, &mut recipe, base)?;
        let (name, preprocess) = (state.progress.data.clone(), recipe.data.preprocess());
        Self::go_on((run, lock), (recipe, config), state, &name, (data, preprocess, enlarged), compute)
    }

    fn go_on(
        (run, lock): (&Path, Option<RunLock>),
        (recipe, config): (Recipe, ModelConfig),
        state: TrainingState,
        name: &str,
        (data, preprocess, enlarged): (DataSet, Preprocess, usize),
        compute: &Compute,
    ) -> Result<Self> {
        if fingerprint(data.train.as_ref()) != state.progress.data_fingerprint {
            return Err(Error::Invalid(format!(
                "{name} does not hold the training images that {} was started with: their number or names have changed",
                run.display()
            )));
        }
        check_memory(&config, &recipe, &data, &preprocess, compute)?;
        let origin = training_path(run);
        let weights = finite(state.model, &origin)?;
        let model = Model::from_tensors(&config, weights, &origin.display().to_string(), compute, true)?;
        let mut trainer = Self::assemble(recipe, (run, lock), model, (data, preprocess, enlarged), state.progress)?;
        trainer.optimizer.restore(&state.optimizer, trainer.progress.step)?;
        trainer.check_alike()?;
        Ok(trainer)
    }

    fn assemble(
        recipe: Recipe,
        (run, lock): (&Path, Option<RunLock>),
        mut model: Model,
        (data, preprocess, enlarged): (DataSet, Preprocess, usize),
        progress: Progress,
    ) -> Result<Self> {
        model.train_only(recipe.training.only);
        model.weigh_errors(recipe.training.loss_color, recipe.training.loss_coarse);
        let t = &recipe.training;
        let processes = model.compute().team.size();
        if processes > t.batch_size {
            return Err(Error::Invalid(format!(
                "{processes} processes cannot share out a batch of {} pictures: take a larger batch_size or fewer \
                 processes",
                t.batch_size
            )));
        }
        let hyperparameters =
            AdamW { lr: t.lr, beta1: t.beta1, beta2: t.beta2, eps: t.eps, weight_decay: t.weight_decay };
        let optimizer = Optimizer::new(model.vars(), hyperparameters, t.clip_norm, model.compute().backend)?;
        let log = match lock.is_some() {
            true => Some(MetricsLog::open(&run.join("metrics.jsonl"), progress.step)?),
            false => None,
        };
        Ok(Self {
            recipe,
            run: run.to_path_buf(),
            model,
            optimizer,
            data,
            preprocess,
            enlarged,
            progress,
            log,
            _lock: lock,
            loader: None,
            asks: false,
            agreed: false,
        })
    }
}

/// What a training has left in a run directory, which the process that writes holds from now on.
fn left_in(run: &Path, compute: &Compute) -> Result<(Option<RunLock>, TrainingState, Recipe, ModelConfig)> {
    check_resumable(run)?;
    let lock = if compute.team.leads() { Some(RunLock::acquire(run)?) } else { None };
    let state = TrainingState::read(run)?;
    Ok((lock, state, Recipe::read(&recipe_path(run), &[])?, ModelConfig::read(&config_path(run))?))
}

/// The recipe with what comes from the base model.
fn settled(mut recipe: Recipe, base: Option<&Base>) -> Recipe {
    if let Some(base) = base {
        let config = base.model.config();
        recipe.architecture = config.architecture.clone();
        recipe.quantizer = config.quantizer.clone();
        if recipe.data.normalization == NormalizationChoice::Base {
            recipe.data.normalization = NormalizationChoice::Given(config.preprocessing.normalization);
        }
    }
    recipe
}

/// The configuration of a model that was trained on from another one, if the size was settled when that started: one that
/// was started without a size (by a version that did not look for one) goes on without.
fn settled_base<'a>(recipe: &Recipe, config: &'a ModelConfig) -> Option<&'a ModelConfig> {
    (config.provenance.base_model.is_some() && recipe.data.size.is_some()).then_some(config)
}

/// Refuses a training whose quantizers would have to count further than they can.
fn check_steps(model: &Model, steps: u64) -> Result<()> {
    let mut done = 0;
    for quantizer in model.quantizers() {
        done = done.max(quantizer.steps()?);
    }
    if done.saturating_add(steps) <= MAX_STEPS {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{steps} more steps after the {done} that the base model has taken are more than the {MAX_STEPS} that a \
         quantizer counts: take fewer, or restart the neighborhood"
    )))
}

/// Refuses a run directory that holds a training.
fn refuse_used(run: &Path) -> Result<()> {
    if training_path(run).exists() {
        return Err(Error::TrainingExists { run: run.to_path_buf() });
    }
    Ok(())
}

/// Refuses a training that does not fit into memory. Pictures that are not brought to one size are all as the first.
fn check_memory(
    config: &ModelConfig,
    recipe: &Recipe,
    data: &DataSet,
    preprocess: &Preprocess,
    compute: &Compute,
) -> Result<()> {
    config.validate().map_err(Error::Invalid)?;
    let size = match preprocess.size() {
        Some(size) => size,
        None => data.train.size(0)?,
    };
    require_for_training(config, &recipe.training, size, &compute.device)
}

/// The names of the training data, without the folders they lie in: the record goes where the model goes.
fn names(spec: &DataSpec) -> String {
    let names: Vec<_> = spec
        .members()
        .iter()
        .filter_map(|member| Some(member.path().file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.join(" + ")
}

/// The training data in words.
fn describe(name: &str, data: &DataSet) -> String {
    let validated: usize = data.valid.iter().map(|(_, source)| source.len()).sum();
    let aside = match data.test.as_slice() {
        [(name, source)] if name == SET_ASIDE => format!(", {} set aside to judge by", source.len()),
        _ => String::new(),
    };
    format!("{name}: {} images trained on, {validated} validated on{aside}", data.train.len())
}
