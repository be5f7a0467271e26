//! The Hub, where this program was built with it.

use anyhow::{Result, bail};
use ksom_vqvae::hub::{HubModel, HubName, Package, PushOptions, Pushed};

use crate::console::Console;
use crate::similar::similar_path;

/// Says that a name which is no path here is looked for on the Hub; refuses one that is more likely a mistyped path.
pub fn check_meant(name: &HubName, console: &Console) -> Result<()> {
    let hub = ksom_vqvae::Hub::from_env()?;
    let repository = name.repository();
    if name.to_string() == repository
        && let Some(similar) = similar_path(repository)
        && hub.cached(name).is_err()
    {
        bail!(
            "there is no folder {repository}; did you mean {similar}? If a model on the Hub is meant, `ksom pull \
             {repository}` fetches it, and it is then known by its name"
        );
    }
    if !hub.offline {
        console.note(&format!("there is no folder {repository} here: asking {} for it", hub.endpoint));
    }
    Ok(())
}

/// Brings a model into the cache.
#[cfg(feature = "hub")]
pub fn pull(name: &HubName, console: &Console) -> Result<HubModel> {
    let transfer = crate::transfer::Transfer::new(console);
    Ok(ksom_vqvae::Hub::from_env()?.pull(name, &mut |event| transfer.tell(event))?)
}

/// Uploads a model.
#[cfg(feature = "hub")]
pub fn push(package: &Package, name: &HubName, options: &PushOptions, console: &Console) -> Result<Pushed> {
    let transfer = crate::transfer::Transfer::new(console);
    Ok(ksom_vqvae::Hub::from_env()?.push(package, name, options, &mut |event| transfer.tell(event))?)
}

/// What a data set's branch has of some files: their sizes and hashes.
#[cfg(all(feature = "hub", feature = "shards"))]
pub fn data_files(name: &HubName, paths: &[String], console: &Console) -> Result<Vec<Option<(u64, String)>>> {
    let transfer = crate::transfer::Transfer::new(console);
    Ok(ksom_vqvae::Hub::from_env()?.data_files(name, paths, &mut |event| transfer.tell(event))?)
}

#[cfg(all(not(feature = "hub"), feature = "shards"))]
pub fn data_files(_: &HubName, _: &[String], _: &Console) -> Result<Vec<Option<(u64, String)>>> {
    bail!(LEFT_OUT)
}

/// What was pulled by others can be used nevertheless.
#[cfg(not(feature = "hub"))]
pub fn pull(name: &HubName, _: &Console) -> Result<HubModel> {
    use anyhow::Context;

    ksom_vqvae::Hub::from_env()?.cached(name).context(LEFT_OUT)
}

#[cfg(not(feature = "hub"))]
pub fn push(_: &Package, _: &HubName, _: &PushOptions, _: &Console) -> Result<Pushed> {
    bail!(LEFT_OUT)
}

#[cfg(not(feature = "hub"))]
pub const LEFT_OUT: &str = "this ksom was built without the feature `hub`, so it uses the Hub's cache but no network: build it with the feature";
