//! The page on a port of this machine, for browsers of this machine alone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::AbortHandle;

use super::content_type::content_type;
use super::site::Site;

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How long a request's head may take, and all that goes over a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// The most connections at a time: beyond, the oldest is closed.
const MAX_CONNECTIONS: usize = 128;

/// Sent with every answer.
const HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    // Another version of this program may have the port tomorrow.
    ("cache-control", "no-cache"),
];

/// A port that is listened on.
pub struct Server {
    listener: TcpListener,
    port: u16,
}

/// What answers need.
struct Shared {
    site: Site,
    policy: HeaderValue,
    port: u16,
}

impl Server {
    /// Listens on a port of 127.0.0.1; 0 is any free one.
    ///
    /// # Errors
    /// The port is taken, or not to be had.
    pub fn bind(port: u16) -> Result<Self> {
        let told = || match port {
            0 => "cannot listen on a port of 127.0.0.1".to_string(),
            port => format!("cannot listen on 127.0.0.1:{port}: choose another --port, or leave it out for a free one"),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(told)?;
        listener.set_nonblocking(true).with_context(told)?;
        let port = listener.local_addr().with_context(told)?.port();
        Ok(Self { listener, port })
    }

    /// Where the page is.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers as long as the program runs.
    ///
    /// # Errors
    /// The system gives no event queue.
    pub fn run(self, site: Site) -> Result<Infallible> {
        let policy = HeaderValue::try_from(site.content_security_policy()).context("HF_ENDPOINT is no address")?;
        let shared = Arc::new(Shared { site, policy, port: self.port });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start the server")?.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).context("cannot start the server")?;
            let mut connections: VecDeque<AbortHandle> = VecDeque::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // No free file descriptors, most likely: connections that end give some back.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                connections.retain(|connection| !connection.is_finished());
                if connections.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = connections.pop_front()
                {
                    oldest.abort();
                }
                let served = tokio::spawn(serve(stream, shared.clone()));
                connections.push_back(served.abort_handle());
            }
        })
    }
}

/// Answers the requests of one connection. A client that leaves or is too slow is no concern of ours.
async fn serve(stream: tokio::net::TcpStream, shared: Arc<Shared>) {
    let answer = service_fn(|request| {
        let response = answer(&request, &shared);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let path = request.uri().path().strip_prefix('/').unwrap_or_default();
    let mut response = if !is_for_us(request, shared.port) {
        told(StatusCode::MISDIRECTED_REQUEST, "This server answers to 127.0.0.1 and localhost alone.\n")
    } else if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = told(StatusCode::METHOD_NOT_ALLOWED, "There is only something to read here.\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    } else if let Some(bytes) = shared.site.file(path) {
        let path = if path.is_empty() { "index.html" } else { path };
        with_type(StatusCode::OK, content_type(path), bytes.clone())
    } else {
        told(StatusCode::NOT_FOUND, "There is no such file.\n")
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert("content-security-policy", shared.policy.clone());
    response
}

/// Whether a request names this machine as its host. Another name means that somebody else's page has had its own name
/// lead here, to read what only this machine's browsers should.
fn is_for_us(request: &Request<Incoming>, port: u16) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next().is_some());
    let named = request.uri().authority().map(|authority| authority.as_str());
    let is_ours = |host: &str| {
        ["127.0.0.1", "localhost"].iter().any(|name| {
            let whole = host.eq_ignore_ascii_case(&format!("{name}:{port}"));
            whole || port == 80 && host.eq_ignore_ascii_case(name)
        })
    };
    !more && host.is_some_and(is_ours) && named.is_none_or(is_ours)
}

fn told(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
