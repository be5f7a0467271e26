//! Training: batches → model → loss → optimizer → checkpoint, reporting events as it goes.
//!
//! A run directory is a model directory (`config.json` and `model.safetensors` of the best validation so far) with
//! `recipe.toml`, `sources.json` (where the pictures lie, and which count), `metrics.jsonl`, `training.safetensors` (the
//! state to continue from), `.lock` (held while a training runs) and `last/` (the model at the last step, once the run
//! has ended or was stopped).

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Tensor};
use ksom_datasets::loading::Batch;
use ksom_datasets::loading::Batches;
use ksom_datasets::{DataSet, Loader, LoaderOptions, Preprocess};
use ksom_quantizers::MAX_STEPS;

use crate::checkpoint::is_finite;
use crate::error::{Error, Result};
use crate::evaluation::{EvaluateOptions, evaluate_together};
use crate::model::Model;
use crate::model::config::Provenance;
use crate::record::writer::MetricsLog;
use crate::system::files::write_atomic;
use crate::training::alike::Common;
use crate::training::events::{Event, Flow, StepReport, Summary, ValidationReport};
use crate::training::optimizer::Optimizer;
use crate::training::recipe::Recipe;
use crate::training::run_lock::RunLock;
use crate::training::samples::write_samples;
use crate::training::state::{Best, Progress, TrainingState, training_path};
use crate::training::step::{StepOutcome, Whole, train_step_within};

/// A training under way.
///
/// [`Trainer::run`] does it all; [`Trainer::next_step`], [`Trainer::validate`] and [`Trainer::checkpoint`] do it piece by
/// piece.
pub struct Trainer {
    pub(super) recipe: Recipe,
    pub(super) run: PathBuf,
    pub(super) model: Model,
    pub(super) optimizer: Optimizer,
    pub(super) data: DataSet,
    pub(super) preprocess: Preprocess,
    pub(super) enlarged: usize,
    pub(super) progress: Progress,
    /// Those of the process that writes.
    pub(super) log: Option<MetricsLog>,
    pub(super) _lock: Option<RunLock>,
    /// Made with the first step.
    pub(super) loader: Option<Loader>,
    /// Whether this process was asked to stop, and whether all processes know of one that was.
    pub(super) asks: bool,
    pub(super) agreed: bool,
}

impl Trainer {
    /// Sets how many steps the training takes in all, and writes it into the run directory's recipe.
    ///
    /// # Errors
    /// `steps` is fewer than are done or more than a quantizer counts, the learning rate falls to the last step as it
    /// was, or the recipe cannot be written.
    pub fn train_to(&mut self, steps: u64) -> Result<()> {
        if steps < self.progress.step {
            let done = self.progress.step;
            return Err(Error::Invalid(format!("{done} steps are done already: ask for more than {steps}")));
        }
        if steps != self.recipe.training.steps {
            if !self.recipe.training.schedule.knows_no_end() {
                return Err(Error::Invalid(format!(
                    "the learning rate of this training falls to step {}: another number of steps is another training",
                    self.recipe.training.steps
                )));
            }
            if steps > MAX_STEPS {
                return Err(Error::Invalid(format!("expected at most {MAX_STEPS} steps, found {steps}")));
            }
            self.recipe.training.steps = steps;
            if self.leads() {
                write_atomic(&recipe_path(&self.run), self.recipe.to_toml().as_bytes())?;
            }
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

    /// Whether this process is the one that writes: the only one, or the first of a team.
    pub fn leads(&self) -> bool {
        self.model.compute().team.leads()
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

    /// Takes all steps that are left, and tells `on_event` of each; it can ask to stop. In a team, all processes stop
    /// after the next step when one asks.
    ///
    /// # Errors
    /// A picture cannot be read, a file cannot be written, or a loss is not finite ([`Error::NotFinite`]): the last
    /// checkpoint is then as it was.
    pub fn run(&mut self, on_event: &mut dyn FnMut(Event) -> Flow) -> Result<Summary> {
        let recipe = self.recipe.training.clone();
        (self.asks, self.agreed) = (false, false);
        let mut speed = Speed::default();
        let fresh = self.progress.step == 0 && self.progress.best.is_none();
        if fresh && self.model.config().provenance.base_model.is_some() {
            self.asks |= self.validate_telling(on_event)?.1 == Flow::Stop;
            self.checkpoint()?;
        }
        while !self.stops() {
            let started = Instant::now();
            let Some(mut report) = self.next_step()? else { break };
            speed.add(recipe.batch_size, started);
            report.images_per_s = speed.images_per_s();
            let step = report.step;
            if step.is_multiple_of(recipe.log_every) {
                if let Some(log) = &mut self.log {
                    log.append("train", &report)?;
                }
                speed = Speed::default();
            }
            self.asks |= on_event(Event::Step(report)) == Flow::Stop;

            if step.is_multiple_of(recipe.validate_every) || step == recipe.steps {
                self.asks |= self.validate_telling(on_event)?.1 == Flow::Stop;
            }
            let last = self.is_done();
            if step.is_multiple_of(recipe.checkpoint_every) || last || self.stops() {
                self.checkpoint()?;
                self.asks |= on_event(Event::Checkpoint { step }) == Flow::Stop;
            }
        }
        self.save_last()?;
        let (steps, best, done) = (self.progress.step, self.progress.best, self.is_done());
        Ok(Summary { steps, stopped: !done, early: done && steps < recipe.steps, best })
    }

    /// Whether to stop: at once where there is one process, and once all know otherwise.
    fn stops(&self) -> bool {
        if self.model.compute().team.is_alone() { self.asks } else { self.agreed }
    }

    /// Takes one step on the next batch; none where nothing is left to do. Writes nothing.
    ///
    /// # Errors
    /// A picture cannot be read, or a loss is not finite ([`Error::NotFinite`]): nothing has moved then.
    pub fn next_step(&mut self) -> Result<Option<StepReport>> {
        if self.is_done() {
            return Ok(None);
        }
        let mut loader = match self.loader.take() {
            Some(loader) => loader,
            None => self.start_loader()?,
        };
        let batch = loader.next();
        self.loader = Some(loader);
        let Some(batch) = batch.transpose()? else { return Ok(None) };
        self.check_sides(&batch)?;
        self.step(&batch.pixels).map(Some)
    }

    /// Measures the model on the validation pictures, and saves it if it is the best so far.
    ///
    /// # Errors
    /// A picture cannot be read, the loss is not finite, or a file cannot be written.
    pub fn validate(&mut self) -> Result<ValidationReport> {
        Ok(self.validate_telling(&mut |_| Flow::Continue)?.0)
    }

    /// Writes all that is needed to go on from here; in a team, the first process does.
    ///
    /// # Errors
    /// A weight is not finite, or the file cannot be written; what was there is then as it was.
    pub fn checkpoint(&self) -> Result<()> {
        if !self.leads() {
            return Ok(());
        }
        self.check_finite()?;
        let state = TrainingState {
            progress: self.progress.clone(),
            model: self.model.state()?,
            optimizer: self.optimizer.state(),
        };
        state.write(&self.run)
    }

    /// Writes the model as it stands, best or not, into the folder `last` of the run directory.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save_last(&mut self) -> Result<()> {
        self.record_steps();
        if !self.leads() {
            return Ok(());
        }
        self.model.save(self.run.join("last"), DType::F32)
    }

    fn record_steps(&mut self) {
        let steps = Some(self.progress.step);
        self.model.set_provenance(Provenance { steps, ..self.model.config().provenance.clone() });
    }

    fn start_loader(&self) -> Result<Loader> {
        let t = &self.recipe.training;
        let batches = Batches::shuffled(t.seed, self.data.train.as_ref(), t.batch_size)?;
        let team = &self.model.compute().team;
        let mut workers = LoaderOptions::default().workers;
        if !team.is_alone() {
            // Processes that share a computer share its cores.
            workers = workers.min(rayon::current_num_threads());
        }
        let options = LoaderOptions {
            preprocess: self.preprocess,
            normalization: self.model.config().preprocessing.normalization,
            seed: t.seed,
            share: team.share(),
            workers,
            ahead: workers + 1,
        };
        Ok(Loader::new(self.data.train.clone(), batches, self.progress.step, options)?)
    }

    /// Refuses pictures that the network cannot take, by name.
    fn check_sides(&self, batch: &Batch) -> Result<()> {
        let (_, _, height, width) = batch.pixels.dims4()?;
        let stride = self.model.stride();
        if height.is_multiple_of(stride) && width.is_multiple_of(stride) {
            return Ok(());
        }
        let name = batch.indices.first().map(|&index| self.data.train.name(index)).unwrap_or_default();
        Err(Error::Sides { name, width, height, stride })
    }

    /// One optimizer step on this process's part of a batch [B, 3, H, W].
    fn step(&mut self, pixels: &Tensor) -> Result<StepReport> {
        let step = self.progress.step;
        self.optimizer.set_learning_rate(self.recipe.training.learning_rate().at(step));
        let (t, whole) = (&self.recipe.training, Whole { batch: self.recipe.training.batch_size, asks: self.asks });
        let (outcome, asking) = train_step_within(&mut self.model, &mut self.optimizer, pixels, t.accumulate, whole)
            .map_err(|error| self.name_last_good(error))?;
        let StepOutcome { reconstruction, quantizer_loss, perplexity, grad_norm } = outcome;
        self.agreed |= asking > 0;
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

    /// Refuses to go on where the processes of a team have come apart.
    pub(super) fn check_alike(&self) -> Result<()> {
        let team = &self.model.compute().team;
        if team.is_alone() {
            return Ok(());
        }
        let weights = [self.model.state()?, self.optimizer.state()];
        Common::of((&self.run, &self.recipe), &self.data, self.progress.step, &weights)?.check(team)
    }

    fn validate_telling(&mut self, on_event: &mut dyn FnMut(Event) -> Flow) -> Result<(ValidationReport, Flow)> {
        let options =
            EvaluateOptions { preprocess: self.preprocess, batch_size: self.recipe.training.batch_size, full: false };
        let of = self.data.valid.iter().map(|(_, source)| source.len()).sum();
        let mut flow = Flow::Continue;
        let (mut sets, mut before) = (Vec::new(), 0);
        for (name, source) in &self.data.valid {
            let evaluation = evaluate_together(&self.model, source, &options, &mut |images| {
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
            self.record_steps();
            self.check_finite()?;
            if self.leads() {
                self.model.save(&self.run, DType::F32)?;
            }
        }
        let report = ValidationReport { step, mse, best, sets };
        if let Some(log) = &mut self.log {
            log.append("valid", &report)?;
            write_samples(&self.run, &self.model, &self.data.valid, step, mse)?;
        }
        self.check_alike()?;
        if on_event(Event::Validated(report.clone())) == Flow::Stop {
            flow = Flow::Stop;
        }
        Ok((report, flow))
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

/// The path of the recipe in a run directory.
pub(crate) fn recipe_path(run: &Path) -> PathBuf {
    run.join("recipe.toml")
}
