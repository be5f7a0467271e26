//! A model trained by several processes is the one that a single process would have trained.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use image::{Rgb, RgbImage};
use ksom_quantizers::{Initialization, NeighborhoodKind, QuantizerConfig};
use ksom_vqvae::model::Architecture;
use ksom_vqvae::team::{Communicator, together};
use ksom_vqvae::training::{AdamW, Base, DataAccess, Optimizer, StepOutcome, Summary, train_step};
use ksom_vqvae::{Backend, Compute, Error, Event, Flow, Model, ModelConfig, Recipe, Team, Trainer};

fn compute(backend: Backend, team: Team) -> Compute {
    Compute { backend, ..Compute::new(Device::Cpu, DType::F32) }.with_team(team)
}

fn state(model: &Model) -> Vec<(String, Vec<f32>)> {
    let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    model.state().unwrap().into_iter().map(|(name, tensor)| (name, values(tensor))).collect()
}

/// The largest difference, as a part of the largest value.
fn difference(one: &[f32], other: &[f32]) -> f32 {
    let scale = one.iter().fold(1e-3f32, |most, value| most.max(value.abs()));
    one.iter().zip(other).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max)
}

fn assert_close(name: &str, one: &[f32], other: &[f32], tolerance: f32) {
    let found = difference(one, other);
    assert!(found <= tolerance, "{name}: {found} apart");
}

/// A batch of `count` pictures of noise, each its own.
fn batch(count: usize, step: usize) -> Tensor {
    let value = |i: usize| ((i * 2_654_435_761 + step * 40_503) % 1009) as f32 / 504.5 - 1.0;
    Tensor::from_vec((0..count * 3 * 256).map(value).collect::<Vec<f32>>(), (count, 3, 16, 16), &Device::Cpu).unwrap()
}

/// Three steps on batches of seven pictures, of which a process takes its part.
fn steps(config: &ModelConfig, backend: Backend, accumulate: usize, team: Team) -> (Model, Vec<StepOutcome>) {
    let part = team.share().range(7);
    let mut model = Model::init(config, 1, &compute(backend, team)).unwrap();
    // Gradients are clipped.
    let mut optimizer = Optimizer::new(model.vars(), AdamW::default(), 1e-2, backend).unwrap();
    let outcomes = (0..3)
        .map(|step| {
            let own = batch(7, step).narrow(0, part.start, part.len()).unwrap();
            train_step(&mut model, &mut optimizer, &own, accumulate).unwrap()
        })
        .collect();
    (model, outcomes)
}

#[test]
fn a_step_of_a_team_is_that_of_the_whole_batch() {
    let ema = QuantizerConfig { neighborhood: NeighborhoodKind::None, ..QuantizerConfig::ksom(16, 4) };
    let staged = Architecture { stages: 2, ..Architecture::vqvae() };
    for architecture in [Architecture::vqvae(), Architecture::vqvae2(), staged] {
        let architecture = Architecture { hidden: 8, residual_hidden: 4, ..architecture };
        let begun = QuantizerConfig { init: Initialization::KMeans, revive_below: 0.5, ..ema.clone() };
        let kinds = [QuantizerConfig::ksom(16, 4), ema.clone(), QuantizerConfig::gd_som(16, 4), begun];
        for quantizer in kinds.into_iter().chain([QuantizerConfig::sim_vq(16, 4), QuantizerConfig::fsq(&[5, 4, 3])]) {
            let config = ModelConfig::new(architecture.clone(), quantizer);
            for (backend, processes, accumulate) in
                [(Backend::Fast, 3, 1), (Backend::Fast, 2, 4), (Backend::Portable, 3, 1), (Backend::Portable, 2, 4)]
            {
                let (alone, expected) = steps(&config, backend, accumulate, Team::default());
                let all = together(processes, |team| {
                    let (model, outcomes) = steps(&config, backend, accumulate, team);
                    (state(&model), outcomes)
                });
                let all = all.unwrap();
                for (found, outcomes) in &all {
                    assert_eq!(found, &all[0].0, "the processes have come apart");
                    for ((name, one), (_, other)) in state(&alone).iter().zip(found) {
                        assert_close(name, one, other, 1e-4);
                    }
                    for (one, other) in expected.iter().zip(outcomes) {
                        let numbers = |outcome: &StepOutcome| {
                            let losses = [outcome.reconstruction, outcome.quantizer_loss, outcome.grad_norm];
                            losses.iter().chain(&outcome.perplexity).map(|&number| number as f32).collect::<Vec<_>>()
                        };
                        for (a, b) in numbers(one).iter().zip(numbers(other)) {
                            assert_close("a number of the step", &[*a], &[b], 1e-4);
                        }
                    }
                }
            }
        }
    }
}

/// Processes that share some of what a step adds up, and take their own, as if it were everybody's, for the rest.
struct Selfish {
    others: Arc<dyn Communicator>,
    keeps: Range<usize>,
}

impl Communicator for Selfish {
    fn rank(&self) -> usize {
        self.others.rank()
    }
    fn size(&self) -> usize {
        self.others.size()
    }
    fn all_reduce(&self, values: &mut Vec<f32>, limit: Duration) -> ksom_vqvae::Result<()> {
        let own = values.clone();
        self.others.all_reduce(values, limit)?;
        for at in self.keeps.clone().take_while(|&at| at < own.len()) {
            values[at] = own[at] * self.size() as f32;
        }
        Ok(())
    }
    fn all_gather(&self, bytes: Vec<u8>, limit: Duration) -> ksom_vqvae::Result<Vec<Vec<u8>>> {
        self.others.all_gather(bytes, limit)
    }
    fn abort(&self) {
        self.others.abort();
    }
}

/// What the tests above would say of processes that do not share gradients, or code sums, or learn alone.
#[test]
fn processes_that_keep_something_to_themselves_are_told_apart() {
    let architecture = Architecture { hidden: 8, residual_hidden: 4, ..Architecture::vqvae() };
    let config = ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4));
    let (alone, _) = steps(&config, Backend::Fast, 1, Team::default());
    let gradients: usize = alone.vars().values().map(|var| var.elem_count()).sum();
    // Sums [16, 4] and counts [16] come after the gradients.
    let sums = gradients..gradients + 16 * 5;
    let apart = |keeps: Range<usize>| {
        let all = together(2, |team| {
            let team = Team::new(Selfish { others: team.communicator(), keeps: keeps.clone() });
            state(&steps(&config, Backend::Fast, 1, team).0)
        });
        let all = all.unwrap();
        let from_alone = state(&alone).iter().zip(&all[0]).map(|((_, a), (_, b))| difference(a, b)).fold(0.0, f32::max);
        (all[0] == all[1], from_alone)
    };
    let (same, found) = apart(0..0);
    assert!(same && found < 1e-4, "{found}");
    for keeps in [0..gradients, sums, 0..usize::MAX] {
        let (same, found) = apart(keeps.clone());
        assert!(!same && found > 1e-2, "{keeps:?}: {found}");
    }
}

/// A run directory's pictures and recipe.
struct Run {
    folder: tempfile::TempDir,
    recipe: Recipe,
}

impl Run {
    fn new(set: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for seed in 0..20u32 {
            let picture = RgbImage::from_fn(16, 16, |x, y| {
                Rgb([(x * (seed % 7 + 1) * 9 + y) as u8, (y * (seed % 5 + 1) * 11) as u8, (x * y + 31 * seed) as u8])
            });
            picture.save(folder.path().join(format!("data/{seed:02}.png"))).unwrap();
        }
        let tiny = ["hidden=8", "residual_layers=1", "residual_hidden=4", "num_codes=16", "dim=4", "batch_size=7"];
        let rest = ["size=[16,16]", "validate_every=50", "log_every=1", "steps=200"];
        let set: Vec<String> = tiny.iter().chain(&rest).chain(set).map(ToString::to_string).collect();
        Self { folder, recipe: Recipe::find("cifar10", &set).unwrap() }
    }

    fn dir(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, name: &str, team: Team, base: Option<Base>) -> ksom_vqvae::Result<Trainer> {
        let data = format!("folder:{}", self.dir("data").display()).parse().unwrap();
        let compute = Compute::cpu().with_team(team);
        Trainer::start(self.recipe.clone(), &data, &DataAccess::default(), &self.dir(name), &compute, base)
    }

    fn resume(&self, name: &str, team: Team) -> ksom_vqvae::Result<Trainer> {
        Trainer::resume(&self.dir(name), None, &DataAccess::default(), &Compute::cpu().with_team(team))
    }

    /// A training from new weights, each of which is changed by so much of itself.
    fn base(&self, change: f64) -> Base {
        let config = ModelConfig::new(self.recipe.architecture.clone(), self.recipe.quantizer.clone());
        let model = Model::init(&config, 3, &Compute::cpu()).unwrap();
        let mut state = model.state().unwrap();
        for (name, tensor) in &mut state {
            if !name.ends_with("counter") {
                *tensor = tensor.affine(1.0 + change, 0.0).unwrap();
            }
        }
        let model = Model::from_tensors(&config, state, "the test", &Compute::cpu(), true).unwrap();
        Base { model, name: "new".into(), revision: None }
    }
}

fn run(mut trainer: Trainer) -> Summary {
    trainer.run(&mut |_| Flow::Continue).unwrap()
}

/// The validation errors of a run by step.
fn validations(run: &Path) -> Vec<f64> {
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "valid").map(|line| line["mse"].as_f64().unwrap()).collect()
}

fn bytes(run: &Path) -> Vec<Vec<u8>> {
    ["model.safetensors", "training.safetensors", "recipe.toml"]
        .map(|name| std::fs::read(run.join(name)).unwrap())
        .into()
}

#[test]
fn a_training_by_a_team_comes_to_what_one_process_comes_to() {
    for set in
        [&["neighborhood=hard"][..], &["neighborhood=none", "architecture.kind=vqvae2"], &["quantizer.kind=gd_som"]]
    {
        let space = Run::new(set);
        run(space.start("alone", Team::default(), Some(space.base(0.0))).unwrap());
        let changes: Vec<f64> =
            (1..=4).flat_map(|quarter| [0.25e-6, -0.25e-6].map(|q| q * f64::from(quarter))).collect();
        for change in &changes {
            run(space.start(&change.to_string(), Team::default(), Some(space.base(*change))).unwrap());
        }
        for processes in [2, 3] {
            let name = format!("team-{processes}");
            together(processes, |team| run(space.start(&name, team, Some(space.base(0.0))).unwrap())).unwrap();
        }
        let errors = |name: &str| validations(&space.dir(name));
        let [alone, two, three] = ["alone", "team-2", "team-3"].map(errors);
        let last = |errors: &[f64]| *errors.last().unwrap();
        assert_eq!(alone.len(), 5);
        assert!(last(&alone) < 0.95 * alone[0], "nothing was learned: {alone:?}");
        let changed = changes.iter().map(|change| (last(&errors(&change.to_string())) - last(&alone)).abs());
        // Most of a difference comes of single vectors between two codes that go to the other one. So the largest of eight
        // is not the largest there is.
        let allowed = 1.5 * changed.fold(0.0, f64::max);
        for other in [two, three] {
            assert_eq!(other[0], alone[0], "validation is shared out, and nothing else has happened yet");
            let difference = (last(&other) - last(&alone)).abs();
            println!("{set:?}: {difference:e}, allowed {allowed:e}");
            assert!(difference <= allowed, "{difference} from one process's, {allowed} allowed");
        }
    }
}

#[test]
fn the_same_number_of_processes_gives_the_same_bits_and_one_gives_those_of_none() {
    let space = Run::new(&["steps=30", "validate_every=10"]);
    for name in ["a", "b"] {
        together(3, |team| run(space.start(name, team, None).unwrap())).unwrap();
    }
    assert!(bytes(&space.dir("a")) == bytes(&space.dir("b")));
    together(1, |team| run(space.start("one", team, None).unwrap())).unwrap();
    run(space.start("none", Team::default(), None).unwrap());
    assert!(bytes(&space.dir("one")) == bytes(&space.dir("none")));
    assert!(bytes(&space.dir("a")) != bytes(&space.dir("none")), "sums in another order are other bits");
}

#[test]
fn a_training_is_resumed_by_another_number_of_processes() {
    let space = Run::new(&["steps=30", "validate_every=15", "checkpoint_every=1000"]);
    let stop_at = |mut trainer: Trainer, at: u64, asks: bool| {
        let on_event = &mut |event| match event {
            Event::Step(report) if asks && report.step >= at => Flow::Stop,
            _ => Flow::Continue,
        };
        trainer.run(on_event).unwrap()
    };
    run(space.start("alone", Team::default(), None).unwrap());
    // One process asks to stop, and all do, after the same step.
    let stopped = together(2, |team| {
        let asks = team.rank() == 1;
        stop_at(space.start("team", team, None).unwrap(), 9, asks)
    });
    for summary in stopped.unwrap() {
        assert_eq!((summary.steps, summary.stopped), (10, true));
    }
    let stopped = together(3, |team| stop_at(space.resume("team", team).unwrap(), 19, true)).unwrap();
    assert!(stopped.iter().all(|summary| summary.steps == 20), "{stopped:?}");
    run(space.resume("team", Team::default()).unwrap());
    let [alone, team] =
        ["alone", "team"].map(|name| Model::load(space.dir(name).join("last"), &Compute::cpu()).unwrap());
    for ((name, one), (_, other)) in state(&alone).iter().zip(&state(&team)) {
        assert_close(name, one, other, 1e-3);
    }
}

#[test]
fn where_one_process_fails_none_is_left_behind() {
    let space = Run::new(&["steps=200", "checkpoint_every=2"]);
    let errors = together(2, |team| {
        let fails = team.rank() == 1;
        let mut trainer = space.start("run", team, None).unwrap();
        for _ in 0..4 {
            trainer.next_step().unwrap();
        }
        trainer.checkpoint().unwrap();
        match fails {
            true => Err(Error::Invalid("on purpose".into())),
            false => trainer.run(&mut |_| Flow::Continue),
        }
    });
    let told: Vec<String> = errors.unwrap().into_iter().map(|error| error.unwrap_err().to_string()).collect();
    assert!(told[0].contains("process 1 of 2 has ended"), "{told:?}");
    // The last checkpoint is whole.
    assert_eq!(space.resume("run", Team::default()).unwrap().steps_done(), 4);
}

#[test]
fn a_batch_is_not_shared_out_among_more_processes_than_it_has_pictures() {
    let space = Run::new(&[]);
    let errors = together(8, |team| space.start("run", team, None).err().map(|error| error.to_string()));
    for error in errors.unwrap() {
        assert!(error.unwrap().contains("8 processes cannot share out a batch of 7 pictures"));
    }
}
