//! The processes that train one model together: each on its part of every batch, all of them with the same weights.
//!
//! A [`Team`] goes with [`Compute`](crate::Compute), where there is one process alone unless it is told otherwise. What
//! processes say to each other goes over a [`Communicator`]: MPI (feature `mpi`), or memory where threads take the part of
//! processes.

mod communicator;
mod in_process;
pub(crate) mod members;
#[cfg(feature = "mpi")]
mod mpi;

pub use communicator::{Alone, Communicator};
pub use in_process::together;
pub use members::{Team, Traffic};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
