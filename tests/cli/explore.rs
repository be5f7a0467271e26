//! `ksom explore`: the page as it is served, and as a folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Workspace;

/// A page that is served until the test ends.
struct Served {
    child: Child,
    port: u16,
}

/// An answer: its status, its head in small letters, its body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Served {
    fn start(space: &Workspace, args: &[&str]) -> Self {
        let args = [&["explore", "--no-open"], args].concat();
        let mut child = space.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix('/'));
        Self { port: port.unwrap_or_else(|| panic!("no address: {line:?}")).parse().unwrap(), child }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes, and reads until the connection is closed.
    fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // A server that refuses may close before everything is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn ask(&self, method: &str, path: &str, host: &str) -> Answer {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_and_the_models_are_served_and_nothing_else() {
    let space = Workspace::new();
    let served = Served::start(&space, &[]);
    for (path, bytes) in ksom_web::page::FILES {
        let answer = served.get(&format!("/{path}"));
        assert!(answer.status == 200 && answer.body == *bytes, "{path}");
    }
    assert!(served.get("/").body == ksom_web::page::FILES[0].1);
    assert!(served.get("/index.html?x=1").status == 200);
    let index: serde_json::Value = serde_json::from_slice(&served.get("/models.json").body).unwrap();
    assert_eq!(index["hub"], "https://huggingface.co");
    for model in index["models"].as_array().unwrap() {
        let (name, folder) = (model["name"].as_str().unwrap(), model["folder"].as_str().unwrap());
        let zoo = ksom_vqvae::zoo::find(name).unwrap();
        assert!(served.get(&format!("/{folder}/config.json")).body == zoo.config.as_bytes());
        assert!(served.get(&format!("/{folder}/model.safetensors")).body == zoo.weights);
    }
    for path in [
        "/nothing",
        "/../Cargo.toml",
        "/js",
        "/js/",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/models/photos-ksom",
    ] {
        let answer = served.get(path);
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
    }
    // Only this address listens.
    assert!(TcpStream::connect(("127.0.0.2", served.port)).is_err());
}

#[test]
fn every_answer_is_guarded() {
    let space = Workspace::new();
    let served = Served::start(&space, &[]);
    let own = format!("127.0.0.1:{}", served.port);
    let page = served.get("/");
    for answer in [&page, &served.get("/js/main.js"), &served.get("/nothing"), &served.ask("POST", "/", &own)] {
        for header in [
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval';",
            "connect-src 'self' https://huggingface.co",
            "frame-ancestors 'none'",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.head.contains(header), "{header}: {}", answer.head);
        }
        assert!(!answer.head.contains("access-control-allow"), "{}", answer.head);
    }
    assert!(served.get("/js/main.js").head.contains("content-type: text/javascript"));
    let head = served.ask("HEAD", "/", &own);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.head.contains(&format!("content-length: {}", page.body.len())), "{}", head.head);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        assert_eq!(served.ask(method, "/", &own).status, 405, "{method}");
    }
    // Another name has been led here by somebody else's page.
    let port = served.port;
    let foreign = ["evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "", "127.0.0.1.evil.example"];
    for host in foreign.map(String::from).into_iter().chain([format!("evil.example:{port}"), format!("0.0.0.0:{port}")])
    {
        let answer = served.ask("GET", "/models.json", &host);
        assert!([400, 421].contains(&answer.status) && !answer.body.starts_with(b"{"), "{host}: {}", answer.status);
    }
    assert_eq!(served.ask("GET", "/", &format!("LocalHost:{port}")).status, 200);
    assert!([400, 421].contains(&served.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").status));
    let twice = format!("GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!([400, 421].contains(&served.send(&twice).status));
    let other = format!("GET http://evil.example/ HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
    assert!([400, 421].contains(&served.send(&other).status));
}

#[test]
fn slow_and_large_requests_do_not_hang_it() {
    let space = Workspace::new();
    let served = Served::start(&space, &[]);
    let host = format!("Host: 127.0.0.1:{}", served.port);
    // Clients that say half a sentence, and clients that do not listen.
    let mut slow: Vec<TcpStream> = (0..300).map(|_| served.connect()).collect();
    for stream in &mut slow {
        let _ = write!(stream, "GET / HTTP/1.1\r\n{host}\r\nX-");
    }
    let deaf = |_| write!(served.connect(), "GET /models/photos-ksom/model.safetensors HTTP/1.1\r\n{host}\r\n\r\n");
    (0..20).for_each(|number| drop(deaf(number)));
    let start = Instant::now();
    assert_eq!(served.get("/").status, 200);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(slow);
    let large = format!("GET / HTTP/1.1\r\n{host}\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let mut stream = served.connect();
    let _ = stream.write_all(large.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    let noise = "\u{1}\u{2}nothing\r\n\r\n";
    let _ = served.connect().write_all(noise.as_bytes());
    assert_eq!(served.get("/").status, 200);
}

#[test]
fn a_signal_ends_it_at_once() {
    let space = Workspace::new();
    for signal in ["-INT", "-TERM"] {
        let mut served = Served::start(&space, &[]);
        let _open = served.connect();
        let start = Instant::now();
        let sent = Command::new("kill").args([signal, &served.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        while served.child.try_wait().unwrap().is_none() {
            // A program that is started with Ctrl-C ignored goes on ignoring it.
            assert!(start.elapsed() < Duration::from_secs(2), "still there after {signal}: is it ignored here?");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn ports_and_models_are_what_was_asked_for() {
    let mut space = Workspace::new();
    space.train("run", 0);
    let first = Served::start(&space, &["run"]);
    let index: serde_json::Value = serde_json::from_slice(&first.get("/models.json").body).unwrap();
    assert_eq!((&index["first"], &index["models"][0]["name"]), (&"run".into(), &"run".into()));
    let folder = index["models"][0]["folder"].as_str().unwrap();
    let weights = std::fs::read(space.path("run/model.safetensors")).unwrap();
    assert!(first.get(&format!("/{folder}/model.safetensors")).body == weights);
    // Where it lies is nobody's business.
    let path = space.path("run").canonicalize().unwrap();
    let whole = Served::start(&space, &[path.to_str().unwrap()]);
    for file in ["models.json", &format!("{folder}/config.json")] {
        let text = String::from_utf8(whole.get(&format!("/{file}")).body).unwrap();
        assert!(!text.contains(path.parent().unwrap().to_str().unwrap()), "{text}");
    }
    let taken = first.port.to_string();
    let error = space.fails(&["explore", "--no-open", "--port", &taken]);
    assert!(error.contains(&taken) && error.contains("--port"), "{error}");
    std::fs::write(space.path("run/model.safetensors"), b"no tensors").unwrap();
    assert!(space.fails(&["explore", "run", "--no-open"]).contains("model.safetensors"));
    assert!(space.fails(&["explore", "cifar10-ksm", "--no-open"]).contains("cifar10-ksom"));
    assert_eq!(space.run(&["explore", "--port", "0"]).code, 2);
    // Another Hub is one that the page may ask.
    space.set("HF_ENDPOINT", "http://127.0.0.1:7777");
    let served = Served::start(&space, &[]);
    let page = served.get("/");
    let expected = "connect-src 'self' http://127.0.0.1:7777 http://localhost:7777;";
    assert!(page.head.contains(expected) && String::from_utf8(page.body).unwrap().contains(expected));
    space.set("HF_ENDPOINT", "http://127.0.0.1:7777; script-src *");
    let error = space.fails(&["explore", "--no-open"]);
    assert!(error.contains("HF_ENDPOINT"), "{error}");
}

#[test]
fn the_exported_folder_holds_the_same_files() {
    let space = Workspace::new();
    let exported = space.json(&["explore", "photos-ksom-vqvae2", "--export", "site"]);
    let served = Served::start(&space, &["photos-ksom-vqvae2"]);
    let mut count = 0;
    let mut bytes = 0;
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(space.path("site").join(&folder)).unwrap().map(Result::unwrap) {
            let path = format!("{folder}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(format!("{path}/"));
                continue;
            }
            let contents = std::fs::read(entry.path()).unwrap();
            assert!(served.get(&format!("/{path}")).body == contents, "{path}");
            count += 1;
            bytes += contents.len();
        }
    }
    assert_eq!((&exported["files"], &exported["bytes"]), (&count.into(), &bytes.into()));
    assert!(count > ksom_web::page::FILES.len() + 10, "{count}");
    let card = std::fs::read_to_string(space.path("site/README.md")).unwrap();
    assert!(card.starts_with("---\n") && card.contains("\nsdk: static\n") && card.contains("\napp_file: index.html\n"));
    let page = std::fs::read_to_string(space.path("site/index.html")).unwrap();
    assert!(!page.contains("=\"/"), "an address from the server's root");

    let error = space.fails(&["explore", "--export", "site"]);
    assert!(error.contains("--overwrite"), "{error}");
    space.ok(&["explore", "--export", "site", "--overwrite"]);
    let index = std::fs::read_to_string(space.path("site/models.json")).unwrap();
    assert!(!index.contains("first"), "{index}");
    assert_eq!(space.run(&["explore", "--export", "site", "--port", "8000"]).code, 2);
}
