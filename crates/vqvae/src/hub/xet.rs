//! A commit whose large files go by xet, the Hub's storage of files by their pieces: hf-hub does all of it.

use std::time::Duration;

use hf_hub::repository::{CommitInfo, CommitOperation, RepoType};
use hf_hub::{HFClient, HFClientSync, HFError, HFRepositorySync, HFResult};

use super::client::{AGENT, Client, Refusal, cannot_start};
use super::commit::Committed;
use super::failure::Failure;
use super::name::HubName;
use super::package::{Package, PushOptions, RepositoryKind};
use crate::error::HubProblem;

/// A commit takes the Hub longer than a file does.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Uploads and commits a package.
pub(crate) fn commit(client: &Client, package: &Package, options: &PushOptions) -> Result<Committed, Failure> {
    let (hub, name) = (client.hub, client.name);
    let http = reqwest::Client::builder()
        .user_agent(AGENT)
        .connect_timeout(hub.timeout)
        .read_timeout(hub.timeout.max(COMMIT_TIMEOUT))
        .build()
        .map_err(|error| cannot_start(name, &error))?;
    // Our own retries know when to stop, and wait as long as the Hub asks for.
    let builder = HFClient::builder().endpoint(&hub.endpoint).cache_dir(&hub.cache).client(http).user_agent(AGENT);
    let builder = match &hub.token {
        Some(token) => builder.token(token.secret()),
        None => builder,
    };
    let hf = builder
        .retry_max_attempts(0)
        .build()
        .and_then(HFClientSync::from_inner)
        .map_err(|error| cannot_start(name, &error))?;
    let operations: Vec<CommitOperation> = package
        .files()
        .iter()
        .map(|file| CommitOperation::add_bytes(file.path.as_str(), file.contents.clone()))
        .collect();
    let message = options.summary(package.kind()).to_string();
    let sent = match package.kind() {
        RepositoryKind::Model => send(&hf.model(name.owner(), name.name()), operations, message, name, options),
        RepositoryKind::StaticSpace => send(&hf.space(name.owner(), name.name()), operations, message, name, options),
        RepositoryKind::DataSet => send(&hf.dataset(name.owner(), name.name()), operations, message, name, options),
    };
    let commit = sent.map_err(|error| failure(client, error))?;
    Ok(Committed { commit_oid: commit.commit_oid, pull_request_url: commit.pr_url })
}

/// Uploads and commits files to a repository of some kind.
fn send<T: RepoType>(
    repository: &HFRepositorySync<T>,
    operations: Vec<CommitOperation>,
    message: String,
    name: &HubName,
    options: &PushOptions,
) -> HFResult<CommitInfo> {
    repository
        .create_commit()
        .operations(operations)
        .commit_message(message)
        .revision(name.revision())
        .create_pr(options.create_pr)
        .send()
}

fn failure(client: &Client, error: HFError) -> Failure {
    let wait = match &error {
        HFError::RateLimited { retry_after, .. } => *retry_after,
        _ => None,
    };
    match error {
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::Conflict { context }
        | HFError::RateLimited { context, .. }
        | HFError::RepoNotFound { context: Some(context), .. }
        | HFError::RevisionNotFound { context: Some(context), .. }
        | HFError::EntryNotFound { context: Some(context), .. } => client.refused(&Refusal {
            status: context.status.as_u16(),
            code: context.error_code.as_deref(),
            words: context.server_message.as_deref(),
            wait: wait.unwrap_or_default(),
        }),
        HFError::Request { source, .. } => Failure::passing(client.unreachable(&source.without_url())),
        error @ HFError::Xet { .. } => Failure::passing(client.unreachable(&error)),
        other => Failure::Final(HubProblem::Refused, other.to_string()),
    }
}
