//! KSOM's models in WebAssembly, for pages that turn pictures into codes and back without a server.
//!
//! What JavaScript sees: [`Picture`](picture::Picture), [`Model`](model::Model) and [`Codes`](codes::Codes), which are
//! handed back by `free()`; methods throw an `Error` with the library's message and a `name` that says its kind
//! ([`failure`]). `scripts/build_web.sh` makes `page/pkg` of this crate; docs/web.md describes it.
//!
//! ```
//! use ksom_web::{codes::Codes, model::Model, picture::Picture};
//!
//! # let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
//! let read = |file: &str| std::fs::read(models.join("cifar10-ksom").join(file)).unwrap();
//! let model = Model::load(&read("config.json"), read("model.safetensors"), "cifar10-ksom".to_string())?;
//! let picture = Picture::from_rgba(&[128; 4 * 32 * 24], 32, 24)?;
//! let mut codes: Codes = model.encode_with(&picture, &mut |_, _| ())?;
//! codes.paint(0, 3, 2, 17)?;
//! assert_eq!(codes.get(0)?[2 * 8 + 3], 17);
//! assert_eq!(model.decode_with(&codes, &mut |_, _| ())?.width(), 32);
//! # Ok::<(), ksom_web::failure::Failure>(())
//! ```

#[cfg(target_arch = "wasm32")]
mod allocator;
pub mod codes;
pub mod failure;
mod loaded;
pub mod model;
// The page holds the module as it is built: the module cannot hold the page.
#[cfg(not(target_arch = "wasm32"))]
pub mod page;
pub mod picture;

use wasm_bindgen::prelude::wasm_bindgen;

/// This crate's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_string()
}

/// The instruction set that the kernels use: `simd128` or `scalar`, by how the module was built.
#[wasm_bindgen(js_name = instructionSet)]
pub fn instruction_set() -> String {
    ksom_vqvae::system::instruction_set().to_string()
}

/// Run once when the module is there.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen(start)]
fn start() {
    failure::throw_panics();
}
