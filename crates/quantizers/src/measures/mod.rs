//! How a codebook is used, and how well its grid mirrors its space.

mod frequency;
mod neighbor_distances;
mod topology;
mod usage;

pub use frequency::{code_counts, perplexity};
pub use neighbor_distances::neighbor_distances;
pub use topology::{MAX_COMPARED_CODES, Topology, topology};
pub use usage::{CodebookReport, CodebookUsage};
