//! A model: its configuration, its network and its weights.

mod codebooks;
pub(crate) mod config;
pub(crate) mod network;
pub(crate) mod parameters;
pub(crate) mod part;
mod probe;
mod seen;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use ksom_quantizers::Quantizer;
use sha2::{Digest, Sha256};

use crate::checkpoint::averages;
use crate::error::{Error, Result};
use crate::model::config::ModelConfig;
use crate::model::network::error_weights::ErrorWeights;
use crate::model::network::layout::Layout;
use crate::model::network::tape::{Maps, Tape};
use crate::model::network::vqvae::VqVae;
use crate::model::network::vqvae2::VqVae2;
use crate::model::network::{Network, Reconstruction};
use crate::model::parameters::{draw, named_rng};
use crate::model::seen::Seen;
use crate::system::compute::Compute;
use crate::system::digest::hexadecimal;
use crate::team::members::Team;

pub use config::{Architecture, ArchitectureKind, Level, Preprocessing, Provenance, SCHEMA_VERSION};
pub use network::{ForwardOutput, LevelOutput};
pub use parameters::Parameters;
pub use part::Part;
pub use probe::require_operations;
pub use work::MultiplyAdds;

/// A VQ-VAE or VQ-VAE-2 with its weights.
///
/// Tensors of pictures are [N, 3, H, W] in normalized units, with H and W multiples of [`Model::stride`]; codes are u32
/// [N, h, w], one tensor per level. [`Model::encode_images`] takes pictures of any size.
pub struct Model {
    config: ModelConfig,
    network: Box<dyn Network>,
    compute: Compute,
    /// Every tensor but the quantizers' state.
    weights: BTreeMap<String, Tensor>,
    vars: BTreeMap<String, Var>,
    /// What learns.
    part: Part,
    /// What counts of a reconstruction's error.
    pub(crate) error_weights: ErrorWeights,
}

impl Model {
    /// A model whose tensors come from any candle `VarBuilder` with the checkpoint's names, for inference.
    ///
    /// # Errors
    /// The configuration is out of bounds, or a tensor is missing or has another shape.
    pub fn new(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let seen = Seen::default();
        let mut model = Self::build(config, compute, seen.builder(vb))?;
        model.weights = model.without_codebooks(seen.tensors());
        Ok(model)
    }

    /// The network alone: nothing is known of its weights yet.
    fn build(config: &ModelConfig, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        config.validate().map_err(Error::Invalid)?;
        let network: Box<dyn Network> = match config.architecture.kind {
            ArchitectureKind::VqVae => Box::new(VqVae::new(config, compute, vb)?),
            ArchitectureKind::VqVae2 => Box::new(VqVae2::new(config, compute, vb)?),
        };
        Ok(Self {
            config: config.clone(),
            network,
            compute: compute.clone(),
            weights: BTreeMap::new(),
            vars: BTreeMap::new(),
            part: Part::default(),
            error_weights: ErrorWeights::default(),
        })
    }

    /// A new model to be trained, with PyTorch's default initialization drawn from `seed`.
    ///
    /// # Errors
    /// The configuration is out of bounds.
    pub fn init(config: &ModelConfig, seed: u64, compute: &Compute) -> Result<Self> {
        config.validate().map_err(Error::Invalid)?;
        // Codebooks are drawn by their level's name, whatever they are called within it.
        let (k, d) = (config.quantizer.num_codes, config.quantizer.dim);
        let mut given = BTreeMap::new();
        for level in config.architecture.levels() {
            let Some(name) = config.quantizer.kind.codebook_name() else { break };
            let drawn =
                draw(&mut named_rng(seed, level.prefix), &(k, d).into(), Init::Randn { mean: 0.0, stdev: 1.0 })?;
            given.insert(format!("{}.{name}", level.prefix), config.quantizer.codebook_of(&drawn)?);
        }
        Self::from_parameters(config, compute, &Parameters::seeded(seed, given, true), "initial weights")
    }

    /// A model from named tensors, to be trained or not. The names are those of the paper's own checkpoints. The sums of a
    /// codebook's moving averages (`_ema_w`) may be left out: they are then its vectors times its counts.
    ///
    /// # Errors
    /// [`Error::Weights`] naming `origin` and every tensor that is missing, left over or has another shape; or the
    /// configuration is out of bounds.
    pub fn from_tensors(
        config: &ModelConfig,
        mut tensors: BTreeMap<String, Tensor>,
        origin: &str,
        compute: &Compute,
        trainable: bool,
    ) -> Result<Self> {
        averages::complete(&mut tensors)?;
        Self::from_parameters(config, compute, &Parameters::given(tensors, trainable), origin)
    }

    fn from_parameters(
        config: &ModelConfig,
        compute: &Compute,
        parameters: &Arc<Parameters>,
        origin: &str,
    ) -> Result<Self> {
        let vb = parameters.var_builder(compute.dtype, &compute.device);
        let built = Self::build(config, compute, vb);
        // What is wrong with the tensors is said first: it may be why the model could not be built.
        parameters.check(origin)?;
        let mut model = built?;
        model.weights = model.without_codebooks(parameters.tensors());
        model.vars = model.without_codebooks(parameters.vars());
        Ok(model)
    }

    /// Named tensors without those of the quantizers, which keep their own.
    fn without_codebooks<T>(&self, tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
        tensors.into_iter().filter(|(name, _)| !Part::Codebook.has(name, &self.config.architecture)).collect()
    }

    /// Whether its weights are variables, so that it can be trained.
    pub fn is_trainable(&self) -> bool {
        !self.vars.is_empty()
    }

    /// The same model with weights that can be trained. Computes in f32 from then on.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn into_trainable(self) -> Result<Self> {
        if self.is_trainable() {
            return Ok(self);
        }
        let compute = Compute { dtype: DType::F32, ..self.compute.clone() };
        Self::from_tensors(&self.config, self.state()?, "the model", &compute, true)
    }

    /// What the model is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Changes what is recorded of the pixels that the model takes.
    pub fn set_preprocessing(&mut self, preprocessing: Preprocessing) {
        self.config.preprocessing = preprocessing;
    }

    /// Changes what is recorded of the model's origin.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.config.provenance = provenance;
    }

    /// Lets the processes of `team` train it together, wherever it came from.
    pub(crate) fn join(&mut self, team: &Team) {
        self.compute.team = team.clone();
    }

    /// Where it computes.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// Sides of pictures given to [`Model::encode`] must be multiples of this.
    pub fn stride(&self) -> usize {
        self.config.architecture.stride()
    }

    /// Pictures [N, 3, H, W] in normalized units → codes, u32 [N, h, w] per level.
    ///
    /// On the CPU a picture's codes do not depend on what else is in its batch.
    ///
    /// # Errors
    /// The shape is another one, or sides are no multiples of the stride.
    pub fn encode(&self, pixels: &Tensor) -> Result<Vec<Tensor>> {
        self.compute.run(|| self.codes(&self.input(pixels, None)?))
    }

    /// Codes, u32 [N, h, w] per level → pictures f32 [N, 3, H, W] in normalized units.
    ///
    /// # Errors
    /// The number of levels or their shapes are wrong, or a code is not below the number of codes.
    pub fn decode(&self, codes: &[Tensor]) -> Result<Tensor> {
        self.check_codes(codes)?;
        self.compute.run(|| {
            let codes: Vec<Tensor> =
                codes.iter().map(|c| c.to_device(&self.compute.device)).collect::<candle_core::Result<_>>()?;
            Ok(self.compute.backend.leave(&self.network.decode(&codes)?)?.to_dtype(DType::F32)?)
        })
    }

    /// Whether there is one tensor of codes per level, of shapes that belong to one batch of pictures.
    fn check_codes(&self, codes: &[Tensor]) -> Result<()> {
        let levels = self.config.architecture.levels();
        if codes.len() != levels.len() {
            return Err(Error::Invalid(format!("expected {} levels of codes, found {}", levels.len(), codes.len())));
        }
        let (n, h, w) = codes[0].dims3()?;
        let (h, w) = (h * levels[0].stride, w * levels[0].stride);
        for (level, codes) in levels.iter().zip(codes) {
            let expected = [n, h / level.stride, w / level.stride];
            if codes.dims() != expected {
                return Err(Error::Invalid(format!(
                    "{} should have shape {expected:?} to fit the other levels, found {:?}",
                    level.name,
                    codes.dims()
                )));
            }
        }
        Ok(())
    }

    /// The forward pass of training: reconstruction, quantizer loss, codes. Changes nothing.
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub fn forward(&self, pixels: &Tensor) -> Result<ForwardOutput> {
        self.output(pixels, None)
    }

    /// The same with given codes, u32 [N, h, w] per level, in place of the nearest ones: to follow another program's
    /// trajectory where two codes are equally near.
    ///
    /// # Errors
    /// As [`Model::forward`], or the codes do not fit.
    pub fn forward_with_codes(&self, pixels: &Tensor, codes: &[Tensor]) -> Result<ForwardOutput> {
        self.output(pixels, Some(codes))
    }

    fn output(&self, pixels: &Tensor, codes: Option<&[Tensor]>) -> Result<ForwardOutput> {
        self.compute.run(|| {
            let Reconstruction { pixels, quantizer_loss, levels } =
                self.reconstruction(&self.input(pixels, None)?, codes)?;
            Ok(ForwardOutput { reconstruction: self.compute.backend.leave(&pixels)?, quantizer_loss, levels })
        })
    }

    /// Codes of each level of pictures in the backend's layout.
    pub(crate) fn codes(&self, pixels: &Maps) -> Result<Vec<Tensor>> {
        self.network.encode(pixels)
    }

    /// The forward pass in the backend's layout.
    pub(crate) fn reconstruction(&self, pixels: &Maps, codes: Option<&[Tensor]>) -> Result<Reconstruction> {
        if let Some(codes) = codes {
            self.check_codes(codes)?;
        }
        self.network.forward(pixels, codes)
    }

    /// Pictures on the device, in the backend's layout, followed by `tape`.
    pub(crate) fn input(&self, pixels: &Tensor, tape: Option<&Tape>) -> Result<Maps> {
        let stride = self.stride();
        match pixels.dims() {
            [n, 3, h, w] if *n > 0 && *h > 0 && *w > 0 && h % stride == 0 && w % stride == 0 => {
                let pixels = pixels.to_device(&self.compute.device)?.to_dtype(self.compute.dtype)?;
                Ok(self.compute.backend.enter(&pixels, tape)?)
            }
            found => Err(Error::Invalid(format!(
                "pictures should have shape [N, 3, H, W] with H and W multiples of {stride}, found {found:?}"
            ))),
        }
    }

    /// The quantizers, one per level.
    pub fn quantizers(&self) -> Vec<&dyn Quantizer> {
        self.network.quantizers()
    }

    /// The parameters that learn, by name. Codebook state (w, m, c, t) is none, but GD-SOM's codebook is.
    pub fn vars(&self) -> BTreeMap<String, Var> {
        let mut vars = self.vars.clone();
        for (level, quantizer) in self.config.architecture.levels().iter().zip(self.quantizers()) {
            for (name, var) in quantizer.vars() {
                vars.insert(format!("{}.{name}", level.prefix), var);
            }
        }
        vars.retain(|name, _| self.part.has(name, &self.config.architecture));
        vars
    }

    /// What the model's reconstructions are trained by from now on, besides the mean squared error: errors in color, and
    /// errors that neighbors share, by the weights of a recipe's `loss_color` and `loss_coarse`.
    pub fn weigh_errors(&mut self, color: f64, coarse: f64) {
        self.error_weights = ErrorWeights { color, coarse };
    }

    /// Lets only a part of the model learn from now on: [`Model::vars`] gives no other parameters, and codebooks that
    /// are not in the part do not move.
    pub fn train_only(&mut self, part: Part) {
        self.part = part;
    }

    /// The same model, to be trained, with the codebooks' step counters at 0: the neighborhood is as wide again as at
    /// the beginning of a training, and the map can order itself anew.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn restart_neighborhood(&self) -> Result<Self> {
        let mut state = self.state()?;
        for level in self.config.architecture.levels() {
            if let Some(counter) = state.get_mut(&format!("{}.counter", level.prefix)) {
                *counter = counter.zeros_like()?;
            }
        }
        Self::from_tensors(&self.config, state, "the model", &self.compute, true)
    }

    /// Every tensor of the checkpoint by name, without gradient: parameters and codebook state.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state: BTreeMap<_, _> =
            self.weights.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect();
        for (level, quantizer) in self.config.architecture.levels().iter().zip(self.quantizers()) {
            for (name, tensor) in quantizer.state() {
                state.insert(format!("{}.{name}", level.prefix), tensor.detach());
            }
        }
        Ok(state)
    }

    /// Number of values in the checkpoint.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn parameter_count(&self) -> Result<usize> {
        Ok(self.state()?.values().map(Tensor::elem_count).sum())
    }

    /// Names what codes mean: a SHA-256 over each level's name, stride and codebook, in hexadecimal.
    ///
    /// Two models with the same fingerprint understand each other's codes; a decoder may differ.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (level, quantizer) in self.config.architecture.levels().iter().zip(self.quantizers()) {
            let codebook = quantizer.codebook();
            hash.update(format!("{} {} {:?}\n", level.name, level.stride, codebook.dims()));
            let values: Vec<f32> = codebook.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        Ok(hexadecimal(&hash.finalize()))
    }
}
