//! Moving averages of a codebook that a file leaves out: they follow from what it has.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// The sums m [K, D] of a codebook's moving averages.
const SUMS: &str = "_ema_w";
/// Their counts c `[K]`.
const COUNTS: &str = "_ema_cluster_size";
/// The vectors w = m / c [K, D].
const VECTORS: &str = "_w";

/// How far sums may be from w · c, relative to the largest of them, to be left out: some roundings.
const ROUNDING: f64 = 1e-6;

/// Takes out the sums that are what [`complete`] makes of the rest, up to rounding. Others stay: those of codes that have
/// never learned where counts begin at 0, and of codebooks whose vectors are something else than m / c.
pub(crate) fn leave_out(tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let levels: Vec<String> = tensors.keys().filter_map(|name| name.strip_suffix(SUMS)).map(String::from).collect();
    for level in levels {
        let Some(product) = sums(tensors, &level)? else { continue };
        let largest = |tensor: &Tensor| -> Result<f64> {
            let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
            Ok(tensor.abs()?.flatten_all()?.max(0)?.to_scalar()?)
        };
        let kept = &tensors[&format!("{level}{SUMS}")];
        if kept.dims() == product.dims() && largest(&(kept - &product)?)? <= ROUNDING * largest(kept)? {
            tensors.remove(&format!("{level}{SUMS}"));
        }
    }
    Ok(())
}

/// Puts m = w · c where a file has vectors and counts without sums, so that a training goes on from where the file was
/// made, up to rounding.
pub(crate) fn complete(tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let levels: Vec<String> = tensors.keys().filter_map(|name| name.strip_suffix(COUNTS)).map(String::from).collect();
    for level in levels {
        let name = format!("{level}{SUMS}");
        if !tensors.contains_key(&name)
            && let Some(product) = sums(tensors, &level)?
        {
            tensors.insert(name, product);
        }
    }
    Ok(())
}

/// w · c in f32; nothing where either is missing or they do not fit together, which is told elsewhere.
fn sums(tensors: &BTreeMap<String, Tensor>, level: &str) -> Result<Option<Tensor>> {
    let find = |name: &str| tensors.get(&format!("{level}{name}"));
    match (find(VECTORS), find(COUNTS)) {
        (Some(w), Some(c)) if w.rank() == 2 && c.rank() == 1 && w.dim(0)? == c.dim(0)? => {
            let (w, c) = (w.to_dtype(DType::F32)?, c.to_dtype(DType::F32)?);
            Ok(Some(w.broadcast_mul(&c.unsqueeze(1)?)?))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(sums: &[f32]) -> BTreeMap<String, Tensor> {
        let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        BTreeMap::from([
            ("level._w".to_string(), tensor(&[1.0, 2.0, 3.0, -4.0], &[2, 2])),
            ("level._ema_cluster_size".to_string(), tensor(&[0.5, 2.0], &[2])),
            ("level._ema_w".to_string(), tensor(sums, &[2, 2])),
        ])
    }

    #[test]
    fn sums_that_follow_are_left_out_and_come_back() {
        let mut of_averages = tensors(&[0.5, 1.0, 6.0, -8.0]);
        leave_out(&mut of_averages).unwrap();
        assert!(!of_averages.contains_key("level._ema_w"));
        complete(&mut of_averages).unwrap();
        assert_eq!(of_averages["level._ema_w"].to_vec2::<f32>().unwrap(), [[0.5, 1.0], [6.0, -8.0]]);
    }

    #[test]
    fn sums_that_do_not_follow_stay() {
        let mut others = tensors(&[1.0, 2.0, 6.0, -8.0]);
        leave_out(&mut others).unwrap();
        complete(&mut others).unwrap();
        assert_eq!(others["level._ema_w"].to_vec2::<f32>().unwrap(), [[1.0, 2.0], [6.0, -8.0]]);
    }
}
