//! Running an experiment: what is left of it, some runs at a time.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ksom_datasets::DataSpec;

use crate::error::{Error, Result};
use crate::evaluation::{EvaluateOptions, Evaluation, evaluate};
use crate::experiment::measured::Measured;
use crate::experiment::outcome::{LevelTopology, Outcome};
use crate::experiment::plan::{Experiment, RunName};
use crate::experiment::results::ExperimentResults;
use crate::model::Model;
use crate::system::compute::Compute;
use crate::system::files::{read_text, write_atomic};
use crate::training::access::DataAccess;
use crate::training::events::{Event, Flow};
use crate::training::recipe::Recipe;
use crate::training::run_lock::RunLock;
use crate::training::state::training_path;
use crate::training::trainer::Trainer;

/// How an experiment is run; none of it changes its results.
#[derive(Clone, Debug)]
pub struct ExperimentOptions {
    /// Trainings at a time; each has its share of the threads. A team of processes trains one at a time.
    pub jobs: NonZeroUsize,
    /// How pictures are read.
    pub access: DataAccess,
}

/// What an experiment tells of its runs.
#[derive(Clone, Debug)]
pub enum ExperimentEvent {
    /// It begins, or goes on after so many steps.
    Started {
        /// Steps done.
        step: u64,
    },
    /// It goes on.
    Training(Event),
    /// Its map is measured.
    Measuring,
    /// It has ended.
    Ended(Outcome),
}

impl Experiment {
    /// Trains what is left of the experiment in the folder `dir`, and gives the results of what has ended by then.
    ///
    /// A run that fails is recorded as failed and does not stop the others. `on_event` is told of each run, from
    /// several threads where several run at a time, and can ask all of them to stop: they write a checkpoint, and the
    /// same call goes on from there.
    ///
    /// In a [`Team`](crate::Team) of several processes all of them train each run together, one run after another; a run that fails
    /// on one of them alone ends them all.
    ///
    /// # Errors
    /// `dir` holds runs by other recipes or on other data, another experiment runs in it, or it cannot be written.
    pub fn run(
        &self,
        dir: &Path,
        options: &ExperimentOptions,
        compute: &Compute,
        on_event: &(dyn Fn(RunName, ExperimentEvent) -> Flow + Sync),
    ) -> Result<ExperimentResults> {
        let team = &compute.team;
        if options.jobs.get() > 1 && !team.is_alone() {
            return Err(Error::Invalid(format!(
                "{} processes train one run of an experiment at a time: ask for one job",
                team.size()
            )));
        }
        let _lock = match team.leads() {
            true => {
                std::fs::create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
                Some(RunLock::acquire(dir)?)
            }
            false => None,
        };
        let left = team.first_makes(|| self.left(dir, options))?;
        let work =
            Work { experiment: self, dir, access: &options.access, compute, on_event, stop: AtomicBool::new(false) };
        work.all(&left, options.jobs.get())?;
        // What the first process has written is there.
        team.wait_for_all()?;
        ExperimentResults::collect(self, dir)
    }

    /// The runs that are left to do in `dir`.
    fn left(&self, dir: &Path, options: &ExperimentOptions) -> Result<Vec<RunName>> {
        self.check_data(dir)?;
        let mut left = Vec::new();
        for run in self.run_names() {
            let run_dir = self.run_dir(dir, run);
            let longer = self.check_recipe(run, &run_dir)?;
            if longer || !Outcome::read(&run_dir)?.is_some_and(|outcome| outcome.is_settled(self)) {
                left.push(run);
            }
        }
        if let Some(&first) = left.first() {
            // Data that cannot be opened are the experiment's failure, not that of each run.
            ksom_datasets::open(&self.data, &self.recipe_of(first).data_options(&options.access.options))?;
            write_atomic(&data_path(dir), self.data_text().as_bytes())?;
        }
        Ok(left)
    }

    /// Refuses data that are named otherwise than those of the runs in `dir`.
    fn check_data(&self, dir: &Path) -> Result<()> {
        const MAX_SPEC_BYTES: u64 = 1 << 20;
        let path = data_path(dir);
        if !path.exists() {
            return Ok(());
        }
        let found = read_text(&path, MAX_SPEC_BYTES)?;
        let same = found.trim().parse::<DataSpec>().is_ok_and(|found| found.absolute() == self.data.absolute());
        if !same {
            return Err(Error::file(
                &path,
                format!("the runs there were trained on {}, not on {}: choose another folder", found.trim(), self.data),
            ));
        }
        Ok(())
    }

    fn data_text(&self) -> String {
        format!("{}\n", self.data.absolute())
    }

    /// Refuses a run that was started by another recipe; whether it is to take more steps than it was started for.
    fn check_recipe(&self, run: RunName, run_dir: &Path) -> Result<bool> {
        let path = run_dir.join("recipe.toml");
        if !path.exists() {
            return Ok(false);
        }
        let (started, wanted) = (Recipe::read(&path, &[])?, self.recipe_of(run));
        let differ = started.differences(wanted, false);
        if differ.is_empty() {
            return Ok(wanted.training.steps > started.training.steps);
        }
        Err(Error::file(
            &path,
            format!(
                "{} has changed since this run was started and would now train another model: it differs in {}. Undo \
                 the change, choose another folder, or remove that run",
                self.path.display(),
                differ.join(", ")
            ),
        ))
    }
}

/// Where an experiment's folder names its data.
fn data_path(dir: &Path) -> PathBuf {
    dir.join("data.txt")
}

/// The runs under way.
struct Work<'a> {
    experiment: &'a Experiment,
    dir: &'a Path,
    access: &'a DataAccess,
    compute: &'a Compute,
    on_event: &'a (dyn Fn(RunName, ExperimentEvent) -> Flow + Sync),
    stop: AtomicBool,
}

impl Work<'_> {
    /// Does the runs that are left, `jobs` at a time.
    fn all(&self, left: &[RunName], jobs: usize) -> Result<()> {
        let jobs = jobs.clamp(1, left.len().max(1));
        let threads = (rayon::current_num_threads() / jobs).max(1);
        let queue = Mutex::new(left.iter().copied());
        let worker = || -> Result<()> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|error| Error::Invalid(format!("cannot start {threads} threads: {error}")))?;
            while !self.stops()? {
                // Nobody panics while holding the queue.
                let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                let Some(run) = next else { break };
                pool.install(|| self.one(run)).inspect_err(|_| self.stop.store(true, Ordering::Relaxed))?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
            let ended: Vec<Result<()>> =
                workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect();
            ended.into_iter().collect()
        })
    }

    /// Whether somebody asked to stop; all processes of a team say the same.
    fn stops(&self) -> Result<bool> {
        let own = self.stop.load(Ordering::Relaxed);
        let team = &self.compute.team;
        if team.is_alone() { Ok(own) } else { Ok(team.gather(&own)?.contains(&true)) }
    }

    fn tell(&self, run: RunName, event: ExperimentEvent) -> Flow {
        let flow = (self.on_event)(run, event);
        if flow == Flow::Stop {
            self.stop.store(true, Ordering::Relaxed);
        }
        if self.stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue }
    }

    /// Does one run as far as it goes, and records how it ended.
    fn one(&self, run: RunName) -> Result<()> {
        let run_dir = self.experiment.run_dir(self.dir, run);
        let outcome = match self.train(run, &run_dir) {
            Ok(None) => return Ok(()),
            Ok(Some(outcome)) => outcome,
            Err(error) => {
                let failed = Outcome::failed(&error);
                let everywhere =
                    self.compute.team.is_alone() || matches!(failed, Outcome::Failed { certain: true, .. });
                if !everywhere {
                    return Err(error);
                }
                failed
            }
        };
        if self.compute.team.leads() {
            outcome.write(&run_dir)?;
        }
        self.tell(run, ExperimentEvent::Ended(outcome));
        Ok(())
    }

    /// Trains to the end; nothing if it was asked to stop before.
    fn train(&self, run: RunName, run_dir: &Path) -> Result<Option<Outcome>> {
        let data = &self.experiment.data;
        let team = &self.compute.team;
        let mut trainer = if team.first_makes(|| Ok(training_path(run_dir).is_file()))? {
            Trainer::resume(run_dir, Some(data), self.access, self.compute)?
        } else {
            let recipe = self.experiment.recipe_of(run).clone();
            Trainer::start(recipe, data, self.access, run_dir, self.compute, None)?
        };
        trainer.train_to(self.experiment.recipe_of(run).training.steps)?;
        self.tell(run, ExperimentEvent::Started { step: trainer.steps_done() });
        let summary = trainer.run(&mut |event| self.tell(run, ExperimentEvent::Training(event)))?;
        if summary.stopped {
            self.stop.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        let topology = match self.experiment.topology && team.leads() {
            true => Some(self.topology(run, run_dir, &trainer)?),
            false => None,
        };
        let measured = match self.experiment.full_validation && team.leads() {
            true => Some(self.measured(run, run_dir, &trainer)?),
            false => None,
        };
        team.wait_for_all()?;
        Ok(Some(Outcome::Finished { steps: summary.steps, topology, measured }))
    }

    /// What the run's best weights make of all validation pictures.
    fn measured(&self, run: RunName, run_dir: &Path, trainer: &Trainer) -> Result<Measured> {
        self.tell(run, ExperimentEvent::Measuring);
        let mut recipe = self.experiment.recipe_of(run).clone();
        recipe.data.valid_images = None;
        let data = self.access.open(&self.experiment.data, &recipe)?;
        let model = Model::load(run_dir, self.compute)?;
        let batch_size = trainer.recipe().training.batch_size;
        let options = EvaluateOptions { preprocess: recipe.data.preprocess(), batch_size, full: false };
        let sets: Result<Vec<Evaluation>> =
            data.valid.iter().map(|(_, source)| evaluate(&model, source, &options, &mut |_| {})).collect();
        Ok(Measured::of(&model.config().architecture, &sets?))
    }

    /// How good the maps of the run's best weights are.
    fn topology(&self, run: RunName, run_dir: &Path, trainer: &Trainer) -> Result<Vec<LevelTopology>> {
        self.tell(run, ExperimentEvent::Measuring);
        let model = Model::load(run_dir, self.compute)?;
        let batch_size = trainer.recipe().training.batch_size;
        let options = EvaluateOptions { preprocess: trainer.preprocess(), batch_size, full: true };
        let sets: Result<Vec<Evaluation>> =
            trainer.data().valid.iter().map(|(_, source)| evaluate(&model, source, &options, &mut |_| {})).collect();
        Ok(level_topologies(&sets?))
    }
}

/// The means over sets.
fn level_topologies(sets: &[Evaluation]) -> Vec<LevelTopology> {
    let Some(first) = sets.first() else { return Vec::new() };
    let of_level = |(number, level): (usize, &crate::evaluation::LevelEvaluation)| {
        let maps: Vec<_> = sets.iter().filter_map(|set| set.levels.get(number)?.map.as_ref()).collect();
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let topologies: Option<Vec<_>> = maps.iter().map(|map| map.topology.as_ref()).collect();
        LevelTopology {
            level: level.name.to_string(),
            topographic_error: mean(maps.iter().map(|map| map.topographic_error).collect()),
            correlation: topologies.as_ref().map(|found| mean(found.iter().map(|t| t.correlation).collect())),
            p_value: topologies.map(|found| found.iter().map(|t| t.p_value).fold(0.0, f64::max)),
        }
    };
    first.levels.iter().enumerate().map(of_level).collect()
}
