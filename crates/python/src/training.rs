//! Trainings: they run on threads of their own, and tell what happens in the caller's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ksom_datasets::sets::OnUnreadable;
use ksom_datasets::{DataOptions, DataSpec};
use ksom_vqvae::candle_core::DType;
use ksom_vqvae::system::{Pool, open_device};
use ksom_vqvae::training::{Base, DataAccess, RECIPES, resize_map};
use ksom_vqvae::{Compute, Error, Event, Flow, Model, Recipe, Trainer};
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::errors::{internal, raised};
use crate::model::{Named, find};

/// So often signals are looked at while nothing happens.
const PATIENCE: Duration = Duration::from_millis(50);

/// What all trainings are asked for.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Asked {
    recipe: Option<String>,
    data: Option<String>,
    out: PathBuf,
    overrides: Vec<String>,
    num_codes: Option<usize>,
    resume: bool,
    skip_unreadable: bool,
    cache: Option<PathBuf>,
    device: String,
}

impl Asked {
    fn compute(&self) -> Result<Compute, Error> {
        Ok(Compute::new(open_device(&self.device)?.device, DType::F32))
    }

    fn access(&self) -> DataAccess {
        let on_unreadable = if self.skip_unreadable { OnUnreadable::Skip } else { OnUnreadable::Fail };
        DataAccess { options: DataOptions { on_unreadable, ..DataOptions::default() }, cache: self.cache.clone() }
    }

    fn spec(&self) -> Result<Option<DataSpec>, Error> {
        self.data.as_ref().map(|data| Ok(data.parse()?)).transpose()
    }

    fn start(&self, base: Option<Base>) -> Result<Trainer, Error> {
        let missing = |what: &str| Error::Invalid(format!("a training needs {what}"));
        let name = self.recipe.as_deref().ok_or_else(|| missing("a recipe"))?;
        let recipe = match base {
            Some(_) => Recipe::find_to_tune(name, &self.overrides)?,
            None => Recipe::find(name, &self.overrides)?,
        };
        let spec = self.spec()?.ok_or_else(|| missing("data"))?;
        Trainer::start(recipe, &spec, &self.access(), &self.out, &self.compute()?, base)
    }

    /// Goes on with the training in the run directory, if it is the one that is asked for.
    fn go_on(&self) -> Result<Trainer, Error> {
        let mut trainer = Trainer::resume(&self.out, self.spec()?.as_ref(), &self.access(), &self.compute()?)?;
        trainer.continue_as(self.recipe.as_deref(), &self.overrides, self.num_codes)?;
        Ok(trainer)
    }
}

/// Trains from scratch, or goes on. `on_event` is called with each event as JSON and says whether to go on; gives the
/// summary as JSON.
#[pyfunction]
pub fn train(py: Python<'_>, asked: Asked, on_event: Bound<'_, PyAny>) -> PyResult<String> {
    run(py, || if asked.resume { asked.go_on() } else { asked.start(None) }, &on_event)
}

/// The same from a model, which is found as [`crate::model::Model::from_pretrained`] finds it.
#[pyfunction]
pub fn finetune(py: Python<'_>, model: String, asked: Asked, on_event: Bound<'_, PyAny>) -> PyResult<String> {
    let begin = || {
        if asked.resume {
            return asked.go_on();
        }
        let compute = asked.compute()?;
        let named = find(&model)?;
        let (trained, revision) = match &named {
            Named::BuiltIn => (Model::builtin_trainable(&model, &compute)?, None),
            Named::Folder(folder) => (Model::load_trainable(folder, &compute)?, None),
            Named::Hub(found) => (Model::load_trainable(&found.folder, &compute)?, Some(found.commit.clone())),
        };
        let name = match &named {
            Named::Hub(found) => found.repository.clone(),
            _ => model.clone(),
        };
        let model = match asked.num_codes {
            Some(num_codes) => resize_map(&trained, num_codes)?,
            None => trained,
        };
        asked.start(Some(Base { model, name, revision }))
    };
    run(py, begin, &on_event)
}

/// The names of the recipes that are built in.
#[pyfunction]
pub fn recipes() -> Vec<&'static str> {
    RECIPES.iter().map(|(name, _)| *name).collect()
}

/// Trains on threads of its own: a training that waits for its caller keeps nobody else from computing.
fn run(
    py: Python<'_>,
    begin: impl FnOnce() -> Result<Trainer, Error> + Send,
    on_event: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let (tell, mut told) = channel::<Value>();
    let (answer, answers) = channel::<Flow>();
    let work = move || -> Result<Value, Error> {
        Pool::new()?.run(move || {
            let mut trainer = begin()?;
            let of = trainer.recipe().training.steps;
            let data = &trainer.data().description;
            if ask(json!({ "kind": "started", "step": trainer.steps_done(), "of": of, "data": data }), &tell, &answers)
                == Flow::Stop
            {
                return Ok(json!({ "steps": trainer.steps_done(), "of": of, "stopped": true, "early": false }));
            }
            let summary = trainer.run(&mut |event| ask(told_as(event), &tell, &answers))?;
            Ok(with(json!({ "of": of }), &summary))
        })
    };
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| catch_unwind(AssertUnwindSafe(work)));
        let stopped = attend(py, &mut told, &answer, on_event);
        let outcome = py.detach(|| worker.join());
        // What the caller raised comes first: the training has ended because of it.
        stopped?;
        match outcome {
            Ok(Ok(summary)) => summary.map(|summary| summary.to_string()).map_err(|error| raised(py, error)),
            Ok(Err(panic)) | Err(panic) => Err(internal(py, panic.as_ref())),
        }
    })
}

/// An event as JSON: its kind, and what it tells.
fn told_as(event: Event) -> Value {
    match event {
        Event::Step(report) => with(json!({ "kind": "step" }), &report),
        Event::Validating { images, of } => json!({ "kind": "validating", "images": images, "of": of }),
        Event::Validated(report) => with(json!({ "kind": "validated" }), &report),
        Event::Checkpoint { step } => json!({ "kind": "checkpoint", "step": step }),
    }
}

/// An object with another one's fields added.
fn with(mut object: Value, more: &impl Serialize) -> Value {
    // Reports are numbers, strings and lists of them.
    if let (Value::Object(fields), Ok(Value::Object(more))) = (&mut object, serde_json::to_value(more)) {
        fields.extend(more);
    }
    object
}

/// Tells the caller's thread of an event, and waits for its answer.
fn ask(event: Value, tell: &Sender<Value>, answers: &Receiver<Flow>) -> Flow {
    let answered = tell.send(event).ok().and_then(|()| answers.recv().ok());
    // Nobody listens any more.
    answered.unwrap_or(Flow::Stop)
}

/// Hands events to `on_event` until the training has ended, and looks at signals meanwhile. After an exception the
/// training is told to stop, which writes a checkpoint; the exception is given then.
fn attend(
    py: Python<'_>,
    told: &mut Receiver<Value>,
    answer: &Sender<Flow>,
    on_event: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let mut raised = Ok(());
    loop {
        let told = &mut *told;
        let event = py.detach(move || told.recv_timeout(PATIENCE));
        if raised.is_ok() {
            raised = py.check_signals();
        }
        let event = match event {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return raised,
        };
        let mut flow = Flow::Stop;
        if raised.is_ok() {
            match on_event.call1((event.to_string(),)).and_then(|goes_on| goes_on.is_truthy()) {
                Ok(true) => flow = Flow::Continue,
                Ok(false) => {}
                Err(error) => raised = Err(error),
            }
        }
        // A training that has failed meanwhile hears nothing.
        let _ = answer.send(flow);
    }
}
