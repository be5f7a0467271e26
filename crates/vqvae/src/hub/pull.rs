//! From a name on the Hub to a model directory.

use serde::Deserialize;

use super::MODEL_FILES;
use super::cache::{HubModel, RepositoryCache};
use super::client::Client;
use super::download::download;
use super::event::HubEvent;
use super::failure::{Failure, retry};
use super::listing::{Listing, RemoteFile};
use super::name::{HubName, is_commit, revision_in_address};
use super::package::RepositoryKind;
use super::settings::Hub;
use crate::error::{Error, HubProblem, Result};
use crate::model::Model;
use crate::model::config::ModelConfig;
use crate::system::compute::Compute;

/// What the Hub says of a revision, as far as it matters here.
#[derive(Deserialize)]
struct Revision {
    sha: String,
}

impl Hub {
    /// Brings a model from the Hub into the cache, as far as it is not there, and gives its folder.
    ///
    /// A branch or tag is looked up each time; what it is found to be is recorded as a commit. If the Hub cannot be
    /// reached, an older copy will do, and `on_event` is told so. Every file is compared with the Hub's size and hash,
    /// and the model is loaded once, before it is given out. Blocks; not to be called from async code.
    ///
    /// # Errors
    /// [`Error::Hub`] where the Hub refuses, cannot be reached, or has no model of ours under that name.
    pub fn pull(&self, name: &HubName, on_event: &mut dyn FnMut(HubEvent)) -> Result<HubModel> {
        if self.offline {
            return self.cached(name);
        }
        let cache = RepositoryCache::new(&self.cache, name, RepositoryKind::Model);
        cache.check_folders()?;
        if let Some(commit) = name.commit()
            && let Ok(model) = cache.find(commit)
        {
            return Ok(model);
        }
        let client = Client::new(self, name, RepositoryKind::Model)?;
        fetch(&client, &cache, on_event).or_else(|failure| {
            if failure.is_passing()
                && let Ok(model) = cache.find(name.revision())
            {
                let reason = client.hide_token(&failure.message());
                on_event(HubEvent::UsingCache { reason: &reason, commit: &model.commit });
                return Ok(model);
            }
            let failure = match failure {
                Failure::Passing { message, wait } if wait.is_zero() => {
                    let nothing = "nothing of it is in the cache, which HF_HUB_OFFLINE=1 would use without asking";
                    Failure::Passing { message: format!("{message}; {nothing}"), wait }
                }
                other => other,
            };
            Err(client.error(failure))
        })
    }
}

fn fetch(client: &Client, cache: &RepositoryCache, on_event: &mut dyn FnMut(HubEvent)) -> Result<HubModel, Failure> {
    let commit = find_commit(client, on_event)?;
    if let Ok(model) = cache.find(&commit) {
        cache.note_revision(client.name.revision(), &commit)?;
        return Ok(model);
    }
    let [config, weights] = find_files(client, &commit, on_event)?;
    let mut fetched = false;
    for file in [config, weights] {
        fetched |= download(client, cache, &commit, &file, on_event)?;
        let path = cache.link(&commit, &file.path, &file.contents)?;
        if file.path == MODEL_FILES[0] {
            // Before the weights: they can be large.
            ModelConfig::read(&path).map_err(no_model)?;
        }
    }
    let model = cache.model(&commit);
    if fetched {
        Model::load(&model.folder, &Compute::cpu()).map_err(no_model)?;
    }
    cache.note_revision(client.name.revision(), &commit)?;
    Ok(model)
}

pub(super) fn find_commit(client: &Client, on_event: &mut dyn FnMut(HubEvent)) -> Result<String, Failure> {
    if let Some(commit) = client.name.commit() {
        return Ok(commit.to_string());
    }
    let path = format!("/revision/{}", revision_in_address(client.name.revision()));
    let Revision { sha } = retry(&mut client.told(on_event), || client.ask(&path))?;
    if is_commit(&sha) { Ok(sha) } else { Err(unlike_a_hub(client, &format!("a commit named {sha:?}"))) }
}

/// Configuration and weights as the Hub describes them.
fn find_files(client: &Client, commit: &str, on_event: &mut dyn FnMut(HubEvent)) -> Result<[RemoteFile; 2], Failure> {
    let path = format!("/tree/{commit}");
    let listing: Listing = retry(&mut client.told(on_event), || client.ask(&path))?;
    listing.model_files().map_err(|message| Failure::Final(HubProblem::NoModel, message))
}

fn no_model(error: Error) -> Failure {
    Failure::Final(HubProblem::NoModel, format!("no model that this version of ksom can use: {error}"))
}

fn unlike_a_hub(client: &Client, found: &str) -> Failure {
    Failure::Final(
        HubProblem::Refused,
        format!("{} does not answer as a Hub does: it lists {found}", client.hub.endpoint),
    )
}

impl Model {
    /// The model `owner/name[@revision]` from the Hub (see [`Hub::from_env`] and [`Hub::pull`]), for inference.
    ///
    /// # Errors
    /// As [`Hub::pull`] and [`Model::load`].
    pub fn from_pretrained(name: &str, compute: &Compute) -> Result<Self> {
        let pulled = Hub::from_env()?.pull(&name.parse()?, &mut |_| ())?;
        Self::load(pulled.folder, compute)
    }
}
