//! On macOS the interpreter's symbols are found when the module is loaded, which the linker must be told.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
