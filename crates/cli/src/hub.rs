//! The Hub, where this program was built with it.

use anyhow::Result;
use ksom_vqvae::{HubModel, HubName, Package};

use crate::console::Console;

/// How a model goes to the Hub.
pub struct PushArguments {
    pub private: bool,
    pub message: Option<String>,
    pub create_pr: bool,
}

/// What became of it.
pub struct PushOutcome {
    pub commit: Option<String>,
    pub url: String,
    pub pull_request: Option<String>,
    pub created: bool,
}

/// Brings a model into the cache.
#[cfg(feature = "hub")]
pub fn pull(name: &HubName, console: &Console) -> Result<HubModel> {
    let transfer = crate::transfer::Transfer::new(console);
    Ok(ksom_vqvae::Hub::from_env()?.pull(name, &mut |event| transfer.tell(event))?)
}

/// Uploads a model.
#[cfg(feature = "hub")]
pub fn push(package: &Package, name: &HubName, args: PushArguments, console: &Console) -> Result<PushOutcome> {
    use ksom_vqvae::{Hub, PushOptions, Pushed};

    let transfer = crate::transfer::Transfer::new(console);
    let options = PushOptions { private: args.private, message: args.message, create_pr: args.create_pr };
    let Pushed { commit, url, pull_request, created, .. } =
        Hub::from_env()?.push(package, name, &options, &mut |event| transfer.tell(event))?;
    Ok(PushOutcome { commit, url, pull_request, created })
}

/// What was pulled by others can be used nevertheless.
#[cfg(not(feature = "hub"))]
pub fn pull(name: &HubName, _: &Console) -> Result<HubModel> {
    use anyhow::Context;

    ksom_vqvae::Hub::from_env()?.cached(name).context(LEFT_OUT)
}

#[cfg(not(feature = "hub"))]
pub fn push(_: &Package, _: &HubName, _: PushArguments, _: &Console) -> Result<PushOutcome> {
    anyhow::bail!(LEFT_OUT)
}

#[cfg(not(feature = "hub"))]
const LEFT_OUT: &str = "this ksom was built without the feature `hub`, so it uses the Hub's cache but no network: build it with the feature";
