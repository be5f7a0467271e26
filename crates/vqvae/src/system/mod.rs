//! What the computer offers: a device to compute on, threads, memory, and files that are written whole or not at all.

pub(crate) mod caught;
pub(crate) mod compute;
pub(crate) mod device;
pub(crate) mod device_failure;
pub(crate) mod device_memory;
pub(crate) mod digest;
pub(crate) mod file_kind;
pub(crate) mod files;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod pool;
pub(crate) mod threads;

pub use device::{OpenedDevice, PassedOver, device_name, open_device};
pub use digest::sha256;
pub use files::{write_atomic, write_atomic_with};
pub use ksom_kernels::instruction_set;
pub use pool::Pool;
pub use threads::{Threads, threads};
