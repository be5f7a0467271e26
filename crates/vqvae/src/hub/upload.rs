//! Large files on their way to the Hub's storage, as Git LFS has it: the Hub says where each goes, in one piece
//! (`basic`) or in several (`multipart`), and is asked at the end whether all is there.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::event::HubEvent;
use super::failure::{Failure, retry};
use super::package::PackedFile;
use crate::error::HubProblem;

const LFS_JSON: &str = "application/vnd.git-lfs+json";
/// The storage of large files by their pieces, which is hf-hub's business.
const XET: &str = "xet";
/// A file is stored in no more pieces.
const MAX_PARTS: usize = 10_000;

/// The Hub's answer to an announcement of files.
#[derive(Deserialize)]
pub(crate) struct Batch {
    transfer: Option<String>,
    #[serde(default)]
    objects: Vec<Object>,
}

/// What the Hub says of one file.
#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Actions,
    error: Option<Problem>,
}

#[derive(Default, Deserialize)]
struct Actions {
    /// Where it goes; none where it is there already.
    upload: Option<Action>,
    /// Where to ask whether it has come.
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
}

impl Batch {
    /// Announces files, which names the way they go.
    pub(crate) fn announce(
        client: &Client,
        files: &[&PackedFile],
        on_event: &mut dyn FnMut(HubEvent),
    ) -> Result<Self, Failure> {
        let hub = client.hub;
        let url = format!("{}.git/info/lfs/objects/batch", client.page());
        let transfers = if hub.without_xet { vec!["basic", "multipart"] } else { vec!["basic", "multipart", XET] };
        let objects: Vec<_> =
            files.iter().map(|file| json!({"oid": file.sha256, "size": file.contents.len()})).collect();
        let body = json!({
            "operation": "upload", "transfers": transfers, "objects": objects, "hash_algo": "sha256",
            "ref": {"name": client.name.revision()},
        });
        retry(&mut client.told(on_event), || {
            let request = client.post(&url, LFS_JSON, body.to_string().into_bytes());
            client.read(client.send(request.header(reqwest::header::ACCEPT, LFS_JSON))?)
        })
    }

    /// Whether the files are to go by xet.
    pub(crate) fn is_xet(&self) -> bool {
        self.transfer.as_deref() == Some(XET)
    }

    /// Uploads the files, each as the Hub has said.
    pub(crate) fn upload(
        &self,
        client: &Client,
        files: &[&PackedFile],
        on_event: &mut dyn FnMut(HubEvent),
    ) -> Result<(), Failure> {
        match self.transfer.as_deref() {
            None | Some("basic" | "multipart") => {}
            Some(other) => {
                return Err(Failure::Final(
                    HubProblem::Refused,
                    format!(
                        "{} takes large files only by {other:?}, which this version of ksom does not know",
                        client.hub.endpoint
                    ),
                ));
            }
        }
        for file in files {
            let object = self.objects.iter().find(|object| object.oid == file.sha256).ok_or_else(|| unlike(client))?;
            if let Some(problem) = &object.error {
                return Err(Failure::Final(
                    HubProblem::Refused,
                    format!("{} does not take {}: {}", client.hub.endpoint, file.path, problem.message),
                ));
            }
            let Some(upload) = &object.actions.upload else { continue };
            match upload.header.get("chunk_size") {
                Some(size) => upload.in_parts(client, file, size, on_event)?,
                None => {
                    retry(&mut client.told(on_event), || {
                        client.send(upload.with_headers(client.upload(
                            Method::PUT,
                            &upload.href,
                            file.contents.clone(),
                        )))
                    })?;
                }
            }
            if let Some(verify) = &object.actions.verify {
                let size = json!({"oid": file.sha256, "size": file.contents.len()}).to_string();
                verify.post(client, &size, on_event)?;
            }
        }
        Ok(())
    }
}

impl Action {
    /// Uploads a file in parts of the size that the Hub wants, each to an address of its own.
    fn in_parts(
        &self,
        client: &Client,
        file: &PackedFile,
        size: &str,
        on_event: &mut dyn FnMut(HubEvent),
    ) -> Result<(), Failure> {
        let size: usize = size.parse().ok().filter(|size| *size > 0).ok_or_else(|| unlike(client))?;
        let mut addresses: Vec<(u64, &String)> =
            self.header.iter().filter_map(|(name, address)| Some((name.parse().ok()?, address))).collect();
        addresses.sort_unstable();
        let parts: Vec<&[u8]> = file.contents.chunks(size).take(MAX_PARTS + 1).collect();
        if parts.len() != addresses.len() {
            return Err(unlike(client));
        }
        let mut stored = Vec::new();
        for (number, (part, (_, address))) in (1..).zip(parts.into_iter().zip(addresses)) {
            let response =
                retry(&mut client.told(on_event), || client.send(client.upload(Method::PUT, address, part.to_vec())))?;
            let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok());
            stored.push(json!({"partNumber": number, "etag": etag.ok_or_else(|| unlike(client))?}));
        }
        let whole = json!({"oid": file.sha256, "parts": stored}).to_string();
        retry(&mut client.told(on_event), || {
            let request = client.upload(Method::POST, &self.href, whole.clone().into_bytes());
            let request = request.header(reqwest::header::CONTENT_TYPE, LFS_JSON);
            client.send(request.header(reqwest::header::ACCEPT, LFS_JSON))
        })?;
        Ok(())
    }

    /// Sends JSON to the address, with the token only where that is the Hub's own.
    fn post(&self, client: &Client, body: &str, on_event: &mut dyn FnMut(HubEvent)) -> Result<(), Failure> {
        let own = self.href.strip_prefix(&client.hub.endpoint).is_some_and(|path| path.starts_with('/'));
        retry(&mut client.told(on_event), || {
            let request = client.upload(Method::POST, &self.href, body.as_bytes().to_vec());
            let request = if own { client.authorized(request) } else { request };
            client.send(self.with_headers(request.header(reqwest::header::CONTENT_TYPE, LFS_JSON)))
        })?;
        Ok(())
    }

    /// Adds what the Hub wants to be sent along.
    fn with_headers(&self, request: reqwest::blocking::RequestBuilder) -> reqwest::blocking::RequestBuilder {
        self.header.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

fn unlike(client: &Client) -> Failure {
    Failure::Final(
        HubProblem::Refused,
        format!("{} does not say where the large files should go as a Hub does", client.hub.endpoint),
    )
}
