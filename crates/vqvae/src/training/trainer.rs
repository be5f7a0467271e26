//! Training: batches → model → loss → optimizer → checkpoint, reporting events as it goes.
//!
//! A run directory is a model directory (`config.json` and `model.safetensors` of the best validation so far) with
//! `recipe.toml`, `metrics.jsonl`, `training.safetensors` (the state to continue from), `.lock` (held while a training runs) and `last/` (the model at the
//! last step, once the run has ended or was stopped).

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Tensor};
use ksom_datasets::{Batch, DataOptions, DataSet, DataSpec, ImageSource, Loader, LoaderOptions, Order, Preprocess};
use ksom_kernels::AdamW;

use crate::checkpoint::{finite, is_finite};
use crate::error::{Error, Result};
use crate::evaluation::{EvaluateOptions, evaluate};
use crate::model::Model;
use crate::model::config::{ModelConfig, Provenance};
use crate::record::writer::MetricsLog;
use crate::system::compute::Compute;
use crate::system::files::write_atomic;
use crate::system::memory;
use crate::training::events::{Event, Flow, StepReport, Summary, ValidationReport};
use crate::training::fitting::{SET_ASIDE, fit_size, set_aside};
use crate::training::optimizer::Optimizer;
use crate::training::recipe::{NormalizationChoice, Recipe};
use crate::training::run_lock::RunLock;
use crate::training::samples::write_samples;
use crate::training::state::{Best, Progress, TrainingState, check_resumable, training_path};
use crate::training::step::{StepOutcome, train_step};

/// A model to train on from.
pub struct Base {
    /// The model, loaded for training.
    pub model: Model,
    /// Its name, for the record.
    pub name: String,
    /// Its commit, where it came from the Hub.
    pub revision: Option<String>,
}

/// How a training reads its pictures; none of it changes what is learned.
#[derive(Clone, Debug, Default)]
pub struct DataAccess {
    /// Decoding, unreadable files, memory. (Seed and split are the recipe's.)
    pub options: DataOptions,
    /// A folder for decoded pixels in memory-mapped files, written first where they are missing or stale: for sets of
    /// large pictures that do not fit in memory.
    pub cache: Option<PathBuf>,
}

impl DataAccess {
    /// The data set, and what is left to do to each picture. A recipe that leaves the size open is given the one that
    /// fits the pictures and the model `base` to train on from; the third is how many pictures are enlarged.
    fn open(
        &self,
        spec: &DataSpec,
        recipe: &mut Recipe,
        base: Option<&ModelConfig>,
    ) -> Result<(DataSet, Preprocess, usize)> {
        let mut data = ksom_datasets::open(spec, &recipe.data_options(&self.options))?;
        set_aside(&mut data, recipe)?;
        let enlarged = base.map_or(Ok(0), |base| fit_size(&data, recipe, base))?;
        let preprocess = recipe.data.preprocess();
        match &self.cache {
            None => Ok((data, preprocess, enlarged)),
            Some(folder) => {
                if let Some(size) = preprocess.size() {
                    memory::require_for_pictures(1, size)?;
                }
                Ok((data.cached(&preprocess, folder)?, preprocess.remaining(), enlarged))
            }
        }
    }
}

/// A training under way.
pub struct Trainer {
    recipe: Recipe,
    run: PathBuf,
    model: Model,
    optimizer: Optimizer,
    data: DataSet,
    preprocess: Preprocess,
    enlarged: usize,
    progress: Progress,
    log: MetricsLog,
    _lock: RunLock,
}

impl Trainer {
    /// Starts a training in the run directory `run`, which is created and must not hold a training yet.
    ///
    /// With `base`, training goes on from that model: its architecture and quantizer take the place of the recipe's, and
    /// its codebook's step counter goes on, so that the neighborhood does not widen again, unless the recipe wants it
    /// to. The base model counts as the first result: if nothing better comes, it is what the run directory holds.
    ///
    /// # Errors
    /// The run directory holds a training, the data cannot be opened, or the model cannot be built.
    pub fn start(
        mut recipe: Recipe,
        spec: &DataSpec,
        access: &DataAccess,
        run: &Path,
        compute: &Compute,
        base: Option<Base>,
    ) -> Result<Self> {
        refuse_used(run)?;
        if let Some(base) = &base {
            let config = base.model.config();
            recipe.architecture = config.architecture.clone();
            recipe.quantizer = config.quantizer.clone();
            if recipe.data.normalization == NormalizationChoice::Base {
                recipe.data.normalization = NormalizationChoice::Given(config.preprocessing.normalization);
            }
        }
        let base_config = base.as_ref().map(|base| base.model.config());
        let (data, preprocess, enlarged) = access.open(spec, &mut recipe, base_config)?;
        if data.train.is_empty() || data.valid.iter().all(|(_, source)| source.is_empty()) {
            return Err(Error::Invalid(format!(
                "{spec} leaves {} images to train on and none to validate on: training needs both; give more pictures or \
                 another --set valid_fraction",
                data.train.len()
            )));
        }
        let (architecture, quantizer) = (recipe.architecture.clone(), recipe.quantizer.clone());
        check_memory(&ModelConfig::new(architecture, quantizer), &recipe, &data, &preprocess)?;
        let normalization = match recipe.data.normalization {
            NormalizationChoice::Measure => ksom_datasets::Normalization::measure(data.train.as_ref(), &preprocess)?,
            NormalizationChoice::Base => {
                return Err(Error::Invalid(
                    "the recipe takes normalization from a base model, but this is a training from scratch: set it to \
                     measure, imagenet or half"
                        .into(),
                ));
            }
            NormalizationChoice::Imagenet => ksom_datasets::Normalization::IMAGENET,
            NormalizationChoice::Half => ksom_datasets::Normalization::HALF,
            NormalizationChoice::Given(given) => given,
        };
        // Settled, so that resuming measures nothing anew.
        recipe.data.normalization = NormalizationChoice::Given(normalization);
        let (mut model, base_model, base_revision) = match base {
            Some(Base { model, name, revision }) if recipe.training.restart_neighborhood => {
                (model.restart_neighborhood()?, Some(name), revision)
            }
            Some(Base { model, name, revision }) => (model, Some(name), revision),
            None => {
                let config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
                (Model::init(&config, recipe.training.seed, compute)?, None, None)
            }
        };
        let config = model.config_mut();
        config.preprocessing.normalization = normalization;
        config.preprocessing.trained_size = recipe.data.size;
        config.provenance = Provenance {
            recipe: Some(recipe.name.clone()),
            data: Some(describe(spec, &data)),
            seed: Some(recipe.training.seed),
            steps: Some(0),
            base_model,
            base_revision,
            written_by: Some(concat!("ksom ", env!("CARGO_PKG_VERSION")).to_string()),
        };
        std::fs::create_dir_all(run).map_err(|source| Error::io("create", run, source))?;
        let lock = RunLock::acquire(run)?;
        refuse_used(run)?;
        write_atomic(&recipe_path(run), recipe.to_toml().as_bytes())?;
        let progress = Progress::new(spec.to_string(), fingerprint(data.train.as_ref()));
        let trainer = Self::assemble(recipe, (run, lock), model, (data, preprocess, enlarged), progress)?;
        // The run directory is a model directory, and can be resumed, from the start.
        trainer.model.save(run, DType::F32)?;
        trainer.write_state()?;
        Ok(trainer)
    }

    /// Continues the training in `run` from its last checkpoint, to the same bits as if it had not been interrupted
    /// (with the same program, processor and number of threads). `spec` is only needed if the data have moved.
    ///
    /// # Errors
    /// There is no checkpoint, or it does not fit the recipe, or the data are others.
    pub fn resume(run: &Path, spec: Option<&DataSpec>, access: &DataAccess, compute: &Compute) -> Result<Self> {
        check_resumable(run)?;
        let lock = RunLock::acquire(run)?;
        let state = TrainingState::read(run)?;
        let mut recipe = Recipe::read(&recipe_path(run), &[])?;
        let config = ModelConfig::read(&crate::model::config::config_path(run))?;
        let base = config.provenance.base_model.as_ref().map(|_| &config);
        let stored: DataSpec;
        let spec = match spec {
            Some(spec) => spec,
            None => {
                stored = state.progress.data.parse()?;
                &stored
            }
        };
        let (data, preprocess, enlarged) = access.open(spec, &mut recipe, base)?;
        if fingerprint(data.train.as_ref()) != state.progress.data_fingerprint {
            return Err(Error::Invalid(format!(
                "{spec} does not hold the training images that {} was started with: their number or names have changed",
                run.display()
            )));
        }
        check_memory(&config, &recipe, &data, &preprocess)?;
        let origin = training_path(run);
        let weights = finite(state.model, &origin)?;
        let model = Model::from_tensors(&config, weights, &origin.display().to_string(), compute, true)?;
        let mut trainer = Self::assemble(recipe, (run, lock), model, (data, preprocess, enlarged), state.progress)?;
        trainer.optimizer.restore(&state.optimizer, trainer.progress.step)?;
        Ok(trainer)
    }

    fn assemble(
        recipe: Recipe,
        (run, lock): (&Path, RunLock),
        mut model: Model,
        (data, preprocess, enlarged): (DataSet, Preprocess, usize),
        progress: Progress,
    ) -> Result<Self> {
        model.train_only(recipe.training.only);
        let t = &recipe.training;
        let hyperparameters =
            AdamW { lr: t.lr, beta1: t.beta1, beta2: t.beta2, eps: t.eps, weight_decay: t.weight_decay };
        let optimizer = Optimizer::new(model.vars(), hyperparameters, t.clip_norm, model.compute().backend)?;
        let log = MetricsLog::open(&run.join("metrics.jsonl"), progress.step)?;
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
        })
    }

    /// Sets how many steps the training takes in all, and writes it into the run directory's recipe.
    ///
    /// # Errors
    /// `steps` is fewer than are done, or the recipe cannot be written.
    pub fn train_to(&mut self, steps: u64) -> Result<()> {
        if steps < self.progress.step {
            let done = self.progress.step;
            return Err(Error::Invalid(format!("{done} steps are done already: ask for more than {steps}")));
        }
        if steps != self.recipe.training.steps {
            self.recipe.training.steps = steps;
            write_atomic(&recipe_path(&self.run), self.recipe.to_toml().as_bytes())?;
        }
        Ok(())
    }

    /// The model as it stands.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The recipe with every choice settled.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The data set in use.
    pub fn data(&self) -> &DataSet {
        &self.data
    }

    /// Steps done so far.
    pub fn steps_done(&self) -> u64 {
        self.progress.step
    }

    /// What is done to each picture of [`Trainer::data`].
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// How many pictures to train or validate on are smaller than the recipe's size, and so are enlarged to it; counted
    /// where a model is trained on.
    pub fn enlarged(&self) -> usize {
        self.enlarged
    }

    /// Whether nothing is left to do: all steps are done, or validation has stopped getting better.
    fn is_done(&self) -> bool {
        let t = &self.recipe.training;
        let limit = t.patience.saturating_mul(t.validate_every);
        let stalled = self.progress.best.is_some_and(|best| self.progress.step.saturating_sub(best.step) >= limit);
        self.progress.step >= t.steps || (t.patience > 0 && stalled)
    }

    /// Takes all steps that are left, and tells `on_event` of each; it can ask to stop.
    ///
    /// # Errors
    /// A picture cannot be read, a file cannot be written, or a loss is not finite ([`Error::NotFinite`]): the last
    /// checkpoint is then as it was.
    pub fn run(&mut self, on_event: &mut dyn FnMut(Event) -> Flow) -> Result<Summary> {
        let recipe = self.recipe.training.clone();
        let mut loader = self.loader()?;
        let mut stop = false;
        let mut speed = Speed::default();
        let fresh = self.progress.step == 0 && self.progress.best.is_none();
        if fresh && self.model.config().provenance.base_model.is_some() {
            stop |= self.validate(on_event)? == Flow::Stop;
            self.write_state()?;
        }
        while !self.is_done() && !stop {
            let started = Instant::now();
            let Some(batch) = loader.next() else { break };
            let batch = batch?;
            self.check_sides(&batch)?;
            let mut report = self.step(&batch.pixels)?;
            speed.add(recipe.batch_size, started);
            report.images_per_s = speed.images_per_s();
            let step = report.step;
            if step.is_multiple_of(recipe.log_every) {
                self.log.append("train", &report)?;
                speed = Speed::default();
            }
            stop |= on_event(Event::Step(report)) == Flow::Stop;

            if step.is_multiple_of(recipe.validate_every) || step == recipe.steps {
                stop |= self.validate(on_event)? == Flow::Stop;
            }
            let last = self.is_done();
            if step.is_multiple_of(recipe.checkpoint_every) || last || stop {
                self.write_state()?;
                stop |= on_event(Event::Checkpoint { step }) == Flow::Stop;
            }
        }
        self.model.config_mut().provenance.steps = Some(self.progress.step);
        self.model.save(self.run.join("last"), DType::F32)?;
        let (steps, best, done) = (self.progress.step, self.progress.best, self.is_done());
        Ok(Summary { steps, stopped: !done, early: done && steps < recipe.steps, best })
    }

    fn loader(&self) -> Result<Loader> {
        let t = &self.recipe.training;
        let order = Order::new(t.seed, self.data.train.len(), t.batch_size)?;
        let options = LoaderOptions {
            preprocess: self.preprocess,
            normalization: self.model.config().preprocessing.normalization,
            seed: t.seed,
            ..LoaderOptions::default()
        };
        Ok(Loader::new(self.data.train.clone(), order, self.progress.step, options)?)
    }

    /// Refuses pictures that the network cannot take, by name.
    fn check_sides(&self, batch: &Batch) -> Result<()> {
        let (_, _, height, width) = batch.pixels.dims4()?;
        let stride = self.model.stride();
        if height.is_multiple_of(stride) && width.is_multiple_of(stride) {
            return Ok(());
        }
        let name = batch.indices.first().map(|&index| self.data.train.name(index)).unwrap_or_default();
        Err(Error::Invalid(format!(
            "{name} has {width}x{height} pixels, but this network needs sides that are multiples of {stride}: bring all \
             pictures to one size with --set 'size=[WIDTH,HEIGHT]'"
        )))
    }

    /// One optimizer step on a batch [B, 3, H, W].
    fn step(&mut self, pixels: &Tensor) -> Result<StepReport> {
        let step = self.progress.step;
        let StepOutcome { reconstruction, quantizer_loss, perplexity, grad_norm } =
            train_step(&mut self.model, &mut self.optimizer, pixels, self.recipe.training.accumulate)
                .map_err(|error| self.name_last_good(error))?;
        self.progress.step = step + 1;
        Ok(StepReport { step: step + 1, reconstruction, quantizer_loss, perplexity, grad_norm, images_per_s: 0.0 })
    }

    /// A step whose losses are finite can still leave weights that are not: such a model never reaches the disk.
    fn check_finite(&self) -> Result<()> {
        for tensor in self.model.state()?.values() {
            if !is_finite(tensor)? {
                let (step, what) = (self.progress.step, "largest weight");
                let error = Error::NotFinite { step, what, value: f64::INFINITY, last_good: String::new() };
                return Err(self.name_last_good(error));
            }
        }
        Ok(())
    }

    fn name_last_good(&self, error: Error) -> Error {
        match error {
            Error::NotFinite { what, value, .. } => Error::NotFinite {
                step: self.progress.step,
                what,
                value,
                last_good: format!("the last good checkpoint is {}", training_path(&self.run).display()),
            },
            other => other,
        }
    }

    fn validate(&mut self, on_event: &mut dyn FnMut(Event) -> Flow) -> Result<Flow> {
        let options =
            EvaluateOptions { preprocess: self.preprocess, batch_size: self.recipe.training.batch_size, full: false };
        let of = self.data.valid.iter().map(|(_, source)| source.len()).sum();
        let mut flow = Flow::Continue;
        let (mut sets, mut before) = (Vec::new(), 0);
        for (name, source) in &self.data.valid {
            let evaluation = evaluate(&self.model, source, &options, &mut |images| {
                if on_event(Event::Validating { images: before + images, of }) == Flow::Stop {
                    flow = Flow::Stop;
                }
            })?;
            before += evaluation.images;
            sets.push((name.clone(), evaluation));
        }
        let step = self.progress.step;
        let mse = sets.iter().map(|(_, set)| set.mse).sum::<f64>() / sets.len() as f64;
        if !mse.is_finite() {
            let error = Error::NotFinite { step, what: "validation loss", value: mse, last_good: String::new() };
            return Err(self.name_last_good(error));
        }
        let best = self.progress.best.is_none_or(|best| mse < best.mse);
        if best {
            self.progress.best = Some(Best { step, mse });
            self.model.config_mut().provenance.steps = Some(step);
            self.check_finite()?;
            self.model.save(&self.run, DType::F32)?;
        }
        let report = ValidationReport { step, mse, best, sets };
        self.log.append("valid", &report)?;
        write_samples(&self.run, &self.model, &self.data.valid, step, mse)?;
        if on_event(Event::Validated(report)) == Flow::Stop {
            flow = Flow::Stop;
        }
        Ok(flow)
    }

    fn write_state(&self) -> Result<()> {
        self.check_finite()?;
        let state = TrainingState {
            progress: self.progress.clone(),
            model: self.model.state()?,
            optimizer: self.optimizer.state(),
        };
        state.write(&self.run)
    }
}

#[derive(Default)]
struct Speed {
    images: usize,
    seconds: f64,
}

impl Speed {
    fn add(&mut self, images: usize, since: Instant) {
        self.images += images;
        self.seconds += since.elapsed().as_secs_f64();
    }

    fn images_per_s(&self) -> f64 {
        self.images as f64 / self.seconds.max(1e-9)
    }
}

/// Refuses a run directory that holds a training.
fn refuse_used(run: &Path) -> Result<()> {
    if training_path(run).exists() {
        return Err(Error::Invalid(format!(
            "{} already holds a training: resume it with --resume, or choose another folder",
            run.display()
        )));
    }
    Ok(())
}

/// Refuses a training that does not fit into memory. Pictures that are not brought to one size are all as the first.
fn check_memory(config: &ModelConfig, recipe: &Recipe, data: &DataSet, preprocess: &Preprocess) -> Result<()> {
    config.validate().map_err(Error::Invalid)?;
    let size = match preprocess.size() {
        Some(size) => size,
        None => data.train.image(0)?.dimensions(),
    };
    memory::require_for_training(config, &recipe.training, size)
}

fn recipe_path(run: &Path) -> PathBuf {
    run.join("recipe.toml")
}

/// The training data in words, without the folders they lie in: the record goes where the model goes.
fn describe(spec: &DataSpec, data: &DataSet) -> String {
    let names: Vec<_> = spec
        .members()
        .iter()
        .filter_map(|member| Some(member.path().file_name()?.to_string_lossy().into_owned()))
        .collect();
    let validated: usize = data.valid.iter().map(|(_, source)| source.len()).sum();
    let aside = match data.test.as_slice() {
        [(name, source)] if name == SET_ASIDE => format!(", {} set aside to judge by", source.len()),
        _ => String::new(),
    };
    format!("{}: {} images trained on, {validated} validated on{aside}", names.join(" + "), data.train.len())
}

/// A hash of the number and names of the training images.
fn fingerprint(source: &dyn ImageSource) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for index in 0..source.len() {
        hash.update(source.name(index));
        hash.update([0]);
    }
    crate::system::digest::hexadecimal(&hash.finalize())
}
