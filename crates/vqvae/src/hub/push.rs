//! From a model directory to a repository on the Hub, in one commit.

use std::time::Duration;

use hf_hub::repository::CommitOperation;
use hf_hub::{HFClient, HFClientSync, HFError, HFRepositorySync, RepoTypeModel};

use super::client::{AGENT, Client, Refusal, cannot_start};
use super::event::HubEvent;
use super::failure::{Failure, retry};
use super::name::HubName;
use super::package::{Package, PushOptions, Pushed};
use super::settings::Hub;
use crate::error::{Error, HubProblem, Result};

/// A commit takes the Hub longer than a file does.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Pull requests have revisions of their own.
const PULL_REQUESTS: &str = "refs/pr/";

impl Hub {
    /// Uploads a model to `name` in one commit, to the branch that `name` has as its revision. Repository and branch
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
        let Some(token) = &self.token else {
            return Err(refused(
                HubProblem::Authentication,
                "pushing needs a token with write access: set HF_TOKEN, or log in with `hf auth login`",
            ));
        };
        if name.commit().is_some() {
            return Err(refused(HubProblem::Refused, "a commit cannot be pushed to: name a branch"));
        }
        let client = Client::new(self, name)?;
        let http = reqwest::Client::builder()
            .user_agent(AGENT)
            .connect_timeout(self.timeout)
            .read_timeout(self.timeout.max(COMMIT_TIMEOUT))
            .build()
            .map_err(|error| cannot_start(name, &error))?;
        // Our own retries know when to stop, and wait as long as the Hub asks for.
        let hf = HFClient::builder()
            .endpoint(&self.endpoint)
            .token(token.secret())
            .cache_dir(&self.cache)
            .client(http)
            .user_agent(AGENT)
            .retry_max_attempts(0)
            .build()
            .and_then(HFClientSync::from_inner)
            .map_err(|error| cannot_start(name, &error))?;
        Push { client: &client, repository: hf.model(name.owner(), name.name()), hf: &hf }
            .run(package, options, on_event)
            .map_err(|failure| client.error(failure))
    }
}

struct Push<'a> {
    client: &'a Client<'a>,
    hf: &'a HFClientSync,
    repository: HFRepositorySync<RepoTypeModel>,
}

impl Push<'_> {
    fn run(
        &self,
        package: &Package,
        options: &PushOptions,
        on_event: &mut dyn FnMut(HubEvent),
    ) -> Result<Pushed, Failure> {
        let name = self.client.name;
        let created = self.create(options, on_event)?;
        let bytes = package.files().iter().map(|file| file.contents.len() as u64).sum();
        on_event(HubEvent::Uploading { bytes });
        let message = options.message.clone().unwrap_or_else(|| "Upload a model by ksom".to_string());
        let operations: Vec<CommitOperation> =
            package.files().iter().map(|file| CommitOperation::add_bytes(file.path, file.contents.clone())).collect();
        let commit = || {
            self.repository
                .create_commit()
                .operations(operations.clone())
                .commit_message(message.clone())
                .revision(name.revision())
                .create_pr(options.create_pr)
                .send()
                .map_err(|error| self.failure(error))
        };
        // The same files twice are harmless on a branch, but the same proposal twice is not.
        let commit = if options.create_pr { commit() } else { self.retry(on_event, commit) }?;
        let endpoint = &self.client.hub.endpoint;
        let url = format!("{endpoint}/{}", name.repository());
        // hf-hub 1.0.0 looks for the pull request's address under another name than the Hub gives it.
        let pull_request = options.create_pr.then(|| commit.pr_url.unwrap_or_else(|| format!("{url}/discussions")));
        Ok(Pushed { commit: commit.commit_oid, url, pull_request, created })
    }

    /// Makes sure of repository and branch; gives whether the repository is new.
    fn create(&self, options: &PushOptions, on_event: &mut dyn FnMut(HubEvent)) -> Result<bool, Failure> {
        let name = self.client.name;
        let found = self.retry(on_event, || match self.repository.info().send() {
            Ok(info) => Ok(Some(info)),
            Err(HFError::RepoNotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure(error)),
        })?;
        let created = match found {
            Some(info) if options.private && info.private == Some(false) => {
                return Err(Failure::Final(
                    "the repository exists already and is public: make it private on its page, or push to it as a public one"
                        .to_string(),
                ));
            }
            Some(_) => false,
            None if options.create_pr => {
                return Err(Failure::Final("there is no such repository to propose a commit to".to_string()));
            }
            None => {
                self.retry(on_event, || {
                    self.hf
                        .create_repository()
                        .repo_id(name.repository())
                        .repo_type(RepoTypeModel)
                        .private(options.private)
                        .exist_ok(true)
                        .send()
                        .map_err(|error| self.failure(error))
                })?;
                true
            }
        };
        if !name.revision().starts_with(PULL_REQUESTS) && !options.create_pr {
            self.create_branch(on_event)?;
        }
        Ok(created)
    }

    fn create_branch(&self, on_event: &mut dyn FnMut(HubEvent)) -> Result<(), Failure> {
        let name = self.client.name;
        if name.to_string() == name.repository() {
            // The main branch is always there.
            return Ok(());
        }
        self.retry(on_event, || match self.repository.info().revision(name.revision()).send() {
            Err(HFError::RevisionNotFound { .. }) => {
                self.repository.create_branch().branch(name.revision()).send().map_err(|error| self.failure(error))
            }
            Err(error) => Err(self.failure(error)),
            Ok(_) => Ok(()),
        })
    }

    fn retry<T>(
        &self,
        on_event: &mut dyn FnMut(HubEvent),
        attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        retry(&mut |reason| on_event(HubEvent::Retrying { reason: &self.client.hide_token(reason) }), attempt)
    }

    fn failure(&self, error: HFError) -> Failure {
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
            | HFError::EntryNotFound { context: Some(context), .. } => self.client.refused(&Refusal {
                status: context.status.as_u16(),
                code: context.error_code.as_deref(),
                words: context.server_message.as_deref(),
                wait,
            }),
            HFError::Request { source, .. } => Failure::passing(self.client.unreachable(&source.without_url())),
            error @ HFError::Xet { .. } => Failure::passing(self.client.unreachable(&error)),
            other => Failure::Final(other.to_string()),
        }
    }
}
