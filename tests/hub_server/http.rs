//! As much of HTTP/1.1 as the Hub's clients use. Every connection is closed after its answer.

use std::io::BufRead;

use serde_json::Value;

/// The largest body that is read, in bytes.
const MAX_BODY: usize = 256 << 20;

/// A request, read to its end.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// The path's parts, with percent signs resolved.
    pub path: Vec<String>,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// None where the client sends something else than a request, or leaves.
    pub fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let line = line.trim_end().to_string();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut first = lines.first()?.split(' ');
        let (method, target) = (first.next()?.to_string(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut body = Vec::new();
        if header("transfer-encoding") == Some("chunked") {
            read_chunks(stream, &mut body)?;
        } else if let Some(length) = header("content-length") {
            let length: usize = length.parse().ok().filter(|length| *length <= MAX_BODY)?;
            body.resize(length, 0);
            stream.read_exact(&mut body).ok()?;
        }
        let path = path.split('/').filter(|part| !part.is_empty()).map(unescape).collect();
        let query = query.to_string();
        Some(Self { method, path, query, headers, body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Takes back what the `Range` header asks for.
    pub fn forget_range(&mut self) {
        self.headers.retain(|(name, _)| name != "range");
    }

    /// Path and query as text.
    pub fn target(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("/{}{query}", self.path.join("/"))
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The bytes that a `Range` header asks for, out of so many.
    pub fn range(&self, length: usize) -> Option<std::ops::Range<usize>> {
        let (start, end) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let start: usize = start.parse().ok()?;
        let end = end.parse::<usize>().map_or(length, |last| (last + 1).min(length));
        Some(start..end)
    }
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok().filter(|size| body.len() + size <= MAX_BODY)?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Some(());
        }
    }
}

fn unescape(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match escaped.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, value.to_string().into_bytes()).with("Content-Type", "application/json")
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The bytes on the wire; of a HEAD request's answer only the head.
    pub fn bytes(&self, method: &str) -> Vec<u8> {
        let mut head =
            format!("HTTP/1.1 {} -\r\nConnection: close\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}
