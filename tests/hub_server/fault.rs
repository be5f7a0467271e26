//! Failures on demand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::http::{Request, Response};
use super::refusal;

/// Which requests fail, how, and how often.
#[derive(Clone, Debug)]
pub struct Fault {
    /// A part of `METHOD path` as it is sent.
    pub of: String,
    pub kind: Kind,
    pub times: usize,
}

/// How a request fails.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Another answer, with words of its own.
    Status(u16),
    /// Too many requests: the seconds to wait.
    TooMany(u64),
    /// The same as the Hub says it in the header `RateLimit`.
    RateLimited(u64),
    /// This, whatever was asked for.
    Body(Vec<u8>),
    /// Another address.
    Redirect(String),
    /// An answer that repeats what the client sent as its authorization.
    Echo,
    /// The connection is reset once so many bytes of the answer are sent.
    Reset(usize),
    /// So many bytes fewer, and a length that says so.
    Short(usize),
    /// So many bytes more, and a length that says so.
    Long(usize),
    /// The same length, one byte flipped.
    Wrong,
    /// Nothing at all until the client leaves.
    Hang,
    /// In pieces of so many bytes, with a pause after each.
    Slow(usize, Duration),
    /// A range is not understood: everything comes.
    NoRanges,
}

impl Fault {
    pub fn new(of: &str, kind: Kind, times: usize) -> Self {
        Self { of: of.to_string(), kind, times }
    }

    pub fn always(of: &str, kind: Kind) -> Self {
        Self::new(of, kind, usize::MAX)
    }
}

impl Kind {
    /// The answer of failures that do not need the real one.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        match self {
            Self::Status(status) => Some(refusal(*status, "", "failing on demand")),
            Self::TooMany(seconds) => Some(refusal(429, "", "too many requests").with("Retry-After", seconds)),
            Self::RateLimited(seconds) => Some(
                refusal(429, "", "too many requests")
                    .with("RateLimit", format!("\"api\";r=0;t={seconds}"))
                    .with("RateLimit-Policy", "\"fixed window\";\"api\";q=500;w=300"),
            ),
            Self::Body(bytes) => Some(Response::new(200, bytes.clone())),
            Self::Redirect(address) => Some(Response::new(302, Vec::new()).with("Location", address)),
            Self::Echo => {
                let words = format!("you sent {}", request.header("authorization").unwrap_or("nothing"));
                Some(refusal(403, "", &words))
            }
            Self::Hang => Some(Response::new(200, Vec::new())),
            _ => None,
        }
    }
}

/// The failure that is due for a request.
pub fn take(faults: &mut [Fault], request: &Request) -> Option<Kind> {
    let sent = format!("{} {}", request.method, request.target());
    let fault = faults.iter_mut().find(|fault| fault.times > 0 && sent.contains(&fault.of))?;
    fault.times -= 1;
    Some(fault.kind.clone())
}

/// Sends the answer, or what is left of it. A client that has left is no concern of ours.
pub fn send(mut stream: &TcpStream, request: &Request, mut response: Response, fault: Option<Kind>) {
    match fault {
        Some(Kind::Short(count)) => response.body.truncate(response.body.len().saturating_sub(count)),
        Some(Kind::Long(count)) => response.body.extend(vec![7; count]),
        Some(Kind::Wrong) => {
            let middle = response.body.len() / 2;
            response.body.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
        }
        _ => {}
    }
    let bytes = response.bytes(&request.method);
    let _ = match fault {
        Some(Kind::Reset(after)) => {
            let sent = stream.write_all(&bytes[..after.min(bytes.len())]).and_then(|()| stream.flush());
            // Without lingering, closing is a reset.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
            sent
        }
        Some(Kind::Hang) => stream.read(&mut [0]).map(drop),
        Some(Kind::Slow(size, pause)) => bytes.chunks(size).try_for_each(|piece| {
            std::thread::sleep(pause);
            stream.write_all(piece)
        }),
        _ => stream.write_all(&bytes),
    };
}
