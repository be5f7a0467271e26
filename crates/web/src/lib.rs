//! ksom in a browser.

pub mod page;
