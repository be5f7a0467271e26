//! The native half of the Python package `ksom`: the library's types as Python sees them. What Python users meet lies in
//! `python/ksom`, which brings pictures and codes of every form to the few forms that are taken here.

mod arrays;
mod codes_file;
mod command;
mod compute;
mod errors;
mod figures;
mod kernels;
mod model;
mod quantizer;
mod training;

use pyo3::prelude::*;

#[pymodule]
mod _ksom {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::codes_file::CodesFile;
    #[pymodule_export]
    use crate::command::{main, panic};
    #[pymodule_export]
    use crate::figures::{code_map, neighborhoods, training_curves, usage_map};
    #[pymodule_export]
    use crate::kernels::{code_sums, nearest};
    #[pymodule_export]
    use crate::model::{Codebook, Model, builtin_models, find_pictures, over_white};
    #[pymodule_export]
    use crate::quantizer::{Observation, Quantizer, auto_grid, check_quantizer};
    #[pymodule_export]
    use crate::training::{finetune, recipes, train};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
