//! The command `ksom`, which comes with the package.

use std::ffi::OsString;
use std::io::Write;

use ksom_vqvae::Error;
use pyo3::prelude::*;

use crate::compute::detached;

/// Runs the command with its arguments, of which the first is the program's name; gives its exit code.
#[pyfunction]
pub fn main(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    detached(py, || {
        let code = ksom_cli::run(arguments);
        // Nobody flushes it at the end of a program that is Python's; that nobody reads any more is no error.
        let _ = std::io::stdout().flush();
        Ok(code)
    })
}

/// Panics on purpose, for the test that no panic reaches Python.
#[pyfunction]
pub fn panic(py: Python<'_>, on_pool: bool) -> PyResult<()> {
    let bug = || -> Result<(), Error> { panic!("on purpose") };
    if on_pool { crate::compute::compute(py, bug) } else { detached(py, bug) }
}
