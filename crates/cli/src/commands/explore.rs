//! `ksom explore`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::settings::Settings;

/// Walk a model's map in the browser: pictures as codes, the map, and codes that change
#[derive(Args)]
#[command(
    after_help = "Serves the page on 127.0.0.1, for browsers of this machine alone, and opens it; Ctrl-C ends it. The
browser computes everything, and no picture leaves it. It needs WebAssembly with SIMD, as all have had since 2023.

Examples:
  ksom explore
  ksom explore runs/faces
  ksom explore photos-ksom --no-open --port 8000
  ksom explore --export site/        # a folder for any web server; `ksom push --space` uploads it"
)]
pub struct ExploreArgs {
    /// The model that the page begins with: a model directory, the name of a built-in model (`ksom list`), or
    /// owner/name[@revision] on the Hub [default: a built-in one that fits the picture]
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// The port to listen on [default: a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Open no browser
    #[arg(long)]
    pub no_open: bool,
    /// Write the page into this folder instead, for any web server
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["port", "no_open"])]
    pub export: Option<PathBuf>,
    /// With --export: replace files that are there
    #[arg(long, requires = "export")]
    pub overwrite: bool,
}

#[cfg(feature = "explore")]
pub fn run(args: ExploreArgs, settings: &Settings) -> Result<u8> {
    use crate::explore::{Exported, Server, Serving, export, site};
    use crate::output::print;

    let site = site(args.model.as_deref(), settings)?;
    if let Some(folder) = args.export {
        let (files, bytes) = export(&site, &folder, args.overwrite)?;
        return print(&Exported { folder, files, bytes }, settings);
    }
    let server = Server::bind(args.port.unwrap_or(0))?;
    let address = server.address();
    print(&Serving { address: address.clone() }, settings)?;
    if !args.no_open
        && let Err(error) = open::that_detached(&address)
    {
        settings.console.warn(&format!("cannot open a browser ({error}): open {address} in one"), None);
    }
    match server.run(site)? {}
}

#[cfg(not(feature = "explore"))]
pub fn run(_: ExploreArgs, _: &Settings) -> Result<u8> {
    anyhow::bail!("this ksom was built without the feature `explore`: build it with the feature")
}
