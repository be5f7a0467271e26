//! Vector registers of the processor, and the tile kernels built on them.
//!
//! [`vector::Vector`] is what a tile kernel needs of an instruction set; [`tile`], [`winograd`] and [`fourier`] hold the kernels,
//! generic over it; each of `x86`, `neon`, `wasm` and `scalar` instantiates them as an [`isa::Isa`]. [`detect::best`] chooses at
//! run time.
//!
//! Each output element is one chain of fused multiply-adds over k in a fixed order, begun from zero or the bias; of
//! [`tile::dot`], one chain for each lane. So its bits depend neither on where in a tile it lies nor on the tile's size.

pub(crate) mod bounds;
pub(crate) mod detect;
pub(crate) mod fourier;
#[cfg_attr(target_arch = "wasm32", allow(unused_macros, unused_imports, reason = "there may be no instruction set"))]
mod instantiate;
pub(crate) mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
pub(crate) mod tile;
mod vector;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
pub(crate) mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;
