//! One file from the Hub into the cache: in parts if need be, and never in its place before it is known to be whole.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use reqwest::StatusCode;

use super::cache::RepositoryCache;
use super::client::Client;
use super::event::HubEvent;
use super::failure::{Attempts, Failure};
use super::listing::RemoteFile;
use crate::error::{Error, HubProblem};

/// How often a file is fetched from its first byte again because what came was not what it should be.
const RESTARTS: u32 = 2;
const BUFFER: usize = 1 << 16;

/// Makes sure that the file's contents are in the cache; gives whether they had to be fetched.
pub(crate) fn download(
    client: &Client,
    cache: &RepositoryCache,
    commit: &str,
    file: &RemoteFile,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<bool, Failure> {
    let blob = cache.blob(&file.contents);
    if is_whole(&blob, file) {
        return Ok(false);
    }
    let _lock = cache.lock(&file.contents, || on_event(HubEvent::Waiting { file: &file.path }))?;
    if is_whole(&blob, file) {
        return Ok(false);
    }
    if let Some(folder) = blob.parent() {
        cache.check_inside(folder)?;
        fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
    }
    // Whatever lies there under this name is not what the name says.
    remove(&blob)?;
    let part = PathBuf::from(format!("{}.incomplete", blob.display()));
    if !is_plain(&part) {
        // A link would be written through.
        remove(&part)?;
    }
    let (mut attempts, mut restarts) = (Attempts::new(), 0);
    loop {
        let before = length(&part);
        let failure = match fetch(client, commit, file, &part, on_event) {
            Ok(()) if is_whole(&part, file) => {
                fs::rename(&part, &blob).map_err(|source| Error::io("write", &blob, source))?;
                return Ok(true);
            }
            Ok(()) => {
                remove(&part)?;
                restarts += 1;
                let message = format!("what came as {} is not what {} describes", file.path, client.hub.endpoint);
                if restarts > RESTARTS {
                    return Err(Failure::Final(
                        HubProblem::Damaged,
                        format!("{message}, {restarts} times: try again later"),
                    ));
                }
                Failure::passing(message)
            }
            Err(failure) => failure,
        };
        if length(&part) > before {
            // There is progress, if in small steps.
            attempts = Attempts::new();
        }
        attempts.wait(failure, &mut client.told(on_event))?;
    }
}

/// Appends to `part` what it lacks.
fn fetch(
    client: &Client,
    commit: &str,
    file: &RemoteFile,
    part: &Path,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<(), Failure> {
    let failed = |source| Failure::from(Error::io("write", part, source));
    let mut output = OpenOptions::new().create(true).append(true).open(part).map_err(failed)?;
    let mut done = length(part);
    if done > file.bytes {
        output.set_len(0).map_err(failed)?;
        done = 0;
    }
    if done < file.bytes {
        let mut response = client.file(commit, &file.path, done)?;
        if response.status() != StatusCode::PARTIAL_CONTENT && done > 0 {
            // The whole file came although a part was asked for.
            output.set_len(0).map_err(failed)?;
            done = 0;
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            on_event(HubEvent::Downloading { file: &file.path, bytes: done, of: file.bytes });
            let count = response.read(&mut buffer).map_err(|error| Failure::passing(client.unreachable(&error)))?;
            done += count as u64;
            // Too much is as wrong as anything else; there is no need to see the end of it.
            if count == 0 || done > file.bytes {
                break;
            }
            output.write_all(&buffer[..count]).map_err(failed)?;
        }
        if done < file.bytes {
            let message = format!("{} ended after {done} of {} bytes", file.path, file.bytes);
            return Err(Failure::passing(message));
        }
        if done > file.bytes {
            output.set_len(0).map_err(failed)?;
        }
    }
    output.sync_all().map_err(failed)
}

/// Whether a file is there with the size and contents that it should have.
fn is_whole(path: &Path, file: &RemoteFile) -> bool {
    is_plain(path) && length(path) == file.bytes && file.contents.is_of(path).unwrap_or(false)
}

/// Whether a file is there, and no link to one.
fn is_plain(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, error).into()),
        _ => Ok(()),
    }
}
