//! Tests of the convolutions.

mod case;
mod operations;
mod properties;
