//! Requests about one repository, and what the Hub's refusals mean.

use std::io::Read;
use std::time::Duration;

use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, RANGE, USER_AGENT};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::event::HubEvent;
use super::failure::Failure;
use super::name::HubName;
use super::package::RepositoryKind;
use super::settings::Hub;
use super::waiting;
use crate::error::{Error, HubProblem, Result};

/// The largest answer of the Hub's interface that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 20;
/// The longest part of the Hub's own words that is passed on.
const MAX_WORDS: usize = 300;
/// What is sent takes the Hub longer than what is asked: at least so many seconds, and one more for each so many bytes.
const SENDING_TIMEOUT: u64 = 60;
const BYTES_PER_SECOND: u64 = 50_000;

/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("ksom/", env!("CARGO_PKG_VERSION"));

/// The Hub, asked about one repository.
pub(crate) struct Client<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) name: &'a HubName,
    kind: RepositoryKind,
    http: reqwest::blocking::Client,
}

/// The Hub's answer where it is no success.
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    /// The Hub's own name for what is wrong, such as `RepoNotFound`.
    pub(crate) code: Option<&'a str>,
    /// The Hub's words.
    pub(crate) words: Option<&'a str>,
    /// How long it asks to wait.
    pub(crate) wait: Duration,
}

impl<'a> Client<'a> {
    pub(crate) fn new(hub: &'a Hub, name: &'a HubName, kind: RepositoryKind) -> Result<Self> {
        // A blocking client would panic there, on its way out at the latest.
        if tokio::runtime::Handle::try_current().is_ok() {
            return Err(Error::Hub {
                subject: name.to_string(),
                problem: HubProblem::InsideRuntime,
                message: "calls to the Hub block, and this one comes from async code: make it inside \
                          tokio::task::spawn_blocking, or on a thread of its own"
                    .into(),
            });
        }
        let http = reqwest::blocking::Client::builder()
            .connect_timeout(hub.timeout)
            .timeout(hub.timeout)
            .build()
            .map_err(|error| cannot_start(name, &error))?;
        Ok(Self { hub, name, kind, http })
    }

    /// The address of the Hub's interface to this repository.
    pub(crate) fn interface(&self) -> String {
        format!("{}/api/{}s/{}", self.hub.endpoint, self.kind.name(), self.name.repository())
    }

    /// The address of the repository's page.
    pub(crate) fn page(&self) -> String {
        format!("{}/{}{}", self.hub.endpoint, self.kind.folder(), self.name.repository())
    }

    /// Asks the Hub's interface; `path` is below [`Self::interface`].
    pub(crate) fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.send(self.get(&format!("{}{path}", self.interface())))?)
    }

    /// The same of an answer that comes in pages: the rest of it, if there is more, is at the address that is given.
    #[cfg(feature = "shards")]
    pub(crate) fn ask_page<T: DeserializeOwned>(&self, url: &str) -> Result<(T, Option<String>), Failure> {
        let response = self.send(self.get(url))?;
        let next = header(&response, "link").and_then(next_page).map(String::from);
        // The token goes nowhere else.
        let own = |url: &String| url.strip_prefix(&self.hub.endpoint).is_some_and(|path| path.starts_with('/'));
        Ok((self.read(response)?, next.filter(own)))
    }

    /// The same where what is asked for may be missing, which the Hub calls `absent`.
    pub(crate) fn ask_for<T: DeserializeOwned>(&self, path: &str, absent: &str) -> Result<Option<T>, Failure> {
        let response = self.send_anyway(self.get(&format!("{}{path}", self.interface())))?;
        let code = header(&response, "x-error-code");
        if response.status() == StatusCode::NOT_FOUND && code.is_none_or(|code| code == absent) || code == Some(absent)
        {
            return Ok(None);
        }
        self.read(self.accept(response)?).map(Some)
    }

    /// A file of a commit from byte `start` on. The answer may be the whole file nevertheless (status 200).
    pub(crate) fn file(&self, commit: &str, path: &str, start: u64) -> Result<Response, Failure> {
        let request = self.get(&format!("{}/resolve/{commit}/{}", self.page(), path_in_address(path)));
        self.send(if start > 0 { request.header(RANGE, format!("bytes={start}-")) } else { request })
    }

    /// A request that says who asks. Only for addresses of the Hub's own.
    pub(crate) fn get(&self, url: &str) -> RequestBuilder {
        self.authorized(self.http.get(url).header(ACCEPT_ENCODING, "identity"))
    }

    /// A request that sends something to the Hub, and says who does.
    pub(crate) fn post(&self, url: &str, kind: &str, body: Vec<u8>) -> RequestBuilder {
        self.authorized(self.upload(Method::POST, url, body)).header(reqwest::header::CONTENT_TYPE, kind)
    }

    /// A request that sends something to an address that the Hub has named, and does not say who does.
    pub(crate) fn upload(&self, method: Method, url: &str, body: Vec<u8>) -> RequestBuilder {
        let timeout = Duration::from_secs(SENDING_TIMEOUT + body.len() as u64 / BYTES_PER_SECOND);
        self.http.request(method, url).header(USER_AGENT, AGENT).timeout(timeout.max(self.hub.timeout)).body(body)
    }

    /// Adds who asks.
    pub(crate) fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header(USER_AGENT, AGENT);
        match &self.hub.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {}", token.secret())),
            None => request,
        }
    }

    /// Sends a request that should succeed.
    pub(crate) fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        self.accept(self.send_anyway(request)?)
    }

    /// Sends a request, whatever is answered.
    pub(crate) fn send_anyway(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().map_err(|error| Failure::passing(self.unreachable(&error.without_url())))
    }

    /// An answer that is a success.
    pub(crate) fn accept(&self, response: Response) -> Result<Response, Failure> {
        if response.status().is_success() { Ok(response) } else { Err(self.read_refusal(response)) }
    }

    /// An answer in JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let mut text = Vec::new();
        response
            .take(MAX_ANSWER + 1)
            .read_to_end(&mut text)
            .map_err(|error| Failure::passing(self.unreachable(&error)))?;
        if text.len() as u64 > MAX_ANSWER {
            return Err(Failure::Final(
                HubProblem::Refused,
                format!("{} answers with more than {MAX_ANSWER} bytes", self.hub.endpoint),
            ));
        }
        serde_json::from_slice(&text)
            .map_err(|error| Failure::passing(format!("{} does not answer as a Hub does: {error}", self.hub.endpoint)))
    }

    fn read_refusal(&self, response: Response) -> Failure {
        let status = response.status().as_u16();
        let wait = waiting::asked_for(|name| header(&response, name));
        let own = |name: &str| header(&response, name).map(String::from);
        let (code, words) = (own("x-error-code"), own("x-error-message"));
        // Where no header has the Hub's words, its answer may.
        let words = words.or_else(|| {
            let mut text = Vec::new();
            response.take(MAX_ANSWER).read_to_end(&mut text).ok()?;
            Some(serde_json::from_slice::<serde_json::Value>(&text).ok()?["error"].as_str()?.to_string())
        });
        self.refused(&Refusal { status, code: code.as_deref(), words: words.as_deref(), wait })
    }

    /// What tells of requests that are tried again.
    pub(crate) fn told<'f>(&'f self, on_event: &'f mut dyn FnMut(HubEvent)) -> impl FnMut(&str, Duration) + 'f {
        |reason, wait| on_event(HubEvent::Retrying { reason: &self.hide_token(reason), wait })
    }

    /// What a refusal means, and what to do.
    pub(crate) fn refused(&self, refusal: &Refusal) -> Failure {
        use HubProblem::{Authentication, NotFound, Refused};
        let Hub { endpoint, token, .. } = self.hub;
        let (repository, revision) = (self.name.repository(), self.name.revision());
        let words = refusal.words.map(|words| format!(" ({})", shorten(words))).unwrap_or_default();
        let log_in = "set HF_TOKEN, or log in with `hf auth login`";
        let no_repository = || match token {
            Some(_) => format!("{endpoint} knows no such repository that the token may read: check the name"),
            None => format!("{endpoint} knows no such public repository: check the name; if it is private, {log_in}"),
        };
        let (problem, message) = match (refusal.status, refusal.code) {
            (_, Some("RepoNotFound")) => (NotFound, no_repository()),
            (_, Some("RevisionNotFound")) => (NotFound, format!("the repository has no revision {revision:?}")),
            (_, Some("EntryNotFound")) => (NotFound, format!("the repository lacks a file that a model needs{words}")),
            (_, Some("GatedRepo")) => {
                let first = if token.is_none() { format!("{log_in}, and ") } else { String::new() };
                let message = format!("access is granted on request only: {first}ask for it on {}", self.page());
                (Authentication, message)
            }
            (401, _) if token.is_none() => {
                let message =
                    format!("{endpoint} wants to know who asks{words}: check the name; if it is private, {log_in}");
                (Authentication, message)
            }
            (401, _) => {
                (Authentication, format!("{endpoint} does not accept the token{words}: check HF_TOKEN, or log in anew"))
            }
            (403, _) => {
                (Authentication, format!("access denied{words}: use a token that may do this with {repository}"))
            }
            (404, _) => (NotFound, no_repository()),
            (408 | 429 | 500..600, _) => {
                let message = format!("{endpoint} answered {}{words}", status_name(refusal.status));
                return Failure::Passing { message, wait: refusal.wait };
            }
            (status, _) => (Refused, format!("{endpoint} answered {}{words}", status_name(status))),
        };
        Failure::Final(problem, message)
    }

    /// What to say where no whole answer came.
    pub(crate) fn unreachable(&self, error: &dyn std::error::Error) -> String {
        format!("{} cannot be reached or broke off: {}", self.hub.endpoint, causes(error))
    }

    /// The failure as the user reads it.
    pub(crate) fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Local(error) => error,
            other => Error::Hub {
                subject: self.name.to_string(),
                problem: other.problem(),
                message: self.hide_token(&other.message()),
            },
        }
    }

    /// Takes the token out of a text that came from elsewhere.
    pub(crate) fn hide_token(&self, text: &str) -> String {
        self.hub.token.as_ref().map_or_else(|| text.to_string(), |token| text.replace(token.secret(), "(token)"))
    }
}

/// The address of the next page, as a header `Link` names it: `<address>; rel="next"`.
#[cfg(feature = "shards")]
fn next_page(links: &str) -> Option<&str> {
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0)
}

/// A path as part of an address: what has a meaning there is written by its number.
fn path_in_address(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A header's text; none where it is empty.
fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

/// Without certificates there is no secure connection, and no client either.
pub(crate) fn cannot_start(name: &HubName, error: &dyn std::error::Error) -> Error {
    Error::Hub { subject: name.to_string(), problem: HubProblem::Unavailable, message: no_secure_connections(error) }
}

pub(crate) fn no_secure_connections(error: &dyn std::error::Error) -> String {
    format!(
        "cannot make secure connections: {}; install the system's CA certificates (on Debian: ca-certificates)",
        causes(error)
    )
}

/// An error and its causes as one text, each part once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        next = cause.source();
    }
    text
}

fn shorten(words: &str) -> String {
    words.chars().take(MAX_WORDS).collect()
}

pub(crate) fn status_name(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}
