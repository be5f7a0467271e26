//! A file of a web server as a stream.

use std::io::{Error, Read, Result, copy, sink};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};

use crate::error::HubProblem;
use crate::hub::failure::{Attempts, Failure};
use crate::hub::{client, waiting};

/// How long to wait for an answer, or for the next bytes of one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A file of a web server, read once from its first byte to its last. Nothing is asked for before the first read. Where
/// the connection breaks off, it goes on from there, as long as the server says that the file is the same.
pub struct WebStream {
    address: String,
    on_retry: OnRetry,
    answer: Option<Response>,
    /// What the first answer said of the file.
    file: Option<FileFacts>,
    position: u64,
}

/// Told why a request is made again, and after which wait.
type OnRetry = Box<dyn FnMut(&str, Duration) + Send>;

/// What tells a file from another.
#[derive(Clone)]
struct FileFacts {
    bytes: Option<u64>,
    /// The strong entity tag, else the time of its last change.
    version: Option<String>,
}

impl WebStream {
    /// The file at an address, `http://…` or `https://…`. `on_retry` is told why a request is made again, and after which
    /// wait. Reading gives an error where the server refuses, or has not answered several times; the address is not in its
    /// text.
    pub fn new(address: &str, on_retry: impl FnMut(&str, Duration) + Send + 'static) -> Self {
        Self { address: address.to_string(), on_retry: Box::new(on_retry), answer: None, file: None, position: 0 }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Failure> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.ask()?,
        };
        let answer = self.answer.insert(answer);
        let count = answer.read(buffer).map_err(|error| broken(&error))?;
        self.position += count as u64;
        let bytes = self.file.as_ref().and_then(|file| file.bytes);
        match bytes.filter(|bytes| count == 0 && self.position < *bytes) {
            Some(bytes) => Err(Failure::passing(format!("it ended after {} of {bytes} bytes", self.position))),
            None => Ok(count),
        }
    }

    /// The file from the position on.
    fn ask(&mut self) -> std::result::Result<Response, Failure> {
        let mut request = http()?.get(&self.address).header(ACCEPT_ENCODING, "identity");
        if let Some(file) = self.file.as_ref().filter(|_| self.position > 0) {
            request = request.header(RANGE, format!("bytes={}-", self.position));
            if let Some(version) = &file.version {
                request = request.header(IF_RANGE, version);
            }
        }
        let mut response = request.send().map_err(|error| broken(&error.without_url()))?;
        let status = response.status();
        if !status.is_success() && status != StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(refused(&response));
        }
        let found = FileFacts::of(&response);
        let known = self.file.get_or_insert_with(|| found.clone());
        if self.position > 0 && !known.is_same_as(&found) {
            let message = "it broke off, and is not known to be the same file now: try again, or fetch it first";
            return Err(Failure::Final(HubProblem::Damaged, message.to_string()));
        }
        let from = if status == StatusCode::PARTIAL_CONTENT { range_start(response.headers()) } else { Some(0) };
        match from.and_then(|from| self.position.checked_sub(from)) {
            Some(0) => {}
            // Servers that send no parts send what is known once more.
            Some(known) => {
                let passed = copy(&mut response.by_ref().take(known), &mut sink()).map_err(|error| broken(&error))?;
                if passed < known {
                    return Err(Failure::passing("it ended before the place that was reached before"));
                }
            }
            None => {
                let message = "the server sent another part of it than it was asked for";
                return Err(Failure::Final(HubProblem::Damaged, message.to_string()));
            }
        }
        Ok(response)
    }
}

impl FileFacts {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let total = |text: &str| text.rsplit('/').next().and_then(|total| total.parse().ok());
        let bytes = match response.status() {
            StatusCode::OK => response.content_length(),
            _ => text(headers, CONTENT_RANGE).and_then(total),
        };
        let tag = text(headers, ETAG).filter(|tag| !tag.starts_with("W/"));
        Self { bytes, version: tag.or_else(|| text(headers, LAST_MODIFIED)).map(String::from) }
    }

    /// Whether something says so, and nothing says otherwise.
    fn is_same_as(&self, other: &Self) -> bool {
        let bytes = self.bytes.zip(other.bytes).map(|(ours, theirs)| ours == theirs);
        let version = self.version.as_ref().zip(other.version.as_ref()).map(|(ours, theirs)| ours == theirs);
        bytes.or(version) == Some(true) && version.unwrap_or(true)
    }
}

impl Read for WebStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut attempts = Attempts::new();
        loop {
            let failure = match self.read_some(buffer) {
                Ok(count) => return Ok(count),
                Err(failure) => failure,
            };
            self.answer = None;
            attempts.wait(failure, &mut *self.on_retry).map_err(|failure| Error::other(failure.message()))?;
        }
    }
}

/// What all files are asked for with, so that one connection serves many.
fn http() -> std::result::Result<&'static Client, Failure> {
    static HTTP: OnceLock<Client> = OnceLock::new();
    let failed = |problem, message: String| Failure::Final(problem, message);
    // A blocking client would panic there, on its way out at the latest.
    if tokio::runtime::Handle::try_current().is_ok() {
        let message = "reading blocks, and this happens in async code: make it tokio::task::spawn_blocking";
        return Err(failed(HubProblem::InsideRuntime, message.to_string()));
    }
    if let Some(http) = HTTP.get() {
        return Ok(http);
    }
    let built = Client::builder().user_agent(client::AGENT).connect_timeout(TIMEOUT).timeout(TIMEOUT).build();
    let built = built.map_err(|error| failed(HubProblem::Unavailable, client::no_secure_connections(&error)))?;
    Ok(HTTP.get_or_init(|| built))
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::passing(format!("the server cannot be reached or broke off: {}", client::causes(error)))
}

fn refused(response: &Response) -> Failure {
    let status = response.status().as_u16();
    let answered = format!("the server answered {}", client::status_name(status));
    let failed = |problem, what: &str| Failure::Final(problem, format!("{answered}{what}"));
    match status {
        408 | 429 | 500..600 => {
            let wait = waiting::asked_for(|name| response.headers().get(name)?.to_str().ok());
            Failure::Passing { message: answered, wait }
        }
        401 | 403 => failed(HubProblem::Authentication, ": use an address that is signed, or names user:password@"),
        404 | 410 => failed(HubProblem::NotFound, ": check the address"),
        _ => failed(HubProblem::Refused, ""),
    }
}

/// Where a part begins.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_RANGE)?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
