//! How a codebook is used, and how well its grid mirrors its space.

mod topology;
mod usage;

pub use topology::{MAX_COMPARED_CODES, Topology, topology};
pub use usage::{CodebookReport, CodebookUsage};
