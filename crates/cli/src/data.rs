//! Data sets that lie on the Hub → where they lie on this disk.

use std::path::PathBuf;

use anyhow::{Result, bail};
use ksom_datasets::DataSpec;
use ksom_datasets::sets::{DataKind, Member};

use crate::console::Console;

/// The same data sets, with those of the Hub in the cache.
pub fn fetched(data: &DataSpec, console: &Console) -> Result<DataSpec> {
    data.replaced(|member: &Member| match member.kind() {
        Some(DataKind::Hub) => Ok(Some((DataKind::Parquet, pull(&member.path().to_string_lossy(), console)?))),
        _ => Ok(None),
    })
}

#[cfg(feature = "shards")]
fn pull(name: &str, console: &Console) -> Result<PathBuf> {
    let name: ksom_vqvae::hub::HubDataName = name.parse()?;
    let hub = ksom_vqvae::Hub::from_env()?;
    let data = fetch(&hub, &name, console)?;
    let (count, of) = (data.files.len(), crate::output::bytes(data.bytes));
    console.note(&format!("{} at commit {:.12}: {count} Parquet files, {of}", data.repository, data.commit));
    if data.files.is_empty() {
        bail!("{name} has no Parquet files");
    }
    Ok(data.path)
}

#[cfg(all(feature = "hub", feature = "shards"))]
fn fetch(
    hub: &ksom_vqvae::Hub,
    name: &ksom_vqvae::hub::HubDataName,
    console: &Console,
) -> Result<ksom_vqvae::hub::HubData> {
    let transfer = crate::transfer::Transfer::new(console);
    Ok(hub.pull_data(name, &mut |event| transfer.tell(event))?)
}

#[cfg(all(not(feature = "hub"), feature = "shards"))]
fn fetch(hub: &ksom_vqvae::Hub, name: &ksom_vqvae::hub::HubDataName, _: &Console) -> Result<ksom_vqvae::hub::HubData> {
    use anyhow::Context;

    hub.cached_data(name).context(crate::hub::LEFT_OUT)
}

#[cfg(not(feature = "shards"))]
fn pull(name: &str, _: &Console) -> Result<PathBuf> {
    bail!(
        "{name}: this ksom was built without the feature `shards`, which reads data sets of the Hub: build it with the feature"
    )
}
