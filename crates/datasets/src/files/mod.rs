//! Files, folders and patterns → the pictures they name.

pub(crate) mod find;
pub(crate) mod relative;

pub use find::{find_images, is_image_file};
