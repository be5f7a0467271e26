//! Large files as Git LFS uploads them: announced, sent to the addresses that are named, in one piece or in several, and
//! asked about at the end.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::http::{Request, Response};
use super::refusal;
use super::store::{Store, Transfer, hexadecimal};

const LFS_JSON: &str = "application/vnd.git-lfs+json";
/// A header that clients have to pass on.
const HEADER: (&str, &str) = ("x-wanted", "yes");

/// Says where each announced file goes.
pub fn batch(request: &Request, transfer: Transfer, endpoint: &str) -> Response {
    let accepted = [("accept", LFS_JSON), ("content-type", LFS_JSON)];
    if let Some((name, value)) = accepted.iter().find(|(name, value)| request.header(name) != Some(value)) {
        return refusal(400, "", &format!("{name} should be {value}"));
    }
    let body = request.json().unwrap_or_default();
    let offered = |name: &str| body["transfers"].as_array().is_some_and(|offered| offered.contains(&name.into()));
    let chosen = match transfer {
        Transfer::Multipart(_) => "multipart",
        Transfer::Xet if offered("xet") => "xet",
        Transfer::Unknown => "carrier-pigeon",
        _ => "basic",
    };
    if !offered("basic") || !offered("multipart") {
        return refusal(422, "", "this Hub needs basic and multipart");
    }
    let objects: Option<Vec<Value>> = body["objects"].as_array().and_then(|objects| {
        objects
            .iter()
            .map(|object| {
                let (oid, size) = (object["oid"].as_str().filter(|oid| oid.len() == 64)?, object["size"].as_u64()?);
                if transfer == Transfer::Refused {
                    return Some(json!({"oid": oid, "size": size, "error": {"code": 413, "message": "too heavy"}}));
                }
                let address = format!("{endpoint}/lfs/{oid}");
                let header = header(transfer, &address, size as usize);
                let actions = json!({
                    "upload": {"href": address, "header": header},
                    "verify": {"href": format!("{endpoint}/lfs-verify/{oid}"), "header": {}},
                });
                Some(json!({"oid": oid, "size": size, "authenticated": true, "actions": actions}))
            })
            .collect()
    });
    match (body["operation"].as_str(), body["hash_algo"].as_str(), objects) {
        (Some("upload"), Some("sha256"), Some(objects)) => {
            Response::json(200, &json!({"transfer": chosen, "objects": objects}))
        }
        _ => refusal(422, "", "a batch has operation upload, hash_algo sha256 and objects with oid and size"),
    }
}

/// What is to be sent along; where a file comes in pieces, their size and addresses.
fn header(transfer: Transfer, address: &str, size: usize) -> BTreeMap<String, String> {
    match transfer {
        Transfer::WithHeader => [(HEADER.0.to_string(), HEADER.1.to_string())].into(),
        Transfer::Multipart(piece) => (1..=size.div_ceil(piece))
            .map(|number| (format!("{number:05}"), format!("{address}/{number}")))
            .chain([("chunk_size".to_string(), piece.to_string())])
            .collect(),
        _ => BTreeMap::new(),
    }
}

pub fn upload(request: &Request, store: &mut Store, oid: &str) -> Response {
    if store.transfer == Transfer::WithHeader && request.header(HEADER.0) != Some(HEADER.1) {
        return refusal(400, "", "a header is missing that was asked for");
    }
    if hexadecimal(&Sha256::digest(&request.body)) != oid {
        return refusal(400, "", "the contents are not those that were announced");
    }
    store.objects.insert(oid.to_string(), request.body.clone());
    Response::new(200, Vec::new())
}

pub fn upload_part(request: &Request, store: &mut Store, oid: &str, part: &str) -> Response {
    let Ok(number) = part.parse() else { return refusal(404, "", "no such part") };
    store.parts.entry(oid.to_string()).or_default().insert(number, request.body.clone());
    Response::new(200, Vec::new()).with("ETag", etag(&request.body))
}

/// Makes one file of all parts.
pub fn join_parts(request: &Request, store: &mut Store, oid: &str) -> Response {
    let body = request.json().unwrap_or_default();
    let parts = store.parts.remove(oid).unwrap_or_default();
    let expected: Vec<Value> =
        parts.iter().map(|(number, bytes)| json!({"partNumber": number, "etag": etag(bytes)})).collect();
    let whole: Vec<u8> = parts.into_values().flatten().collect();
    if body["oid"] != oid || body["parts"] != json!(expected) || hexadecimal(&Sha256::digest(&whole)) != oid {
        return refusal(400, "", "these parts are not the file");
    }
    store.objects.insert(oid.to_string(), whole);
    Response::new(200, Vec::new())
}

pub fn verify(request: &Request, store: &mut Store, oid: &str) -> Response {
    let body = request.json().unwrap_or_default();
    match store.objects.get(oid) {
        Some(object) if body["oid"] == oid && body["size"] == object.len() => {
            store.verified.insert(oid.to_string());
            Response::new(200, Vec::new())
        }
        _ => refusal(404, "", "no such object"),
    }
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hexadecimal(&Sha256::digest(bytes)))
}
