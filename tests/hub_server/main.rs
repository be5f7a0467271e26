//! The loopback Hub by itself, for other programs to talk to: `cargo run --release -p ksom-cli --example hub_server`.

#[path = "mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
mod hub_server;

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let server = hub_server::HubServer::start(port);
    println!("{} {} {}", server.endpoint(), hub_server::OWNER_TOKEN, hub_server::READER_TOKEN);
    loop {
        std::thread::park();
    }
}
