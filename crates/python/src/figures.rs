//! Pictures of models and trainings.

use std::path::PathBuf;

use ksom_quantizers::{Grid, QuantizerConfig};
use ksom_vqvae::Error;
use ksom_vqvae::figures::{self, Framed, GridLayout, MapOptions};
use pyo3::prelude::*;

use crate::arrays::{Made, pixels};
use crate::compute::compute;
use crate::errors::invalid;
use crate::model::Model;

type Picture<'py> = PyResult<Made<'py>>;

/// What each code of a level looks like, in its place on the grid; `fixed` fills the other level, or the code that
/// training has used most.
#[pyfunction]
pub fn code_map<'py>(
    py: Python<'py>,
    model: &Model,
    level: usize,
    fixed: Option<usize>,
    enlarge: u32,
    title: String,
) -> Picture<'py> {
    let picture = compute(py, || {
        let model = &model.model;
        let (stride, count) = (model.stride() as u32, model.quantizers().len());
        let fixed = match fixed {
            Some(code) => code,
            None if count == 2 && level < 2 => figures::most_used_code(model, 1 - level)?,
            None => 0,
        };
        let map = figures::code_map(model, &MapOptions { level, fixed, enlarge }, &mut |_| ())?;
        let quantizers = model.quantizers();
        let grid = quantizers.get(level).map(|quantizer| quantizer.grid());
        let (across, down) = grid.map(|grid| GridLayout::new(grid, 2 * stride * enlarge).marks()).unwrap_or_default();
        Ok(Framed { title, notes: Vec::new(), across, down }.draw(&map)?.0)
    })?;
    Ok(pixels(py, &picture))
}

/// How often each code is used, in its place on the grid.
#[pyfunction]
pub fn usage_map<'py>(py: Python<'py>, grid: Vec<usize>, counts: Vec<u64>, cell: u32) -> Picture<'py> {
    Ok(pixels(py, &compute(py, || figures::usage_map(&Grid::new(grid)?, &counts, cell))?))
}

/// Which codes learn with the middle one, at each of `steps`.
#[pyfunction]
pub fn neighborhoods<'py>(py: Python<'py>, config_json: &str, steps: Vec<u64>, cell: u32) -> Picture<'py> {
    let config: QuantizerConfig = serde_json::from_str(config_json).map_err(|error| invalid(py, error.to_string()))?;
    Ok(pixels(py, &compute(py, || figures::neighborhood_picture(&config, &steps, cell))?))
}

/// Loss, validation loss and perplexity of trainings.
#[pyfunction]
pub fn training_curves<'py>(py: Python<'py>, runs: Vec<(String, PathBuf)>) -> Picture<'py> {
    let draw = || -> Result<_, Error> { figures::chart_picture(&figures::training_charts(&runs)?) };
    Ok(pixels(py, &compute(py, draw)?))
}
