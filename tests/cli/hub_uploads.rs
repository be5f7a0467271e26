//! Large files on their way to the Hub, and what goes there.

use crate::hub::{at_a_hub, files};
use crate::hub_server::{Fault, Kind, OWNER_TOKEN, Transfer};

#[test]
fn large_files_go_as_the_hub_wants_them() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    let [_, weights] = files(&space, "run");
    let piece = weights.len() / 3;
    for (number, transfer, puts) in [
        (0, Transfer::Basic, 1),
        (1, Transfer::WithHeader, 1),
        (2, Transfer::Multipart(piece), weights.len().div_ceil(piece)),
        (3, Transfer::Multipart(weights.len()), 1),
    ] {
        server.set_transfer(transfer);
        server.take_requests();
        let repository = format!("owner/way{number}");
        space.ok(&["push", "run", &repository]);
        assert!(server.file(&repository, "main", "model.safetensors").unwrap() == weights);
        assert!(server.all_verified());
        let requests = server.take_requests();
        assert_eq!(requests.iter().filter(|request| request.starts_with("PUT /lfs/")).count(), puts, "{requests:?}");
    }
    // What fails on the way is tried again, each part by itself.
    server.set_transfer(Transfer::Multipart(piece));
    for (number, of) in ["/2", "POST /lfs/", "/lfs-verify/"].into_iter().enumerate() {
        let repository = format!("owner/again{number}");
        server.fail(Fault::new(of, Kind::Status(503), 1));
        space.ok(&["push", "run", &repository]);
        assert!(server.file(&repository, "main", "model.safetensors").unwrap() == weights);
        server.heal();
    }
    space.set("HF_TOKEN", "");
    let folder = space.json(&["pull", "owner/again0"])["folder"].as_str().unwrap().to_string();
    assert!(files(&space, &folder)[1] == weights);
}

#[test]
fn ways_that_are_none_are_refused_before_the_commit() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    for (transfer, says) in [(Transfer::Unknown, "carrier-pigeon"), (Transfer::Refused, "too heavy")] {
        server.set_transfer(transfer);
        server.take_requests();
        let error = space.fails(&["push", "run", "owner/none"]);
        assert!(error.contains(says) && error.contains("owner/none"), "{error}");
        assert!(!server.take_requests().iter().any(|request| request.contains("/commit/")));
        assert_eq!(server.files("owner/none", "main"), [""; 0]);
    }
    // Xet can be left out, as in Python.
    server.set_transfer(Transfer::Xet);
    space.set("HF_HUB_DISABLE_XET", "1");
    space.ok(&["push", "run", "owner/none"]);
    assert!(server.file("owner/none", "main", "model.safetensors").unwrap() == files(&space, "run")[1]);
}

#[test]
fn a_built_in_model_can_be_pushed() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    let pushed = space.json(&["push", "cifar10-ksom", "owner/copy", "--license", "mit"]);
    assert_eq!(server.files("owner/copy", "main"), ["README.md", "config.json", "metrics.jsonl", "model.safetensors"]);
    let (of_zoo, of_hub) = (space.json(&["info", "cifar10-ksom"]), space.json(&["info", "owner/copy"]));
    assert_eq!(of_zoo["fingerprint"], of_hub["fingerprint"]);
    let weights = pushed["files"].as_array().unwrap().iter().find(|file| file["path"] == "model.safetensors").unwrap();
    let listed = space.json(&["list"]);
    assert_eq!(weights["sha256"], listed["models"][0]["sha256"]);
    // One that was pulled goes on under another name, too.
    space.ok(&["push", "owner/copy", "owner/again"]);
    assert_eq!(
        server.file("owner/again", "main", "model.safetensors"),
        server.file("owner/copy", "main", "model.safetensors")
    );
    let error = space.fails(&["push", "cifar11-ksom", "owner/copy"]);
    assert!(error.contains("cifar11-ksom") && error.contains("cifar10-ksom"), "{error}");
}

#[cfg(feature = "onnx")]
#[test]
fn onnx_files_go_along_and_the_card_says_how_to_run_them() {
    let (mut space, server) = at_a_hub();
    space.set("HF_TOKEN", OWNER_TOKEN);
    let dry = space.json(&["push", "run", "owner/tiny", "--onnx", "--dry-run"]);
    let pushed = space.json(&["push", "run", "owner/tiny", "--onnx"]);
    assert_eq!(dry["files"], pushed["files"]);
    assert_eq!(
        server.files("owner/tiny", "main"),
        ["README.md", "config.json", "metrics.jsonl", "model.safetensors", "onnx/decoder.onnx", "onnx/encoder.onnx"]
    );
    let file = |name: &str| server.file("owner/tiny", "main", name).unwrap();
    // As the command exports them, but for the name.
    std::fs::rename(space.path("run"), space.path("tiny")).unwrap();
    space.ok(&["export", "tiny", "--onnx", "out"]);
    for name in ["encoder.onnx", "decoder.onnx"] {
        let local = std::fs::read(space.path("out").join(name)).unwrap();
        let pushed = file(&format!("onnx/{name}"));
        assert!(String::from_utf8_lossy(&pushed).contains("ksom model owner/tiny"), "{name}");
        assert_eq!(pushed.len(), local.len() + 2 * "owner/".len(), "{name}");
    }
    let card = String::from_utf8(file("README.md")).unwrap();
    for text in ["- \"onnx\"\n", "onnx/encoder.onnx", "onnxruntime-web", "hf_hub_download(\"owner/tiny\""] {
        assert!(card.contains(text), "{text}: {card}");
    }
    // Without them nothing is said of them, and pulling the model leaves them where they are.
    space.ok(&["push", "tiny", "owner/plain"]);
    let card = String::from_utf8(server.file("owner/plain", "main", "README.md").unwrap()).unwrap();
    assert!(!card.contains("onnx"), "{card}");
    let folder = space.json(&["pull", "owner/tiny"])["folder"].as_str().unwrap().to_string();
    assert!(files(&space, &folder) == files(&space, "tiny") && !space.path(&folder).join("onnx").exists());

    // Weights that are stored in f16 go so; a card of one's own goes as it is.
    space.ok(&["convert", "tiny", "half", "--half"]);
    std::fs::write(space.path("half/README.md"), "mine").unwrap();
    space.ok(&["push", "half", "owner/half", "--onnx"]);
    assert_eq!(server.file("owner/half", "main", "README.md").unwrap(), b"mine");
    let size = |repository: &str| server.file(repository, "main", "onnx/decoder.onnx").unwrap().len();
    assert!(size("owner/half") < size("owner/tiny"));
}

#[test]
fn cards_of_tuned_models_name_their_base() {
    let (space, _) = at_a_hub();
    let tune = |base: &str, run: &str| {
        let args = ["finetune", base, "--data", "data", "--out", run, "--steps", "1", "--set", "batch_size=2"];
        space.ok(&[&args[..], &["--set", "size=[16,16]"]].concat());
    };
    let card = |run: &str, more: &[&str]| {
        let dry = space.json(&[&["push", run, "owner/tuned", "--dry-run"], more].concat());
        dry["card"].as_str().unwrap().to_string()
    };
    tune("cifar10-ksom", "tuned");
    let of_zoo = card("tuned", &[]);
    assert!(of_zoo.contains("base_model: \"ksom-rs/cifar10-ksom\"\nbase_model_relation: finetune\n"), "{of_zoo}");
    // A folder looks like a name on the Hub, but is none; its name there can be told.
    std::fs::create_dir(space.path("runs")).unwrap();
    std::fs::rename(space.path("run"), space.path("runs/mine")).unwrap();
    tune("runs/mine", "again");
    assert!(!card("again", &[]).contains("base_model:"));
    assert!(card("again", &["--base-model", "owner/mine"]).contains("base_model: \"owner/mine\"\n"));
}
