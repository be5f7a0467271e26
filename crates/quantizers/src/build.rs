//! How quantizers are made of whatever kind a configuration names.

use std::sync::PoisonError;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::config::{QuantizerConfig, QuantizerKind};
use crate::error::Result;
use crate::fsq::Fsq;
use crate::gd_som::GdSom;
use crate::ksom::Ksom;
use crate::quantizer::Quantizer;
use crate::sim_vq::SimVq;

/// Builds a quantizer from named tensors, as candle-nn's layers are built: new ones if `vb` is that of a
/// [`VarMap`], a checkpoint's otherwise. See [`Ksom::new`], [`GdSom::new`],
/// [`SimVq::new`] and [`Fsq::new`].
///
/// # Errors
/// As [`Ksom::new`].
pub fn build(config: &QuantizerConfig, vb: VarBuilder) -> Result<Box<dyn Quantizer>> {
    Ok(match config.kind {
        QuantizerKind::Ksom => Box::new(Ksom::new(config, vb)?),
        QuantizerKind::GdSom => Box::new(GdSom::new(config, vb)?),
        QuantizerKind::SimVq => Box::new(SimVq::new(config, vb)?),
        QuantizerKind::Fsq => Box::new(Fsq::new(config, vb)?),
    })
}

/// Builds a new quantizer on `device` that depends on nothing but its configuration and `seed`: w ~ N(0, 1), of length 1
/// where a cosine is compared, m = w, c = c₀, t = 0.
///
/// ```
/// use ksom_quantizers::{QuantizerConfig, build_seeded, candle_core::Device};
///
/// let quantizer = build_seeded(&QuantizerConfig::ksom(16, 4), 42, &Device::Cpu)?;
/// assert_eq!(quantizer.codebook().dims(), [16, 4]);
/// # Ok::<(), ksom_quantizers::QuantizerError>(())
/// ```
///
/// # Errors
/// As [`QuantizerConfig::validate`], or the device fails.
pub fn build_seeded(config: &QuantizerConfig, seed: u64, device: &Device) -> Result<Box<dyn Quantizer>> {
    config.validate()?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let variables = VarMap::new();
    let insert = |name: &str, tensor: &Tensor| -> Result<()> {
        let variable = Var::from_tensor(tensor)?;
        variables.data().lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), variable);
        Ok(())
    };
    if let Some(name) = config.kind.codebook_name() {
        let values: Vec<f32> = (0..config.num_codes * config.dim).map(|_| StandardNormal.sample(&mut rng)).collect();
        let drawn = Tensor::from_vec(values, (config.num_codes, config.dim), device)?;
        insert(name, &config.codebook_of(&drawn)?)?;
    }
    if config.kind == QuantizerKind::SimVq {
        let bound = SimVq::bound(config.dim) as f32;
        let values: Vec<f32> = (0..config.dim * config.dim).map(|_| rng.random_range(-bound..bound)).collect();
        insert("transform", &Tensor::from_vec(values, (config.dim, config.dim), device)?)?;
    }
    build(config, VarBuilder::from_varmap(&variables, DType::F32, device))
}
