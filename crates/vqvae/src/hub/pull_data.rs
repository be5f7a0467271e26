//! From a name on the Hub to a data set's Parquet files on this disk.

use super::cache::RepositoryCache;
use super::client::Client;
use super::data_files::{CONVERTED, DataSplit, HubData};
use super::data_name::HubDataName;
use super::download::download;
use super::event::HubEvent;
use super::failure::{Failure, retry};
use super::listing::Listing;
use super::name::{HubName, revision_in_address};
use super::package::RepositoryKind;
use super::pull::find_commit;
use super::settings::Hub;
use crate::error::{HubProblem, Result};

/// An answer in more pages than this is not read to its end.
const MAX_PAGES: usize = 1000;

impl Hub {
    /// Brings the Parquet files of a data set into the cache, as far as they are not there, and says where they lie. Where
    /// the data set has none itself, those that the Hub made of it are taken.
    ///
    /// Files are fetched, resumed and compared with the Hub's hashes as those of models are ([`Hub::pull`]).
    ///
    /// # Errors
    /// [`crate::Error::Hub`] where the Hub refuses, cannot be reached, or has no such data.
    pub fn pull_data(&self, name: &HubDataName, on_event: &mut dyn FnMut(HubEvent)) -> Result<HubData> {
        if self.offline {
            return self.cached_data(name);
        }
        let cache = RepositoryCache::new(&self.cache, &name.name, RepositoryKind::DataSet);
        cache.check_folders()?;
        let client = Client::new(self, &name.name, RepositoryKind::DataSet)?;
        fetch(&client, &cache, name, on_event).or_else(|failure| {
            if failure.is_passing()
                && let Ok(data) = self.cached_data(name)
            {
                let reason = client.hide_token(&failure.message());
                on_event(HubEvent::UsingCache { reason: &reason, commit: &data.commit });
                return Ok(data);
            }
            Err(client.error(failure))
        })
    }

    /// The hashes of a data set's files on a branch, by their paths: what is there already. Nothing where there is no such
    /// data set.
    ///
    /// # Errors
    /// As [`Hub::pull_data`].
    pub fn data_files(
        &self,
        name: &HubName,
        paths: &[String],
        on_event: &mut dyn FnMut(HubEvent),
    ) -> Result<Vec<Option<(u64, String)>>> {
        let client = Client::new(self, name, RepositoryKind::DataSet)?;
        match list(&client, name.revision(), on_event) {
            Ok(listing) => Ok(paths.iter().map(|path| listing.contents_of(path)).collect()),
            Err(Failure::Final(HubProblem::NotFound, _)) => Ok(vec![None; paths.len()]),
            Err(failure) => Err(client.error(failure)),
        }
    }
}

fn fetch(
    client: &Client,
    cache: &RepositoryCache,
    name: &HubDataName,
    on_event: &mut dyn FnMut(HubEvent),
) -> Result<HubData, Failure> {
    let commit = find_commit(client, on_event)?;
    let listing = match cache.recorded_listing(&commit) {
        Some(listing) => listing,
        None => {
            let listing = list(client, &commit, on_event)?;
            cache.record_listing(&commit, &listing)?;
            listing
        }
    };
    let split = match DataSplit::of(&listing, name) {
        Ok(split) => split,
        Err(_) if listing.parquet_files().is_ok_and(|files| files.is_empty()) && name.name.revision() != CONVERTED => {
            cache.note_revision(client.name.revision(), &commit)?;
            let converted = HubDataName { name: name.name.at(CONVERTED)?, ..name.clone() };
            let client = Client::new(client.hub, &converted.name, RepositoryKind::DataSet)?;
            return fetch(&client, cache, &converted, on_event).map_err(|failure| match failure {
                Failure::Final(HubProblem::NotFound, _) => {
                    no_data("it has no Parquet files, and the Hub has made none of it".to_string())
                }
                other => other,
            });
        }
        Err(message) => return Err(no_data(message)),
    };
    for file in &split.files {
        download(client, cache, &commit, file, on_event)?;
        cache.link(&commit, &file.path, &file.contents)?;
    }
    cache.note_revision(client.name.revision(), &commit)?;
    cache.data(&commit, &split, name.name.repository()).map_err(no_data)
}

fn no_data(message: String) -> Failure {
    Failure::Final(HubProblem::NotFound, message)
}

/// All files of a revision.
fn list(client: &Client, revision: &str, on_event: &mut dyn FnMut(HubEvent)) -> Result<Listing, Failure> {
    let mut listing = Listing::default();
    let mut next =
        Some(format!("{}/tree/{}?recursive=true&expand=false", client.interface(), revision_in_address(revision)));
    for _ in 0..MAX_PAGES {
        let Some(url) = next else { return Ok(listing) };
        let page: (Listing, Option<String>) = retry(&mut client.told(on_event), || client.ask_page(&url))?;
        listing.extend(page.0);
        next = page.1;
    }
    Err(Failure::Final(HubProblem::Refused, format!("its listing has more than {MAX_PAGES} pages")))
}
