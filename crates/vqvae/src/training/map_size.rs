//! A model's map with another number of codes.

use candle_core::{DType, Device, Tensor};
use ksom_quantizers::{NeighborhoodKind, QuantizerConfig, Similarity};

use crate::error::{Error, Result};
use crate::model::{Model, Part};

/// The same model with maps of `num_codes` codes on a grid of as many axes, to be trained on from.
///
/// Codes of the new grid are interpolated between those of the old one that lie where they do, so that all have their
/// place among the vectors, and in the order of the map, from the first step on. What else belongs to the number of
/// codes follows it: mean counts, and the one below which codes are revived, are K / K′ of what they were; a hard
/// neighborhood shrinks K / K′ as fast (so that what is left of it is as much wider as a larger map takes longer to
/// unfold), and a gaussian one is as much wider as the grid's longest side. Step counters go on.
///
/// # Errors
/// The codes of the model lie on no map ([`Error::Invalid`]), or `num_codes` is out of bounds.
///
/// # Source
/// Larger maps from smaller ones by interpolation: T. Kohonen et al., *Self Organization of a Massive Document
/// Collection*, IEEE Transactions on Neural Networks 11(3), 2000.
pub fn resize_map(model: &Model, num_codes: usize) -> Result<Model> {
    let old = &model.config().quantizer;
    if old.neighborhood == NeighborhoodKind::None {
        return Err(Error::Invalid(format!(
            "the codes of {} lie on no map, so nothing lies between them: the number of codes can be changed with KSOM \
             and GD-SOM only",
            old.name()
        )));
    }
    let mut config = model.config().clone();
    config.quantizer = resized(old, num_codes).map_err(|error| Error::Invalid(format!("num_codes: {error}")))?;
    config.validate().map_err(Error::Invalid)?;
    let (from, to) = (old.grid.as_slice(), config.quantizer.grid.as_slice());
    let architecture = &config.architecture;
    let mut state = model.state()?;
    state.retain(|name, _| !name.ends_with("_ema_w"));
    for (_, tensor) in state.iter_mut().filter(|(name, _)| Part::Codebook.has(name, architecture)) {
        match tensor.dims() {
            [_, _] => {
                *tensor = interpolated(tensor, from, to)?;
                if old.similarity == Similarity::Cosine {
                    *tensor = tensor.broadcast_div(&tensor.sqr()?.sum_keepdim(1)?.sqrt()?)?;
                }
            }
            [_] => {
                let counts = interpolated(&tensor.unsqueeze(1)?, from, to)?.squeeze(1)?;
                *tensor = counts.affine(old.num_codes as f64 / num_codes as f64, 0.0)?;
            }
            // Counters and flags.
            _ => {}
        }
    }
    // Sums of moving averages are left out, and so made of vectors and counts.
    Model::from_tensors(&config, state, "the model", model.compute(), true)
}

/// The configuration of a quantizer with so many codes.
fn resized(old: &QuantizerConfig, num_codes: usize) -> ksom_quantizers::Result<QuantizerConfig> {
    if num_codes == old.num_codes {
        return Ok(old.clone());
    }
    let mut new = QuantizerConfig { num_codes, ..old.clone() }.with_auto_grid(old.grid.len())?;
    let share = old.num_codes as f64 / num_codes as f64;
    match old.neighborhood {
        NeighborhoodKind::Gaussian => {
            let longest = |grid: &[usize]| grid.iter().copied().max().unwrap_or(1) as f64;
            new.gaussian_base *= longest(&new.grid) / longest(&old.grid);
        }
        NeighborhoodKind::Hard | NeighborhoodKind::None => new.shrink_step *= share,
    }
    new.revive_below *= share;
    new.validate()?;
    Ok(new)
}

/// The rows [K, D] of the cells of one grid, at the cells of another that covers the same area.
fn interpolated(rows: &Tensor, from: &[usize], to: &[usize]) -> Result<Tensor> {
    let (device, dtype, width) = (rows.device().clone(), rows.dtype(), rows.dim(1)?);
    let mut values: Vec<f32> = rows.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let mut inner = width;
    for (&from, &to) in from.iter().zip(to) {
        values = along_axis(&values, inner, from, to);
        inner *= to;
    }
    Ok(Tensor::from_vec(values, (inner / width, width), &Device::Cpu)?.to_dtype(dtype)?.to_device(&device)?)
}

/// Values [outer, from, inner] → [outer, to, inner], linearly between the middles of cells, and beyond those of the
/// outermost as there.
fn along_axis(values: &[f32], inner: usize, from: usize, to: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len() / from * to);
    for block in values.chunks_exact(from * inner) {
        for cell in 0..to {
            let place = ((cell as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
            let (below, share) = (place as usize, place.fract() as f32);
            let row = |cell: usize| &block[cell * inner..][..inner];
            let pairs = row(below).iter().zip(row((below + 1).min(from - 1)));
            out.extend(pairs.map(|(a, b)| (1.0 - share) * a + share * b));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;
    use crate::{Compute, ModelConfig};

    fn model(quantizer: QuantizerConfig) -> Model {
        let architecture = Architecture { hidden: 8, residual_hidden: 4, ..Architecture::vqvae() };
        Model::init(&ModelConfig::new(architecture, quantizer), 1, &Compute::cpu()).unwrap()
    }

    fn codebook(model: &Model) -> Vec<Vec<f32>> {
        model.quantizers()[0].codebook().to_vec2().unwrap()
    }

    #[test]
    fn new_codes_lie_between_the_old_ones() {
        // Two axes: what lies along one does not depend on the other.
        let rows = Tensor::from_vec(vec![0f32, 4.0, 10.0, 14.0], (4, 1), &Device::Cpu).unwrap();
        let larger = interpolated(&rows, &[2, 2], &[4, 3]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(larger, [0.0, 1.0, 3.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0, 11.0, 13.0, 14.0]);
        let smaller = interpolated(&rows, &[2, 2], &[1, 2]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(smaller, [2.0, 12.0]);
    }

    #[test]
    fn what_belongs_to_the_number_of_codes_follows_it() {
        let old = model(QuantizerConfig::ksom(32, 4));
        let new = resize_map(&old, 256).unwrap();
        let quantizer = &new.config().quantizer;
        assert_eq!((quantizer.num_codes, quantizer.grid.as_slice()), (256, [16, 16].as_slice()));
        assert_eq!(quantizer.shrink_step, old.config().quantizer.shrink_step / 8.0);
        let (before, after) = (old.state().unwrap(), new.state().unwrap());
        let total = |state: &std::collections::BTreeMap<String, Tensor>| -> f32 {
            let counts = state.iter().find(|(name, _)| name.ends_with("_ema_cluster_size")).unwrap().1;
            counts.sum_all().unwrap().to_scalar().unwrap()
        };
        assert!((total(&before) - total(&after)).abs() < 1e-3, "{} {}", total(&before), total(&after));
        // Moving averages give the vectors.
        let find = |suffix: &str| after.iter().find(|(name, _)| name.ends_with(suffix)).unwrap().1.clone();
        let product = find("._w").broadcast_mul(&find("_ema_cluster_size").unsqueeze(1).unwrap()).unwrap();
        let worst = (product - find("_ema_w")).unwrap().abs().unwrap().max_all().unwrap();
        assert_eq!(worst.to_scalar::<f32>().unwrap(), 0.0);
        // The network is as it was, and learns.
        assert!(new.is_trainable());
        assert_eq!(before.len(), after.len());
        let gaussian = QuantizerConfig { neighborhood: NeighborhoodKind::Gaussian, ..QuantizerConfig::ksom(32, 4) };
        let base = gaussian.gaussian_base;
        let wider = resize_map(&model(gaussian), 512).unwrap();
        assert_eq!(wider.config().quantizer.gaussian_base, base * 4.0);
    }

    #[test]
    fn every_codebook_of_every_kind_is_stretched() {
        let cosine =
            QuantizerConfig { similarity: Similarity::Cosine, revive_below: 0.5, ..QuantizerConfig::ksom(32, 4) };
        let small = |whole: Architecture| Architecture { hidden: 8, residual_hidden: 4, ..whole };
        for (architecture, quantizer) in [
            (small(Architecture::vqvae2()), QuantizerConfig::ksom(32, 4)),
            (Architecture { stages: 3, ..small(Architecture::vqvae()) }, cosine),
            (small(Architecture::vqvae()), QuantizerConfig::gd_som(32, 4)),
        ] {
            let old = Model::init(&ModelConfig::new(architecture, quantizer), 1, &Compute::cpu()).unwrap();
            for num_codes in [128, 8] {
                let new = resize_map(&old, num_codes).unwrap();
                let (before, after) = (old.state().unwrap(), new.state().unwrap());
                assert!(before.keys().eq(after.keys()));
                for (name, tensor) in &before {
                    let is_codebook = Part::Codebook.has(name, &old.config().architecture);
                    let expected: Vec<usize> = match tensor.dims() {
                        [32, rest @ ..] if is_codebook => [&[num_codes], rest].concat(),
                        dims => dims.to_vec(),
                    };
                    assert_eq!(after[name].dims(), expected, "{name}");
                }
                assert_eq!(
                    new.config().quantizer.revive_below,
                    old.config().quantizer.revive_below * 32.0 / num_codes as f64
                );
            }
        }
        // On the sphere codes stay on it.
        let cosine = QuantizerConfig { similarity: Similarity::Cosine, ..QuantizerConfig::ksom(32, 4) };
        for code in codebook(&resize_map(&model(cosine), 128).unwrap()) {
            let length = code.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 1e-6, "{length}");
        }
    }

    #[test]
    fn as_many_codes_are_the_same_codes() {
        let old = model(QuantizerConfig::ksom(32, 4));
        let same = resize_map(&old, 32).unwrap();
        assert_eq!(codebook(&old), codebook(&same));
        assert_eq!(old.config(), same.config());
    }

    #[test]
    fn codes_on_no_map_are_refused() {
        let error = resize_map(&model(QuantizerConfig::ema_vq(32, 4)), 64).err().unwrap().to_string();
        assert!(error.contains("EMA-VQ") && error.contains("no map"), "{error}");
        let error = resize_map(&model(QuantizerConfig::ksom(32, 4)), 1 << 21).err().unwrap().to_string();
        assert!(error.contains("num_codes"), "{error}");
    }
}
