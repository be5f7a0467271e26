//! Pictures of what a training has made: the map of decoded codes, codes shifted on the grid, use of the codes, shapes
//! of neighborhoods, and curves; labelled sheets of pictures.

#[cfg(feature = "charts")]
mod chart;
mod code_map;
mod font;
mod heat;
mod layout;
#[cfg(feature = "charts")]
mod log_axis;
#[cfg(feature = "charts")]
mod neighborhood_curves;
mod neighborhoods;
#[cfg(feature = "charts")]
mod raster;
mod sheet;
#[cfg(feature = "charts")]
mod training_curves;

#[cfg(feature = "charts")]
pub use chart::{Chart, Curve, CurvePoint, chart_picture, chart_svg};
pub use code_map::{MapOptions, code_map, most_used_code};
pub use heat::{count_codes, usage_map, usage_scale};
pub use layout::{GridLayout, Marks};
#[cfg(feature = "charts")]
pub use neighborhood_curves::neighborhood_svg;
pub use neighborhoods::neighborhood_picture;
pub use sheet::{Framed, Scale, Sheet, SheetCell, SheetRow, decibels, fit, outlined};
#[cfg(feature = "charts")]
pub use training_curves::training_charts;
