//! Which instruction sets this machine has, and which one is used.

use super::isa::Isa;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use super::wasm;
#[cfg(target_arch = "x86_64")]
use super::x86;
use std::sync::LazyLock;

/// The environment variable that names an instruction set, for tests and comparisons.
const CHOICE: &str = "KSOM_INSTRUCTION_SET";

/// The best instruction set of this machine, or the one that [`CHOICE`] names, where the machine has it.
pub(crate) fn best() -> &'static Isa {
    static BEST: LazyLock<&'static Isa> = LazyLock::new(|| {
        let available = available();
        let wanted = std::env::var(CHOICE).ok();
        let chosen = available.iter().find(|isa| wanted.as_deref() == Some(isa.name));
        chosen.copied().unwrap_or(available[0])
    });
    *BEST
}

/// All instruction sets of this machine, the best first.
pub(crate) fn available() -> Vec<&'static Isa> {
    let mut all = Vec::new();
    #[cfg(target_arch = "x86_64")]
    all.extend(x86::available());
    #[cfg(target_arch = "aarch64")]
    all.extend(neon::available());
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    all.extend(wasm::available());
    all.push(&scalar::ISA);
    all
}
