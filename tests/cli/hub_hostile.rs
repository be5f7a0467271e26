//! What a repository, a Hub's listing or a link in the cache says is not believed.

use serde_json::{Value, json};

use crate::hub::{all_files, at_a_hub, files, publish};
use crate::hub_faults::{INFO, TREE, assert_pulls_well, forget};
use crate::hub_server::{Fault, Kind};
use crate::support::Workspace;

#[test]
fn other_peoples_repositories_are_refused() {
    let (space, server) = at_a_hub();
    let [config, weights] = files(&space, "run");
    let text = String::from_utf8(config.clone()).unwrap();
    let other_shape = text.replace("\"hidden\": 8", "\"hidden\": 16");
    let from_future = text.replace("\"schema_version\": 1", "\"schema_version\": 9");
    for (name, files, says) in [
        ("owner/empty", &[][..], "the repository is empty"),
        ("owner/text", &[("README.md", &b"hello"[..])], "expected a file config.json, found README.md"),
        (
            "owner/bert",
            &[("config.json", b"{\"model_type\": \"bert\"}"), ("model.safetensors", &weights)],
            "a model of transformers (bert)",
        ),
        ("owner/future", &[("config.json", from_future.as_bytes()), ("model.safetensors", &weights)], "newer ksom"),
        ("owner/shape", &[("config.json", other_shape.as_bytes()), ("model.safetensors", &weights)], "do not fit"),
        ("owner/junk", &[("config.json", &config), ("model.safetensors", b"junk")], "safetensors"),
    ] {
        server.put(name, false, files);
        let error = space.fails(&["pull", name]);
        assert!(error.contains(says) && error.contains(name), "{error}");
    }
}

/// The Hub's description of a file.
fn entry(path: &str, bytes: usize, oid: &str) -> Value {
    json!({"type": "file", "path": path, "size": bytes, "oid": oid})
}

/// Every file that is neither in the cache nor was there before.
fn outside(space: &Workspace) -> Vec<std::path::PathBuf> {
    let cache = space.path("hf/hub");
    let mut files = all_files(space.path(""));
    files.retain(|path| !path.starts_with(&cache));
    files.sort();
    files
}

#[test]
fn listings_that_lie_are_refused() {
    let (space, server) = at_a_hub();
    publish(&space, &server, "run", "owner/tiny", false);
    let [config, weights] = files(&space, "run");
    let real: Value = {
        let sha256 = ksom_vqvae::system::sha256(&weights);
        let git = |bytes: &[u8]| {
            use sha1::{Digest, Sha1};
            let digest = Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize();
            digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        json!([entry("config.json", config.len(), &git(&config)), entry("model.safetensors", weights.len(), &sha256)])
    };
    let before = outside(&space);
    let listing = |change: &dyn Fn(&mut Value)| {
        let mut listing = real.clone();
        change(&mut listing);
        listing.to_string().into_bytes()
    };
    let field = |file: usize, name: &'static str, value: Value| listing(&|l| l[file][name] = value.clone());
    let named = |names: &[&str]| json!(names.iter().map(|name| entry(name, 9, &"a".repeat(40))).collect::<Vec<_>>());
    let hostile =
        ["../config.json", "/config.json", "./config.json", "..\\config.json", "config.json\0", "config.json/"];
    let many = format!("[{}{{\"path\":\"x\"}}]", "{\"path\":\"y\"},".repeat(1_000_000));
    let sha = |name: Value| json!({ "sha": name }).to_string().into_bytes();
    let zeros = "0".repeat(40);
    let cases = [
        ("names that are none of ours", TREE, named(&hostile).to_string().into_bytes(), "expected a file config.json"),
        ("a name twice", TREE, listing(&|l| *l = json!([l[0], l[1], l[0]])), "config.json twice"),
        (
            "a name twice, unlike",
            TREE,
            listing(&|l| *l = json!([l[0], l[1], entry("model.safetensors", 1, "b")])),
            "twice",
        ),
        ("a million names", TREE, many.into_bytes(), "expected a file config.json"),
        ("an answer without end", TREE, b" ".repeat(17 << 20), "more than 16777216 bytes"),
        ("deep nesting", TREE, b"[".repeat(1 << 20), "does not answer as a Hub does"),
        ("a commit out of the cache", INFO, sha("../../../evil".into()), "commit named"),
        ("a commit in the root", INFO, sha("/tmp/evil".into()), "commit named"),
        ("a commit of capitals", INFO, sha("A".repeat(40).into()), "commit named"),
        ("a commit with a zero byte", INFO, sha(format!("{}\0", &zeros[1..]).into()), "commit named"),
        ("no commit", INFO, sha("".into()), "commit named"),
        ("a size of 2^64 - 1", TREE, field(1, "size", u64::MAX.into()), "at most"),
        ("a configuration of 2 MiB", TREE, field(0, "size", (2 << 20).into()), "at most 1048576 bytes"),
        ("a size below 0", TREE, field(1, "size", (-1).into()), "does not answer as a Hub does"),
        ("one byte less", TREE, field(1, "size", (weights.len() - 1).into()), "model.safetensors is not what"),
        ("one byte more", TREE, field(1, "size", (weights.len() + 1).into()), "answered 416"),
        ("no size", TREE, listing(&|l| drop(l[1].as_object_mut().unwrap().remove("size"))), "is not what"),
        ("no hash", TREE, field(1, "oid", Value::Null), "without a hash"),
        ("a hash out of the cache", TREE, field(1, "oid", "../../../evil".into()), "without a hash"),
        ("a hash in the root", TREE, field(0, "oid", format!("/tmp/{}", "a".repeat(35)).into()), "without a hash"),
        ("a hash with a zero byte", TREE, field(0, "oid", format!("{}\0", &zeros[1..]).into()), "without a hash"),
        ("another hash", TREE, field(1, "oid", "a".repeat(64).into()), "is not what"),
        ("a large file's hash that is a path", TREE, field(1, "lfs", json!({"oid": "../x"})), "without a hash"),
    ];
    let count = cases.len();
    for (what, of, body, says) in cases {
        forget(&space);
        server.fail(Fault::always(of, Kind::Body(body)));
        let error = crate::hostile::refused(&space, &["pull", "owner/tiny", "--quiet"]);
        assert!(error.contains("owner/tiny") && error.contains(says), "{what}: {error}");
        assert_eq!(outside(&space), before, "{what}");
        server.heal();
    }
    for address in
        ["file:///etc/passwd", "http://127.0.0.1:1/x", &format!("{}/owner/tiny/resolve/x", server.endpoint())]
    {
        forget(&space);
        server.fail(Fault::always("/resolve/", Kind::Redirect(address.to_string())));
        let error = crate::hostile::refused(&space, &["pull", "owner/tiny", "--quiet"]);
        assert!(error.contains("owner/tiny"), "{address}: {error}");
        assert_eq!(outside(&space), before, "{address}");
        server.heal();
    }
    // Among names that lead elsewhere, the model's files are found, and no others are asked for.
    forget(&space);
    let mut among = named(&hostile);
    among.as_array_mut().unwrap().extend(real.as_array().unwrap().iter().cloned());
    server.fail(Fault::always(TREE, Kind::Body(among.to_string().into_bytes())));
    assert_pulls_well(&space);
    assert_eq!(outside(&space), before);
    assert_eq!(count + 3, 26);
}

#[cfg(unix)]
#[test]
fn links_that_lead_out_of_the_cache_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (mut space, server) = at_a_hub();
    let commit = publish(&space, &server, "run", "owner/tiny", false);
    space.ok(&["pull", "owner/tiny"]);
    let home = "hf/hub/models--owner--tiny";
    let snapshot = format!("{home}/snapshots/{commit}");
    let target = std::fs::read_link(space.path(&snapshot).join("model.safetensors")).unwrap();
    let name = target.file_name().unwrap().to_str().unwrap().to_string();
    let whole = files(&space, "run");
    let refs = format!("{home}/refs");
    let folders = [
        format!("{home}/blobs"),
        format!("{home}/snapshots"),
        snapshot.clone(),
        refs.clone(),
        "hf/hub/.locks".to_string(),
        "hf/hub/.locks/models--owner--tiny".to_string(),
    ];
    let replant = |at: &str, to: &std::path::Path| {
        forget(&space);
        let place = space.path(at);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(to, place).unwrap();
    };
    let mut tried = 0;
    for folder in &folders {
        for there in [true, false] {
            let elsewhere = space.path(&format!("elsewhere-{tried}"));
            if there {
                std::fs::create_dir(&elsewhere).unwrap();
            }
            replant(folder, &elsewhere);
            let error = crate::hostile::refused(&space, &["pull", "owner/tiny", "--quiet"]);
            assert!(error.contains("leads out of the Hub's cache") && error.contains(folder), "{folder}: {error}");
            assert!(error.contains(if there { "HF_HUB_CACHE" } else { "to nothing" }), "{error}");
            assert!(all_files(elsewhere.clone()).is_empty() && elsewhere.exists() == there, "{folder}");
            space.ok(&["list"]);
            tried += 1;
        }
    }
    // Files are replaced, not written through.
    let victim = space.path("victim");
    let lock = format!("hf/hub/.locks/models--owner--tiny/{name}.lock");
    for file in [format!("{home}/blobs/{name}"), format!("{home}/blobs/{name}.incomplete"), format!("{refs}/main")] {
        for contents in [&whole[1][..whole[1].len() / 2], &whole[1], b""] {
            std::fs::write(&victim, contents).unwrap();
            replant(&file, &victim);
            assert_pulls_well(&space);
            assert!(std::fs::read(&victim).unwrap() == contents, "{file}");
            tried += 1;
        }
        replant(&file, std::path::Path::new("/dev/zero"));
        space.ok(&["list"]);
        assert_pulls_well(&space);
        tried += 1;
    }
    replant(&lock, &space.path("nowhere"));
    assert!(crate::hostile::refused(&space, &["pull", "owner/tiny", "--quiet"]).contains("leads out"));
    assert!(!space.path("nowhere").exists());
    // What lies outside is no model of the cache, whatever it holds.
    for file in ["config.json", "model.safetensors"] {
        for outside in [space.path("run").join(file), "/etc/passwd".into(), "/dev/zero".into(), space.path("run")] {
            forget(&space);
            space.ok(&["pull", "owner/tiny"]);
            std::fs::remove_file(space.path(&snapshot).join(file)).unwrap();
            symlink(&outside, space.path(&snapshot).join(file)).unwrap();
            space.set("HF_HUB_OFFLINE", "1");
            let error = crate::hostile::refused(&space, &["info", "owner/tiny"]);
            assert!(error.contains("`ksom pull owner/tiny`"), "{error}");
            space.set("HF_HUB_OFFLINE", "");
            assert_pulls_well(&space);
            tried += 1;
        }
    }
    assert!(files(&space, "run") == whole);
    assert_eq!(tried, 12 + 12 + 8);
}
