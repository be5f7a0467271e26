//! Shards that are damaged, or made to do harm.

use std::io::Write;

use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::shards::{png, report, shard, tar_of};
use crate::support::{Workspace, picture};

const MODEL: [&str; 2] = ["--model", "cifar10-ksom"];

fn entry(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    let bytes = name.as_bytes();
    header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
    header.set_cksum();
    header
}

#[test]
fn damaged_shards_have_no_tokens_and_the_others_have_theirs() {
    let space = Workspace::new();
    std::fs::create_dir(space.path("in")).unwrap();
    let whole = shard(0..3);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut flipped = gzip.clone();
    // The checksum behind the data.
    let crc = flipped.len() - 8;
    flipped[crc] ^= 1;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(entry(EntryType::Regular, "a.png", 300 << 20).as_bytes()).unwrap();
    for _ in 0..300 {
        bomb.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut header_lost = whole.clone();
    header_lost[512 * 10] ^= 0x55;
    for (name, bytes, says) in [
        ("cut-in-data.tar", &whole[..700], "cut short"),
        ("cut-in-header.tar", &whole[..100], "cut short"),
        ("cut-between.tar", &whole[..whole.len() - 1024], "cut short"),
        ("empty.tar", &[], "empty"),
        ("text.tar", &[b'x'; 2000], "no tar file"),
        ("cut.tar.gz", &gzip[..gzip.len() - 20], ""),
        ("flipped.tar.gz", &flipped, ""),
        ("bomb.tar.gz", &bomb.finish().unwrap(), "times its size"),
        ("bzip2.tar", b"BZh91AY", "bzip2"),
        ("text.parquet", b"PAR1 or so", "cannot be read"),
    ] {
        std::fs::write(space.path("in").join(name), bytes).unwrap();
        std::fs::write(space.path("in/whole.tar"), &whole).unwrap();
        let finished = space.run(&[&["encode", "in", "-o", "out"], &MODEL[..]].concat());
        assert_eq!(finished.code, 1, "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(says), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains("has no tokens"), "{name}: {}", finished.stderr);
        let mut left: Vec<String> = std::fs::read_dir(space.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["manifest.json", "whole.json", "whole.parquet"], "{name}");
        std::fs::remove_dir_all(space.path("out")).unwrap();
        std::fs::remove_file(space.path("in").join(name)).unwrap();
    }
}

#[test]
fn entries_are_bounded_before_they_are_believed() {
    let space = Workspace::new();
    std::fs::create_dir(space.path("in")).unwrap();
    let good = png(&picture(32, 32, 1));
    let mut tar = Builder::new(Vec::new());
    let plain = |tar: &mut Builder<Vec<u8>>, name: &str| {
        tar.append(&entry(EntryType::Regular, name, good.len() as u64), &good[..]).unwrap();
    };
    plain(&mut tar, "a.png");
    let mut link = entry(EntryType::Symlink, "b.png", 0);
    link.set_link_name("/etc/passwd").unwrap();
    link.set_cksum();
    tar.append(&link, std::io::empty()).unwrap();
    let mut hard = entry(EntryType::Link, "c.png", 0);
    hard.set_link_name("a.png").unwrap();
    hard.set_cksum();
    tar.append(&hard, std::io::empty()).unwrap();
    tar.append(&entry(EntryType::Fifo, "d.png", 0), std::io::empty()).unwrap();
    tar.append(&entry(EntryType::Directory, "folder.d/", 0), std::io::empty()).unwrap();
    plain(&mut tar, "../outside.png");
    plain(&mut tar, "/root.png");
    // Sparse, whose map goes on in another block.
    let mut sparse = entry(EntryType::GNUSparse, "e.png", 512);
    sparse.as_gnu_mut().unwrap().set_is_extended(true);
    sparse.set_cksum();
    let mut blocks = vec![0; 512];
    blocks.extend([7; 512]);
    let mut bytes = tar.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(sparse.as_bytes());
    bytes.extend(&blocks);
    let mut rest = Builder::new(Vec::new());
    let long = format!("deep/{}/last.png", "x".repeat(300));
    let mut header = Header::new_gnu();
    header.set_size(good.len() as u64);
    rest.append_data(&mut header, &long, &good[..]).unwrap();
    let mut pax = Builder::new(Vec::new());
    pax.append_pax_extensions([("path", &b"pax.1.png"[..]), ("GNU.sparse.major", b"1")]).unwrap();
    pax.append(&entry(EntryType::Regular, "f.png", 5), &b"12345"[..]).unwrap();
    bytes.extend(rest.into_inner().unwrap().strip_suffix(&[0; 1024]).unwrap());
    bytes.extend(pax.into_inner().unwrap());
    std::fs::write(space.path("in/odd.tar"), &bytes).unwrap();
    space.ok(&[&["encode", "in", "-o", "out", "--form", "tar"], &MODEL[..]].concat());
    let told = report(&space, "out/odd.json");
    assert_eq!(told["pictures"], 2, "{told}");
    let expected = json!({
        "that are links": 2, "that are pipes or devices": 1, "that are sparse": 2, "whose names lead elsewhere": 2
    });
    assert_eq!(told["passed_over"], expected);
    // A long key comes through whole.
    let entries = crate::shards::entries(&space.path("out/odd.tar"));
    assert!(entries.contains_key(&format!("deep/{}/last.codes.npy", "x".repeat(300))));
    space.ok(&["decode", "out", "-o", "pictures"]);

    // An entry that claims more than there is, or more than anything can be.
    for size in [1 << 33, u64::MAX - 600] {
        let mut tar = tar_of([("a.png", good.clone())]);
        tar.truncate(tar.len() - 1024);
        tar.extend(entry(EntryType::Regular, "z.png", size).as_bytes());
        tar.extend([1; 2048]);
        std::fs::write(space.path("in/odd.tar"), &tar).unwrap();
        let finished = space.run(&[&["encode", "in", "-o", "claims"], &MODEL[..]].concat());
        assert_eq!(finished.code, 1, "{}", finished.stderr);
        assert!(finished.stderr.contains("cut short") || finished.stderr.contains("too large"), "{}", finished.stderr);
    }
    // A name that is longer than any.
    let mut tar = entry(EntryType::GNULongName, "././@LongLink", 1 << 30).as_bytes().to_vec();
    tar.extend(vec![b'a'; 1 << 20]);
    std::fs::write(space.path("in/odd.tar"), &tar).unwrap();
    let finished = space.run(&[&["encode", "in", "-o", "claims"], &MODEL[..]].concat());
    assert!(finished.code == 1 && finished.stderr.contains("name is too long"), "{}", finished.stderr);
}
