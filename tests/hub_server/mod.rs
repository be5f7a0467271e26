//! A Hugging Face Hub on this machine, in memory: what the command and Python's `huggingface_hub` ask of the real one,
//! strictly, and able to fail on demand. For tests only.

mod fault;
mod http;
mod lfs;
mod routes;
mod store;

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fault::{Fault, Kind};
use http::{Request, Response};
use store::Store;
pub use store::Transfer;

/// A token that may read and write everything of `owner`.
pub const OWNER_TOKEN: &str = "hf_OwnerOfTheLoopback";
/// A token that may read.
pub const READER_TOKEN: &str = "hf_ReaderOfTheLoopback";

/// A running server; it answers as long as the program runs.
pub struct HubServer {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    store: Store,
    faults: Vec<Fault>,
    requests: Vec<String>,
    down: bool,
}

impl HubServer {
    /// Starts a server on a free port, or on the one given.
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port to listen on");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State::default()));
        let (served, endpoint) = (state.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, endpoint) = (served.clone(), endpoint.clone());
                std::thread::spawn(move || serve(stream, &state, &endpoint));
            }
        });
        Self { address, state }
    }

    /// What HF_ENDPOINT should be.
    pub fn endpoint(&self) -> &str {
        &self.address
    }

    /// Lets the next requests that fit fail.
    pub fn fail(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }

    /// Takes back all faults.
    pub fn heal(&self) {
        lock(&self.state).faults.clear();
    }

    /// From now on every connection is closed without a word, or served again.
    pub fn set_down(&self, down: bool) {
        lock(&self.state).down = down;
    }

    /// How large files are to come from now on.
    pub fn set_transfer(&self, transfer: Transfer) {
        lock(&self.state).store.transfer = transfer;
    }

    /// Whether somebody asked about every large file that was uploaded.
    pub fn all_verified(&self) -> bool {
        let store = &lock(&self.state).store;
        store.objects.keys().all(|oid| store.verified.contains(oid))
    }

    /// The requests so far, as `METHOD path`; forgets them.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).requests)
    }

    /// A file of a branch as it is stored.
    pub fn file(&self, repository: &str, branch: &str, path: &str) -> Option<Vec<u8>> {
        lock(&self.state).store.file(repository, branch, path)
    }

    /// The names of a branch's files.
    pub fn files(&self, repository: &str, branch: &str) -> Vec<String> {
        lock(&self.state).store.files(repository, branch)
    }

    /// The commit that a branch is at.
    pub fn head(&self, repository: &str, branch: &str) -> Option<String> {
        lock(&self.state).store.head(repository, branch)
    }

    /// Puts files into a branch, as if somebody had pushed them; the repository is created if there is none.
    pub fn put(&self, repository: &str, private: bool, files: &[(&str, &[u8])]) -> String {
        lock(&self.state).store.put(repository, private, files)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, state: &Mutex<State>, endpoint: &str) {
    if lock(state).down {
        return;
    }
    let Some(mut request) = Request::read(&mut BufReader::new(&stream)) else { return };
    let (response, fault) = {
        let mut state = lock(state);
        state.requests.push(format!("{} {}", request.method, request.target()));
        let fault = fault::take(&mut state.faults, &request);
        if matches!(fault, Some(Kind::NoRanges)) {
            request.forget_range();
        }
        // A fault that answers by itself changes nothing.
        let response = match fault.as_ref().and_then(|kind| kind.answer(&request)) {
            Some(response) => response,
            None => routes::answer(&request, &mut state.store, endpoint),
        };
        (response, fault)
    };
    // Browsers may read it from any page.
    let response = response.with("Access-Control-Allow-Origin", "*");
    fault::send(&stream, &request, response, fault);
}

/// What is wrong with a request, said as the Hub says it.
fn refusal(status: u16, code: &str, words: &str) -> Response {
    Response::json(status, &serde_json::json!({ "error": words }))
        .with("X-Error-Code", code)
        .with("X-Error-Message", words)
}
