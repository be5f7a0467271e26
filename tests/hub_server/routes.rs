//! What each address answers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::http::{Request, Response};
use super::store::{Change, Repository, Store, Who, is_large};
use super::{lfs, refusal};

/// What stands before the name of a Space in addresses and in the store.
const SPACES: &str = "spaces/";

/// The same of a data set, and how many files a page of its listing has.
const DATASETS: &str = "datasets/";
const PAGE: usize = 3;

/// Answers a request.
pub fn answer(request: &Request, store: &mut Store, endpoint: &str) -> Response {
    let Some(who) = Who::from_header(request.header("authorization")) else {
        return refusal(401, "", "Invalid credentials in Authorization header");
    };
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    // Spaces have the addresses of models, with a word before or instead.
    let (kind, path) = match path.as_slice() {
        ["api", "spaces", rest @ ..] => (SPACES, [&["api", "models"], rest].concat()),
        ["spaces", rest @ ..] => (SPACES, rest.to_vec()),
        ["cdn", "spaces", rest @ ..] => (SPACES, [&["cdn"], rest].concat()),
        ["api", "datasets", rest @ ..] => (DATASETS, [&["api", "models"], rest].concat()),
        ["datasets", rest @ ..] => (DATASETS, rest.to_vec()),
        ["cdn", "datasets", rest @ ..] => (DATASETS, [&["cdn"], rest].concat()),
        _ => ("", path),
    };
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["api", "whoami-v2"]) if who != Who::Nobody => {
            Response::json(200, &json!({"type": "user", "name": "owner", "auth": {"type": "access_token"}}))
        }
        ("POST", ["api", "validate-yaml"]) => Response::json(200, &json!({"errors": [], "warnings": []})),
        ("POST", ["api", "repos", "create"]) => create_repository(request, store, who, endpoint),
        ("GET", ["api", "models", owner, name]) => {
            with(store, who, (kind, owner, name), |r| info(r, owner, name, "main"))
        }
        ("GET", ["api", "models", owner, name, "revision", revision]) => {
            with(store, who, (kind, owner, name), |r| info(r, owner, name, revision))
        }
        ("GET", ["api", "models", owner, name, "tree", revision]) => {
            let all = with(store, who, (kind, owner, name), |r| tree(r, revision));
            if kind == DATASETS { page(request, all, endpoint) } else { all }
        }
        ("GET" | "HEAD", [owner, name, "resolve", revision, file @ ..]) => {
            let id = format!("{kind}{owner}/{name}");
            with(store, who, (kind, owner, name), |r| resolve(request, r, &id, revision, &file.join("/"), endpoint))
        }
        ("GET" | "HEAD", ["cdn", ..]) if who != Who::Nobody => {
            refusal(400, "", "a token was sent to where it does not belong")
        }
        ("GET" | "HEAD", ["cdn", owner, name, commit, file @ ..]) => {
            let found = store.repositories.get(&format!("{kind}{owner}/{name}")).and_then(|r| r.commits.get(*commit));
            match found.and_then(|tree| tree.get(&file.join("/"))) {
                Some(file) => contents(request, &file.bytes).with("ETag", format!("\"{}\"", file.sha256())),
                None => refusal(404, "", "no such object"),
            }
        }
        // The address is the permission.
        ("PUT" | "POST", ["lfs", ..]) if who != Who::Nobody => {
            refusal(400, "", "a token was sent to where it does not belong")
        }
        ("PUT", ["lfs", oid]) => lfs::upload(request, store, oid),
        ("PUT", ["lfs", oid, part]) => lfs::upload_part(request, store, oid, part),
        ("POST", ["lfs", oid]) => lfs::join_parts(request, store, oid),
        ("POST" | "PUT", _) if who == Who::Nobody => refusal(401, "", "Access to this resource needs a token"),
        ("POST" | "PUT", _) if who == Who::Reader => refusal(403, "", "This token may read, but not write"),
        ("POST", ["api", "models", owner, name, "branch", branch]) => {
            with(store, who, (kind, owner, name), |r| create_branch(request, r, branch))
        }
        ("POST", ["api", "models", owner, name, "preupload", revision]) => {
            with(store, who, (kind, owner, name), |r| preupload(request, r, revision))
        }
        ("POST", ["lfs-verify", oid]) => lfs::verify(request, store, oid),
        ("POST", [owner, name, "info", "lfs", "objects", "batch"]) if name.ends_with(".git") => {
            let transfer = store.transfer;
            with(store, who, (kind, owner, name.trim_end_matches(".git")), |_| lfs::batch(request, transfer, endpoint))
        }
        ("POST", ["api", "models", owner, name, "commit", revision]) => {
            commit(request, store, &format!("{kind}{owner}/{name}"), revision, endpoint)
        }
        (method, _) => refusal(404, "", &format!("this Hub knows no {method} {}", request.target())),
    }
}

/// Finds a repository, if whoever asks may see it. To others it does not exist, as on the real Hub.
fn with(
    store: &mut Store,
    who: Who,
    (kind, owner, name): (&str, &str, &str),
    then: impl FnOnce(&mut Repository) -> Response,
) -> Response {
    match store.repositories.get_mut(&format!("{kind}{owner}/{name}")) {
        Some(repository) if !repository.private || who != Who::Nobody => then(repository),
        _ if who == Who::Nobody => refusal(401, "RepoNotFound", "Repository not found"),
        _ => refusal(404, "RepoNotFound", "Repository not found"),
    }
}

fn no_revision(revision: &str) -> Response {
    refusal(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"))
}

fn info(repository: &Repository, owner: &str, name: &str, revision: &str) -> Response {
    let Some((commit, tree)) = repository.tree(revision) else { return no_revision(revision) };
    let siblings: Vec<Value> = tree.keys().map(|path| json!({ "rfilename": path })).collect();
    let id = format!("{owner}/{name}");
    Response::json(
        200,
        &json!({
            "_id": "0", "id": id, "modelId": id, "sha": commit, "private": repository.private, "gated": false,
            "disabled": false, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings,
        }),
    )
}

fn tree(repository: &Repository, revision: &str) -> Response {
    let Some((_, tree)) = repository.tree(revision) else { return no_revision(revision) };
    let entries: Vec<Value> = tree
        .iter()
        .map(|(path, file)| {
            let mut entry = json!({"type": "file", "oid": file.oid(), "size": file.bytes.len(), "path": path});
            if file.large {
                entry["lfs"] = json!({"oid": file.sha256(), "size": file.bytes.len(), "pointerSize": 134});
            }
            entry
        })
        .collect();
    Response::json(200, &json!(entries))
}

/// A part of a listing, and where the next one is.
fn page(request: &Request, all: Response, endpoint: &str) -> Response {
    let Ok(Value::Array(entries)) = serde_json::from_slice(&all.body) else { return all };
    if !request.query.contains("recursive=true") && !request.query.contains("recursive=True") {
        return refusal(400, "", "the files of a data set lie in folders: ask for all of them");
    }
    let from = request.query.split("cursor=").nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let part: Vec<&Value> = entries.iter().skip(from).take(PAGE).collect();
    let response = Response::json(200, &json!(part));
    if from + PAGE >= entries.len() {
        return response;
    }
    let next = format!("{endpoint}/{}?recursive=true&cursor={}", request.path.join("/"), from + PAGE);
    response.with("Link", format!("<{next}>; rel=\"next\""))
}

fn resolve(
    request: &Request,
    repository: &Repository,
    id: &str,
    revision: &str,
    path: &str,
    endpoint: &str,
) -> Response {
    let Some((commit, tree)) = repository.tree(revision) else { return no_revision(revision) };
    let Some(file) = tree.get(path) else {
        return refusal(404, "EntryNotFound", "Entry not found").with("X-Repo-Commit", commit);
    };
    if !file.large {
        return contents(request, &file.bytes)
            .with("X-Repo-Commit", commit)
            .with("ETag", format!("\"{}\"", file.oid()));
    }
    // Large files come from another host, where the token does not go.
    let elsewhere = endpoint.replace("127.0.0.1", "localhost");
    Response::new(302, Vec::new())
        .with("Location", format!("{elsewhere}/cdn/{id}/{commit}/{path}"))
        .with("X-Repo-Commit", commit)
        .with("X-Linked-Etag", format!("\"{}\"", file.sha256()))
        .with("X-Linked-Size", file.bytes.len())
}

/// A file's bytes, or those that were asked for.
fn contents(request: &Request, bytes: &[u8]) -> Response {
    let response = match request.range(bytes.len()) {
        None => Response::new(200, bytes.to_vec()),
        Some(range) if range.start < range.end => {
            let header = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
            Response::new(206, bytes[range].to_vec()).with("Content-Range", header)
        }
        Some(_) => return refusal(416, "", "Range not satisfiable"),
    };
    response.with("Accept-Ranges", "bytes")
}

fn create_repository(request: &Request, store: &mut Store, who: Who, endpoint: &str) -> Response {
    match who {
        Who::Nobody => return refusal(401, "", "Access to this resource needs a token"),
        Who::Reader => return refusal(403, "", "You don't have the rights to create a model under this namespace"),
        Who::Owner => {}
    }
    let body = request.json().unwrap_or_default();
    let (Some(name), owner) = (body["name"].as_str(), body["organization"].as_str().unwrap_or("owner")) else {
        return refusal(400, "", "\"name\" is required");
    };
    let kind = match (body["type"].as_str(), body["sdk"].as_str()) {
        (None | Some("model"), None) => "",
        (Some("space"), Some("static")) => SPACES,
        (Some("dataset"), None) => DATASETS,
        (Some("space"), sdk) => return refusal(400, "", &format!("a Space needs an sdk that is known, not {sdk:?}")),
        (kind, _) => return refusal(400, "", &format!("this Hub has no {kind:?}")),
    };
    let name = format!("{owner}/{name}");
    let id = format!("{kind}{name}");
    let answer = json!({"url": format!("{endpoint}/{id}"), "id": "0", "name": name});
    if store.repositories.contains_key(&id) {
        return refusal(409, "", "You already created this model repo");
    }
    store.repositories.insert(id, Repository::new(body["private"].as_bool().unwrap_or(false)));
    Response::json(200, &answer)
}

fn create_branch(request: &Request, repository: &mut Repository, branch: &str) -> Response {
    let body = request.json().unwrap_or_default();
    let from = body["startingPoint"].as_str().unwrap_or("main");
    let Some(commit) = repository.commit_of(from).map(String::from) else { return no_revision(from) };
    if repository.branches.contains_key(branch) {
        return refusal(409, "", "Reference already exists");
    }
    repository.branches.insert(branch.to_string(), commit);
    Response::json(200, &json!({}))
}

fn preupload(request: &Request, repository: &Repository, revision: &str) -> Response {
    if repository.commit_of(revision).is_none() {
        return no_revision(revision);
    }
    let body = request.json().unwrap_or_default();
    let Some(files) = body["files"].as_array() else { return refusal(400, "", "\"files\" is required") };
    let mut modes = Vec::new();
    for file in files {
        let (Some(path), Some(_), Some(_)) = (file["path"].as_str(), file["size"].as_u64(), file["sample"].as_str())
        else {
            return refusal(400, "", "every file has path, size and sample");
        };
        let mode = if is_large(path) { "lfs" } else { "regular" };
        modes.push(json!({"path": path, "uploadMode": mode, "shouldIgnore": false, "oid": null}));
    }
    Response::json(200, &json!({ "files": modes }))
}

fn commit(request: &Request, store: &mut Store, id: &str, revision: &str, endpoint: &str) -> Response {
    let Store { repositories, objects, .. } = store;
    let Some(repository) = repositories.get_mut(id) else {
        return refusal(404, "RepoNotFound", "Repository not found");
    };
    if repository.commit_of(revision).is_none() {
        return no_revision(revision);
    }
    if request.header("content-type") != Some("application/x-ndjson") {
        return refusal(415, "", "Content-Type should be application/x-ndjson");
    }
    let changes = match changes(&request.body, objects) {
        Ok(changes) => changes,
        Err(problem) => return refusal(400, "", &problem),
    };
    let mut answer = json!({"success": true, "hookOutput": ""});
    let branch = if request.query.contains("create_pr=1") {
        repository.pull_requests += 1;
        let number = repository.pull_requests;
        answer["pullRequestUrl"] = json!(format!("{endpoint}/{id}/discussions/{number}"));
        let branch = format!("refs/pr/{number}");
        let base = repository.commit_of(revision).map(String::from).unwrap_or_default();
        repository.branches.insert(branch.clone(), base);
        branch
    } else {
        revision.to_string()
    };
    let commit = repository.commit(&branch, changes);
    answer["commitUrl"] = json!(format!("{endpoint}/{id}/commit/{commit}"));
    answer["commitOid"] = json!(commit);
    Response::json(200, &answer)
}

/// The lines of a commit: one header, then files.
fn changes(body: &[u8], objects: &std::collections::HashMap<String, Vec<u8>>) -> Result<Vec<Change>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the commit is not UTF-8")?;
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).map_err(|error| error.to_string()));
    let header = lines.next().ok_or("the commit has no header")??;
    if header["key"] != "header" || header["value"]["summary"].as_str().is_none_or(str::is_empty) {
        return Err("the first line should be a header with a summary".to_string());
    }
    let mut changes = Vec::new();
    for line in lines {
        let line = line?;
        let value = &line["value"];
        let path = value["path"].as_str().filter(|path| !path.is_empty()).ok_or("a line has no path")?.to_string();
        let bytes = match line["key"].as_str() {
            Some("file") if value["encoding"] == "base64" => {
                if is_large(&path) {
                    return Err(format!("Your push was rejected because it contains binary files: {path}"));
                }
                let content = value["content"].as_str().ok_or("a file has no content")?;
                Some(BASE64_STANDARD.decode(content).map_err(|error| error.to_string())?)
            }
            Some("lfsFile") if value["algo"] == "sha256" => {
                let object = value["oid"].as_str().and_then(|oid| objects.get(oid));
                Some(object.ok_or("a large file was not uploaded before")?.clone())
            }
            Some("deletedFile") => None,
            other => return Err(format!("unknown line {other:?}")),
        };
        changes.push((path, bytes));
    }
    if changes.is_empty() { Err("the commit is empty".to_string()) } else { Ok(changes) }
}
