//! Which of the shards this process does.

use anyhow::{Result, anyhow};
use ksom_vqvae::tokens::Part;

use crate::console::Console;
use crate::failure::Usage;

/// The part that was asked for; else the one that the environment says, which is told; else all.
pub fn part(asked: Option<Part>, console: &Console) -> Result<Part> {
    if let Some(part) = asked {
        return Ok(part);
    }
    let found = Part::from_environment(|name| std::env::var(name).ok())
        .map_err(|message| anyhow!(Usage(format!("{message} (--part i/n says it whatever the environment does)"))))?;
    let Some((part, by)) = found else { return Ok(Part::ALL) };
    console.note(&format!("part {part} of the shards, counted from 0, as {by} say"));
    Ok(part)
}
