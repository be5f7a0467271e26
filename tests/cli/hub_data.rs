//! Data sets of the Hub, and tokens that become one.

use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use crate::hub_server::{Fault, HubServer, Kind, OWNER_TOKEN, READER_TOKEN};
use crate::shards::{png, three_shards};
use crate::support::{TINY, Workspace, picture};

/// A Parquet file of pictures, as CIFAR-10 has them on the Hub.
fn pictures(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let schema = "message schema { optional group img { optional binary bytes; optional binary path (UTF8); } optional int64 label; }";
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let count = numbers.len();
    let images: Vec<ByteArray> = numbers.map(|seed| png(&picture(32, 32, seed)).into()).collect();
    for values in [Some(images), None] {
        let mut column = group.next_column().unwrap().unwrap();
        let defined = vec![if values.is_some() { 2 } else { 0 }; count];
        column.typed::<ByteArrayType>().write_batch(&values.unwrap_or_default(), Some(&defined), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&vec![1; count], Some(&vec![1; count]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

/// A Hub with a data set of two configurations.
fn at_a_hub() -> (Workspace, HubServer) {
    let mut space = Workspace::new();
    let server = HubServer::start(0);
    space.set("HF_HUB_OFFLINE", "");
    space.set("HF_ENDPOINT", server.endpoint());
    let files = [
        ("README.md", b"# Pictures".to_vec()),
        ("plain_text/train-00000-of-00002.parquet", pictures(0..6)),
        ("plain_text/train-00001-of-00002.parquet", pictures(6..10)),
        ("plain_text/test-00000-of-00001.parquet", pictures(20..24)),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    server.put("datasets/owner/pictures", false, &files);
    (space, server)
}

fn train(data: &'static str, out: &'static str) -> Vec<&'static str> {
    [&["train", "--data", data, "--out", out, "--steps", "3"], &TINY[..]].concat()
}

#[test]
fn a_data_set_of_the_hub_is_trained_on_and_stays() {
    let (mut space, server) = at_a_hub();
    let finished = space.ok(&train("hub:owner/pictures", "run"));
    assert!(finished.stderr.contains("3 Parquet files"), "{}", finished.stderr);
    // The listing has more files than a page; each file came once, from where it belongs.
    let requests = server.take_requests();
    assert!(requests.iter().any(|request| request.contains("cursor=3")), "{requests:?}");
    let fetched = |requests: &[String]| requests.iter().filter(|request| request.contains("/resolve/")).count();
    assert_eq!(fetched(&requests), 3, "{requests:?}");
    // As Python's huggingface_hub lays it out.
    let commit = server.head("datasets/owner/pictures", "main").unwrap();
    let cache = space.path("hf/hub/datasets--owner--pictures");
    assert_eq!(std::fs::read_to_string(cache.join("refs/main")).unwrap(), commit);
    let file = cache.join("snapshots").join(&commit).join("plain_text/test-00000-of-00001.parquet");
    let target = std::fs::read_link(&file).unwrap();
    assert!(target.starts_with("../../../blobs"), "{}", target.display());

    // The test part is known as such; a split by itself is all there is.
    let told = space.json(&["eval", "--data", "hub:owner/pictures", "--model", "run", "--part", "test"]);
    assert_eq!(told["pictures"].as_str().unwrap_or_default().split(' ').next(), Some("4"), "{told}");
    space.ok(&train("hub:owner/pictures@main:plain_text:train", "split"));
    assert_eq!(fetched(&server.take_requests()), 0);

    // Without the Hub, with and without asking it; a run goes on.
    server.set_down(true);
    assert!(space.ok(&train("hub:owner/pictures", "down")).stderr.contains("warning"));
    space.set("HF_HUB_OFFLINE", "1");
    space.ok(&train("hub:owner/pictures", "offline"));
    space.ok(&["train", "--out", "run", "--resume", "--steps", "5"]);
    assert!(space.fails(&train("hub:owner/other", "no")).contains("not in the cache"));

    // A damaged file is not believed.
    let blob = file.canonicalize().unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    assert!(space.fails(&train("hub:owner/pictures", "no")).contains("damaged"));
    server.set_down(false);
    space.set("HF_HUB_OFFLINE", "");
    space.ok(&train("hub:owner/pictures", "healed"));
    assert_eq!(fetched(&server.take_requests()), 1);
}

#[test]
fn downloads_go_on_where_they_broke_off() {
    let (space, server) = at_a_hub();
    let file = "train-00000-of-00002.parquet";
    server.fail(Fault::new(
        &format!("cdn/datasets/owner/pictures/{}", server.head("datasets/owner/pictures", "main").unwrap()),
        Kind::Reset(3000),
        2,
    ));
    server.fail(Fault::new(file, Kind::Wrong, 1));
    space.ok(&train("hub:owner/pictures", "run"));
}

#[test]
fn what_is_not_there_is_said() {
    let (mut space, server) = at_a_hub();
    let says = |space: &Workspace, data: &'static str, text: &str| {
        let error = space.fails(&train(data, "no"));
        assert!(error.contains(text), "{data}: {error}");
    };
    says(&space, "hub:owner/pictures:fancy", "it has plain_text");
    says(&space, "hub:owner/pictures:plain_text:dev", "it has test, train");
    says(&space, "hub:owner/nothing", "repository");
    says(&space, "hub:owner/pictures@v9", "no revision");
    says(&space, "hub:pictures", "expected owner/name");
    server.put("datasets/owner/csv", false, &[("data.csv", b"a,b")]);
    says(&space, "hub:owner/csv", "no Parquet files");
    server.put("datasets/owner/out", false, &[("../../../evil.parquet", &pictures(0..2))]);
    says(&space, "hub:owner/out", "no Parquet files");
    assert!(!space.path("hf/evil.parquet").exists());
    server.put("datasets/owner/private", true, &[("data/train.parquet", &pictures(0..6))]);
    says(&space, "hub:owner/private", "private");
    space.set("HF_TOKEN", READER_TOKEN);
    space.ok(&train("hub:owner/private", "private"));
    let finished = space.run(&["train", "--recipe", "cifar10", "--out", "runs/new"]);
    assert_eq!(finished.code, 2);
    assert!(
        finished.stderr.contains("ksom train --recipe cifar10 --data hub:uoft-cs/cifar10 --out runs/new"),
        "{}",
        finished.stderr
    );
}

#[test]
fn tokens_become_a_data_set() {
    let (mut space, server) = at_a_hub();
    three_shards(&space);
    space.ok(&["encode", "shards", "-o", "tokens", "--size", "32x32", "--model", "cifar10-ksom"]);
    let told = space.json(&["push-data", "tokens", "owner/tokens", "--dry-run", "--license", "cc0-1.0"]);
    let card = told["card"].as_str().unwrap();
    for text in [
        "license: cc0-1.0\n",
        "12 pictures",
        "768 of 0 … 511",
        "`codes` 8×8",
        "load_dataset(\"owner/tokens\"",
        "**/*.parquet",
        "array2_d: {shape: [8, 8], dtype: uint16}",
    ] {
        assert!(card.contains(text), "{text}: {card}");
    }
    assert!(space.fails(&["push-data", "tokens", "owner/tokens"]).contains("token"));
    space.set("HF_TOKEN", OWNER_TOKEN);
    let told = space.json(&["push-data", "tokens", "owner/tokens"]);
    assert_eq!((&told["uploaded"], &told["there"]), (&json!(8), &json!(0)), "{told}");
    let there = server.files("datasets/owner/tokens", "main");
    assert_eq!(there.len(), 8, "{there:?}");
    let same = |name: &str| {
        server.file("datasets/owner/tokens", "main", name) == std::fs::read(space.path("tokens").join(name)).ok()
    };
    assert!(["000.parquet", "001.parquet", "002.parquet", "manifest.json", "000.json"].into_iter().all(same));
    // Again: large files are there.
    let told = space.json(&["push-data", "tokens", "owner/tokens"]);
    assert_eq!(told["there"], 3, "{told}");
    assert!(!Path::new("README.md").starts_with(space.path("tokens")) && !space.path("tokens/README.md").exists());
    assert!(space.fails(&["push-data", "shards", "owner/tokens"]).contains("manifest.json"));
}
