//! Pictures of what a training has made: the map of decoded codes, codes shifted on the grid, use of the codes, shapes
//! of neighborhoods, and curves.

mod chart;
mod code_map;
mod heat;
mod layout;
mod log_axis;
mod neighborhoods;
mod training_curves;

pub use chart::{Chart, Curve, CurvePoint, chart_svg};
pub use code_map::{MapOptions, code_map, most_used_code};
pub use heat::{count_codes, usage_map};
pub use layout::GridLayout;
pub use neighborhoods::{neighborhood_picture, neighborhood_svg};
pub use training_curves::training_curves_svg;
