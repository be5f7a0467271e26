//! Pictures of what a training has made: the map of decoded codes, codes shifted on the grid, use of the codes, shapes
//! of neighborhoods, and curves; labelled sheets of pictures.

mod chart;
mod code_map;
mod font;
mod heat;
mod layout;
mod log_axis;
mod neighborhoods;
mod raster;
mod sheet;
mod training_curves;

pub use chart::{Chart, Curve, CurvePoint, chart_picture, chart_svg};
pub use code_map::{MapOptions, code_map, most_used_code};
pub use heat::{count_codes, usage_map, usage_scale};
pub use layout::GridLayout;
pub use neighborhoods::{neighborhood_picture, neighborhood_svg};
pub use sheet::{Framed, Scale, Sheet, SheetCell, SheetRow, decibels, fit, outlined};
pub use training_curves::training_charts;
