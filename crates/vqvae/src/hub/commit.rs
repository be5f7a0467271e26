//! A commit: what the Hub wants to know of each file before, and the files' contents or what stands for them.

use serde::Deserialize;
use serde_json::json;

use super::base64::base64;
use super::client::Client;
use super::event::HubEvent;
use super::failure::{Failure, retry};
use super::name::revision_in_address;
use super::package::{Package, PackedFile, PushOptions};
use crate::error::HubProblem;

/// How much of a file the Hub sees before it says how the file should come, in bytes.
const SAMPLE: usize = 512;

/// What the Hub says of a new commit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Committed {
    pub(crate) commit_oid: Option<String>,
    pub(crate) pull_request_url: Option<String>,
}

#[derive(Deserialize)]
struct Announced {
    files: Vec<Mode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    path: String,
    upload_mode: String,
    #[serde(default)]
    should_ignore: bool,
}

/// The files that the Hub stores as large ones: they are uploaded before the commit, which names them by their hash.
pub(crate) fn large_files<'p>(
    client: &Client,
    package: &'p Package,
    options: &PushOptions,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<Vec<&'p PackedFile>, Failure> {
    let files: Vec<_> = package
        .files()
        .iter()
        .map(|file| {
            let sample = base64(&file.contents[..file.contents.len().min(SAMPLE)]);
            json!({"path": file.path, "size": file.contents.len(), "sample": sample})
        })
        .collect();
    let body = json!({ "files": files }).to_string();
    let url = address(client, "preupload", options);
    let Announced { files: modes } = retry(&mut client.told(on_event), || {
        client.read(client.send(client.post(&url, "application/json", body.clone().into_bytes()))?)
    })?;
    let mut large = Vec::new();
    for file in package.files() {
        let mode = modes.iter().find(|mode| mode.path == file.path);
        if mode.is_some_and(|mode| mode.should_ignore) {
            return Err(Failure::Final(
                HubProblem::Refused,
                format!("the repository's .gitignore leaves out {}, which is needed: change it on the Hub", file.path),
            ));
        }
        // An empty file is never stored as a large one.
        if mode.is_some_and(|mode| mode.upload_mode == "lfs") && !file.contents.is_empty() {
            large.push(file);
        }
    }
    Ok(large)
}

/// Commits a package whose large files are there.
pub(crate) fn commit(
    client: &Client,
    package: &Package,
    large: &[&PackedFile],
    options: &PushOptions,
) -> Result<Committed, Failure> {
    let summary = options.summary(package.kind());
    let mut lines = json!({"key": "header", "value": {"summary": summary, "description": ""}}).to_string() + "\n";
    for file in package.files() {
        let line = match large.iter().any(|large| large.path == file.path) {
            true => json!({"key": "lfsFile", "value": {
                "path": file.path, "algo": "sha256", "oid": file.sha256, "size": file.contents.len(),
            }}),
            false => json!({"key": "file", "value": {
                "path": file.path, "encoding": "base64", "content": base64(&file.contents),
            }}),
        };
        lines += &format!("{line}\n");
    }
    let url = address(client, "commit", options);
    client.read(client.send(client.post(&url, "application/x-ndjson", lines.into_bytes()))?)
}

fn address(client: &Client, what: &str, options: &PushOptions) -> String {
    let proposal = if options.create_pr { "?create_pr=1" } else { "" };
    format!("{}/{what}/{}{proposal}", client.interface(), revision_in_address(client.name.revision()))
}
