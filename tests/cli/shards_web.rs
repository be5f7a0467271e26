//! Shards that a web server has.

use serde_json::json;

use crate::hub_server::{Fault, HubServer, Kind};
use crate::shards::{report, rows, shard, three_shards};
use crate::support::Workspace;

const MODEL: [&str; 2] = ["--model", "cifar10-ksom"];

/// Where the server's addresses lead to.
const STORE: &str = "/cdn/";

/// Three shards on this disk, and the same on a server, in the folder whose address is given.
fn on_the_web() -> (Workspace, HubServer, String) {
    let space = Workspace::new();
    three_shards(&space);
    let server = HubServer::start(0);
    let files = ["000.tar", "001.tar.gz", "002.tar.zst"];
    let files = files.map(|name| (name, std::fs::read(space.path(&format!("shards/{name}"))).unwrap()));
    server.put("datasets/owner/shards", false, &files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    let folder = format!("{}/datasets/owner/shards/resolve/main", server.endpoint());
    (space, server, folder)
}

/// Encodes the three from the web, and compares with what those on the disk give.
fn encode_as_from_disk(space: &Workspace, folder: &str) {
    space.ok(&[&["encode", "shards", "-o", "disk"], &MODEL[..]].concat());
    let addresses =
        [format!("{folder}/{{000..000}}.tar?signed=secret"), format!("{folder}/{{001.tar.gz,002.tar.zst}}")];
    let told = space.json(&[&["encode", &addresses[0], &addresses[1], "-o", "web"], &MODEL[..]].concat());
    assert_eq!((&told["made"], &told["pictures"]), (&json!(3), &json!(12)), "{told}");
    for name in ["000", "001", "002"] {
        let file = |root: &str| space.path(&format!("{root}/{name}.parquet"));
        assert_eq!(rows(&file("web")), rows(&file("disk")));
    }
    assert_eq!(report(space, "web/000.json")["input"], json!(format!("{folder}/000.tar")));
}

#[test]
fn shards_come_from_the_web() {
    let (space, server, folder) = on_the_web();
    encode_as_from_disk(&space, &folder);
    server.take_requests();
    let again = space.json(&["encode", &format!("{folder}/000.tar"), "-o", "web"]);
    assert_eq!((&again["made"], &again["there"]), (&json!(0), &json!(1)), "{again}");
    // Without --model the first picture says which fits: one request, which leads to another.
    assert_eq!(server.take_requests().len(), 2);
    space.ok(&[&["encode", &format!("{folder}/000.tar"), "-o", "web"], &MODEL[..]].concat());
    assert_eq!(server.take_requests().len(), 0, "nothing is asked for what is there");
}

#[test]
fn a_broken_connection_goes_on_from_where_it_broke() {
    for (faults, requests) in [
        (vec![Kind::Reset(3000), Kind::Reset(4000), Kind::Status(503), Kind::Reset(2000)], 5),
        (vec![Kind::Reset(4000), Kind::NoRanges], 2),
    ] {
        let (space, server, folder) = on_the_web();
        faults.into_iter().for_each(|kind| server.fail(Fault::new(STORE, kind, 1)));
        encode_as_from_disk(&space, &folder);
        let is_first = |request: &&String| request.contains(STORE) && request.contains("000.tar");
        assert_eq!(server.take_requests().iter().filter(is_first).count(), requests);
    }
}

#[test]
fn what_is_not_there_or_changes_is_told_and_the_rest_is_done() {
    let (space, server, folder) = on_the_web();
    server.put("datasets/owner/shards", false, &[("003.tar", &shard(12..16))]);
    let encode = |name: &str| {
        let address = format!("{folder}/{name}?signed=secret");
        space.run(&[&["encode", &address, "-o", "out"], &MODEL[..]].concat())
    };
    let finished = encode("{003,004}.tar");
    assert_eq!(finished.code, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("404 Not Found: check the address"), "{}", finished.stderr);
    assert!(finished.stderr.contains("/004.tar") && !finished.stderr.contains("secret"), "{}", finished.stderr);
    assert!(space.path("out/003.parquet").is_file() && !space.path("out/004.parquet").exists());

    server.fail(Fault::new(STORE, Kind::Reset(4000), 1));
    server.fail(Fault::new(STORE, Kind::Body(shard(1..5)[..9000].to_vec()), 1));
    let finished = encode("000.tar");
    assert!(finished.code == 1 && finished.stderr.contains("not known to be the same"), "{}", finished.stderr);
    assert!(!space.path("out/000.parquet").exists());

    for (input, says) in [
        ("https://127.0.0.1:1/*.tar", "does not list its files"),
        ("https://127.0.0.1:1/a.jpg", "tar shards are read"),
        ("https://127.0.0.1:1/a.parquet", "read from its end"),
    ] {
        let error = space.fails(&["encode", input, "-o", "out"]);
        assert!(error.contains(says), "{error}");
    }
    let mixed = space.run(&["encode", &format!("{folder}/000.tar"), "shards/000.tar", "-o", "out"]);
    assert!(mixed.code == 2 && mixed.stderr.contains("by themselves"), "{}", mixed.stderr);
    let data = space.run(&["train", "--data", &format!("wds:{folder}/000.tar"), "--out", "run"]);
    assert!(data.code == 2 && data.stderr.contains("fetch its files first"), "{}", data.stderr);
}
