//! The page that explores a map: its files with the models' files, served here, written into a folder, or uploaded.

mod content_type;
mod export;
mod report;
mod server;
mod site;

pub use export::export;
pub use report::{Exported, Serving};
pub use server::Server;
pub use site::Site;

use anyhow::Result;

use crate::models;
use crate::settings::Settings;

/// The page with the zoo's models, beginning with the model of this name, if there is one.
pub fn site(model: Option<&str>, settings: &Settings) -> Result<Site> {
    let model = model.map(|name| models::find(name, settings)).transpose()?;
    Site::new(model.as_ref(), &ksom_vqvae::Hub::from_env()?.endpoint)
}
