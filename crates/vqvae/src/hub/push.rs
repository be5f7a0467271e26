//! From a package to a repository on the Hub, in one commit.

use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::client::Client;
use super::commit::{self, large_files};
use super::event::HubEvent;
use super::failure::{Failure, retry};
use super::name::{HubName, revision_in_address};
use super::package::{Package, PushOptions, Pushed, RepositoryKind};
use super::settings::Hub;
use super::upload::Batch;
use super::xet;
use crate::error::{Error, HubProblem, Result};

/// Pull requests have revisions of their own.
const PULL_REQUESTS: &str = "refs/pr/";
const JSON: &str = "application/json";

/// What the Hub says of a repository, as far as it matters here.
#[derive(Deserialize)]
struct Repository {
    private: Option<bool>,
}

impl Hub {
    /// Uploads a package to `name` in one commit, to the branch that `name` has as its revision. Repository and branch
    /// are created if need be. Blocks; not to be called from async code.
    ///
    /// # Errors
    /// [`Error::Hub`] where there is no token, the Hub refuses or cannot be reached; the repository is then as it was,
    /// or new and empty.
    pub fn push(
        &self,
        package: &Package,
        name: &HubName,
        options: &PushOptions,
        on_event: &mut dyn FnMut(HubEvent),
    ) -> Result<Pushed> {
        let refused =
            |problem, message: &str| Error::Hub { subject: name.to_string(), problem, message: message.to_string() };
        if self.offline {
            return Err(refused(HubProblem::Offline, "nothing can be pushed while HF_HUB_OFFLINE is set: unset it"));
        }
        if self.token.is_none() {
            return Err(refused(
                HubProblem::Authentication,
                "pushing needs a token with write access: set HF_TOKEN, or log in with `hf auth login`",
            ));
        }
        if name.commit().is_some() {
            return Err(refused(HubProblem::Refused, "a commit cannot be pushed to: name a branch"));
        }
        let client = Client::new(self, name, package.kind())?;
        push(&client, package, options, on_event).map_err(|failure| client.error(failure))
    }
}

fn push(
    client: &Client,
    package: &Package,
    options: &PushOptions,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<Pushed, Failure> {
    let created = create(client, package.kind(), options, on_event)?;
    let bytes = package.files().iter().map(|file| file.contents.len() as u64).sum();
    on_event(HubEvent::Uploading { bytes });
    let large = large_files(client, package, options, on_event)?;
    let by_xet = match large.is_empty() {
        true => false,
        false => {
            let batch = Batch::announce(client, &large, on_event)?;
            if !batch.is_xet() {
                batch.upload(client, &large, on_event)?;
            }
            batch.is_xet()
        }
    };
    let commit = || match by_xet {
        true => xet::commit(client, package, options),
        false => commit::commit(client, package, &large, options),
    };
    // The same files twice are harmless on a branch, but the same proposal twice is not.
    let commit = if options.create_pr { commit() } else { retry(&mut client.told(on_event), commit) }?;
    let url = client.page();
    let pull_request =
        options.create_pr.then(|| commit.pull_request_url.unwrap_or_else(|| format!("{url}/discussions")));
    Ok(Pushed { commit: commit.commit_oid, url, pull_request, created })
}

/// Makes sure of repository and branch; gives whether the repository is new.
fn create(
    client: &Client,
    kind: RepositoryKind,
    options: &PushOptions,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<bool, Failure> {
    let name = client.name;
    let found: Option<Repository> = retry(&mut client.told(on_event), || client.ask_for("", "RepoNotFound"))?;
    let created = match found {
        Some(Repository { private: Some(false) }) if options.private => {
            return Err(Failure::Final(HubProblem::Refused,
                "the repository exists already and is public: make it private on its page, or do not ask for a private \
                 one"
                .to_string(),
            ));
        }
        Some(_) => false,
        None if options.create_pr => {
            return Err(Failure::Final(
                HubProblem::NotFound,
                "there is no such repository to propose a commit to".to_string(),
            ));
        }
        None => {
            let url = format!("{}/api/repos/create", client.hub.endpoint);
            let mut body = json!({
                "name": name.name(), "organization": name.owner(), "type": kind.name(), "private": options.private,
            });
            if kind == RepositoryKind::StaticSpace {
                body["sdk"] = json!("static");
            }
            make(client, &url, &body, on_event)?;
            true
        }
    };
    // The main branch is always there.
    let main = name.to_string() == name.repository();
    if !main && !name.revision().starts_with(PULL_REQUESTS) && !options.create_pr {
        let branch = revision_in_address(name.revision());
        let path = format!("/revision/{branch}");
        let found: Option<IgnoredAny> =
            retry(&mut client.told(on_event), || client.ask_for(&path, "RevisionNotFound"))?;
        if found.is_none() {
            make(client, &format!("{}/branch/{branch}", client.interface()), &json!({}), on_event)?;
        }
    }
    Ok(created)
}

/// Has the Hub make something; that it is there already is no harm.
fn make(
    client: &Client,
    url: &str,
    body: &serde_json::Value,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<(), Failure> {
    retry(&mut client.told(on_event), || {
        let response = client.send_anyway(client.post(url, JSON, body.to_string().into_bytes()))?;
        if response.status() == StatusCode::CONFLICT { Ok(()) } else { client.accept(response).map(drop) }
    })
}
