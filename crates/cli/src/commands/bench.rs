//! `ksom bench`

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use clap::{Args, ValueEnum};
use ksom_vqvae::system::device_name;
use ksom_vqvae::training::{AdamW, Optimizer, TrainingRecipe, require_for_training, train_step};
use ksom_vqvae::{Backend, Compute, Model, ModelConfig, Recipe};
use serde::Serialize;

use crate::arguments;
use crate::failure::Usage;
use crate::output::{Block, NO_NUMBER, Report, sides};
use crate::settings::Settings;

/// Measure how fast this machine trains, encodes, decodes and reconstructs
#[derive(Args)]
#[command(after_help = "Example:
  ksom bench --recipe cifar10 --batch 256

Pictures are noise and weights untrained: neither changes the time. Reading and writing files is not part of it.
GFLOP/s count the plain sums of convolutions; Winograd's method takes fewer, so that the share of the matrix product can
exceed 100 %.")]
pub struct BenchArgs {
    /// The recipe (cifar10, photos, imagenet, faces, finetune, or a file) whose model is measured
    #[arg(long, value_name = "RECIPE", default_value = "cifar10")]
    recipe: String,
    /// Change a field of the recipe; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Pictures per batch [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Size of the pictures [default: the recipe's, or 32x32]
    #[arg(long, value_name = "WxH", value_parser = arguments::size)]
    size: Option<[u32; 2]>,
    /// What to measure [default: everything]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<Part>,
    /// Seconds to spend on each
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Gemm,
    Train,
    Encode,
    Decode,
    Reconstruct,
}

/// What was measured; rates are by the median time of a batch.
#[derive(Serialize)]
pub struct BenchReport {
    recipe: String,
    batch: usize,
    size: [u32; 2],
    device: &'static str,
    dtype: &'static str,
    backend: &'static str,
    /// Of the CPU kernels.
    instruction_set: &'static str,
    threads: usize,
    /// Large matrix products by candle on the device, in 10⁹ floating-point operations per second.
    gemm_gflops: Option<f64>,
    train_images_per_s: Option<f64>,
    encode_images_per_s: Option<f64>,
    decode_images_per_s: Option<f64>,
    reconstruct_images_per_s: Option<f64>,
    parts: Vec<PartReport>,
}

#[derive(Serialize)]
struct PartReport {
    part: &'static str,
    repetitions: usize,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    images_per_s: f64,
    /// 10⁹ floating-point operations of convolutions and nearest codes per second.
    gflops: f64,
    /// Share of `gemm_gflops`.
    share_of_gemm: Option<f64>,
}

pub fn run(args: BenchArgs, settings: &Settings) -> Result<BenchReport> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Usage(format!("--seconds must be above 0 and at most 3600, found {}", args.seconds)).into());
    }
    let compute = settings.compute()?;
    let recipe = Recipe::find(&args.recipe, &args.set)?;
    let batch = args.batch.map_or(recipe.training.batch_size, |batch| batch as usize);
    let size = args.size.or(recipe.data.size).unwrap_or([32; 2]);
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let bench = Bench::new(&recipe, batch, size, compute, Duration::from_secs_f64(args.seconds))?;

    let gemm_gflops = if wanted(Part::Gemm) { Some(bench.gemm()?) } else { None };
    let mut parts = Vec::new();
    for part in [Part::Train, Part::Encode, Part::Decode, Part::Reconstruct].into_iter().filter(|&part| wanted(part)) {
        settings.console.note(&format!("measuring: {part:?}").to_lowercase());
        let mut report = bench.part(part)?;
        report.share_of_gemm = gemm_gflops.map(|gemm| report.gflops / gemm);
        parts.push(report);
    }
    let rate = |name| parts.iter().find(|part| part.part == name).map(|part| part.images_per_s);
    Ok(BenchReport {
        recipe: args.recipe,
        batch,
        size,
        device: device_name(&bench.compute.device),
        dtype: bench.compute.dtype.as_str(),
        backend: match bench.compute.backend {
            Backend::Fast => "fast",
            Backend::Portable => "portable",
        },
        instruction_set: ksom_vqvae::system::instruction_set(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        gemm_gflops,
        train_images_per_s: rate("train"),
        encode_images_per_s: rate("encode"),
        decode_images_per_s: rate("decode"),
        reconstruct_images_per_s: rate("reconstruct"),
        parts,
    })
}

struct Bench {
    compute: Compute,
    config: ModelConfig,
    hyperparameters: AdamW,
    clip_norm: f64,
    /// [batch, 3, H, W] in normalized units.
    pixels: Tensor,
    time: Duration,
}

impl Bench {
    fn new(recipe: &Recipe, batch: usize, [width, height]: [u32; 2], compute: Compute, time: Duration) -> Result<Self> {
        let config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
        let stride = config.architecture.stride() as u32;
        if width % stride != 0 || height % stride != 0 {
            bail!(
                "{}: sides must be multiples of the model's stride {stride}: choose another --size",
                sides(&[width, height])
            );
        }
        let training = TrainingRecipe { batch_size: batch, accumulate: 1, ..recipe.training.clone() };
        require_for_training(&config, &training, (width, height), &compute.device)?;
        let len = batch * 3 * width as usize * height as usize;
        // Reproducible noise of about unit variance: a linear congruential generator (Knuth's MMIX constants).
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 3.5
        };
        let pixels: Vec<f32> = (0..len).map(|_| noise()).collect();
        let pixels = Tensor::from_vec(pixels, (batch, 3, height as usize, width as usize), &Device::Cpu)?;
        let t = &recipe.training;
        Ok(Self {
            config,
            hyperparameters: AdamW {
                lr: t.lr,
                beta1: t.beta1,
                beta2: t.beta2,
                eps: t.eps,
                weight_decay: t.weight_decay,
            },
            clip_norm: t.clip_norm,
            pixels: pixels.to_device(&compute.device)?,
            compute,
            time,
        })
    }

    fn part(&self, part: Part) -> Result<PartReport> {
        let (images, _, height, width) = self.pixels.dims4()?;
        let model = Model::init(&self.config, 0, &self.compute)?;
        let work = model.multiply_adds(height, width)?;
        let (part, work, mut times) = match part {
            Part::Gemm => bail!("the matrix product is not a part of a model"),
            Part::Train => {
                let compute = self.compute.clone().for_training();
                let mut model = Model::init(&self.config, 0, &compute)?;
                let mut optimizer =
                    Optimizer::new(model.vars(), self.hyperparameters, self.clip_norm, compute.backend)?;
                let mut step = || Ok(train_step(&mut model, &mut optimizer, &self.pixels, 1).map(|_| ())?);
                ("train", work.train, self.repeat(&mut step)?)
            }
            Part::Encode => {
                let model = self.frozen(&model)?;
                ("encode", work.encode, self.repeat(&mut || Ok(model.encode(&self.pixels).map(|_| ())?))?)
            }
            Part::Decode => {
                let model = self.frozen(&model)?;
                let codes = model.encode(&self.pixels)?;
                ("decode", work.decode, self.repeat(&mut || Ok(model.decode(&codes).map(|_| ())?))?)
            }
            Part::Reconstruct => {
                let model = self.frozen(&model)?;
                let mut reconstruct = || Ok(model.decode(&model.encode(&self.pixels)?).map(|_| ())?);
                ("reconstruct", work.encode + work.decode, self.repeat(&mut reconstruct)?)
            }
        };
        times.sort_by(f64::total_cmp);
        let median = median(&times);
        let images_per_s = images as f64 / median;
        Ok(PartReport {
            part,
            repetitions: times.len(),
            median_ms: 1e3 * median,
            min_ms: 1e3 * times[0],
            max_ms: 1e3 * times[times.len() - 1],
            images_per_s,
            gflops: 2e-9 * work as f64 * images_per_s,
            share_of_gemm: None,
        })
    }

    /// The same model, not to be trained.
    fn frozen(&self, model: &Model) -> Result<Model> {
        Ok(Model::from_tensors(&self.config, model.state()?, "untrained weights", &self.compute, false)?)
    }

    /// 10⁹ floating-point operations per second of a large matrix product.
    fn gemm(&self) -> Result<f64> {
        const SIDE: usize = 2048;
        let Compute { device, dtype, .. } = &self.compute;
        let a = Tensor::full(0.5f32, (SIDE, SIDE), device)?.to_dtype(*dtype)?;
        let mut times = self.repeat(&mut || Ok(a.matmul(&a).map(|_| ())?))?;
        times.sort_by(f64::total_cmp);
        Ok(2e-9 * (SIDE * SIDE * SIDE) as f64 / median(&times))
    }

    /// Seconds of each repetition, after two to warm up; at least three.
    fn repeat(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Vec<f64>> {
        let mut timed = || {
            let started = Instant::now();
            work()?;
            self.compute.device.synchronize()?;
            Ok::<_, anyhow::Error>(started.elapsed().as_secs_f64())
        };
        timed()?;
        timed()?;
        let started = Instant::now();
        let mut times = Vec::new();
        while times.len() < 3 || started.elapsed() < self.time {
            times.push(timed()?);
        }
        Ok(times)
    }
}

/// Of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

impl Report for BenchReport {
    fn blocks(&self) -> Vec<Block> {
        let gemm = self.gemm_gflops.map_or(NO_NUMBER.to_string(), |gflops| format!("{gflops:.0} GFLOP/s"));
        let fields = vec![
            ("recipe", self.recipe.clone()),
            ("batch", format!("{} pictures of {}", self.batch, sides(&self.size))),
            ("device", format!("{}, {}, {} path", self.device, self.dtype, self.backend)),
            ("CPU kernels", format!("{}, {} threads", self.instruction_set, self.threads)),
            ("matrix product", gemm),
        ];
        let header = ["", "images/s", "ms per batch", "from", "to", "GFLOP/s", "of matrix product"];
        let rows = self.parts.iter().map(|part| {
            vec![
                part.part.to_string(),
                format!("{:.1}", part.images_per_s),
                format!("{:.1}", part.median_ms),
                format!("{:.1}", part.min_ms),
                format!("{:.1}", part.max_ms),
                format!("{:.0}", part.gflops),
                part.share_of_gemm.map_or(NO_NUMBER.to_string(), |share| format!("{:.0} %", 100.0 * share)),
            ]
        });
        let table = Block::Table { header: header.map(String::from).to_vec(), rows: rows.collect() };
        vec![Block::Fields(fields), Block::Line(String::new()), table]
    }
}
