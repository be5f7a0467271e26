//! The files of the page and of the models, by their paths.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use ksom_vqvae::hub::PackOptions;
use ksom_vqvae::zoo;
use serde::Serialize;

use crate::models::FoundModel;

/// The folder of a model that is not of the zoo. Its name can be anything, so it is no part of a path.
const GIVEN: &str = "models/given";

/// What makes a model.
const MODEL_FILES: [&str; 2] = ["config.json", "model.safetensors"];

/// The Hub that the page's own content security policy names.
const HUB: &str = "https://huggingface.co";

/// What makes a folder a static Space.
const FRONT_MATTER: &str = "---
title: Walk the map
emoji: 🗺️
colorFrom: green
colorTo: indigo
sdk: static
app_file: index.html
license: mit
short_description: A picture as codes that lie on a map, in your browser
---

# Walk the map

A picture becomes a grid of integers. Each is a place on a Kohonen map, where neighbors mean similar things. This page
shows a picture's codes, the map, and what becomes of the picture where they are changed. Everything is computed by the
browser; no picture leaves it.

The folder was written by `ksom explore --export`. Any web server serves it as it is (`python3 -m http.server`).
";

/// All files, by their path from the page's address.
pub struct Site {
    files: BTreeMap<String, Bytes>,
    hub: String,
}

/// What the page is told of the models: `models.json`.
#[derive(Serialize)]
struct Index<'a> {
    /// Where models by the name of `owner/name` are.
    hub: &'a str,
    /// The model that the page begins with; absent where it is to be one that fits the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<&'a str>,
    models: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    folder: String,
    /// Of the weights.
    bytes: usize,
}

impl Site {
    /// The page with the zoo's models and, if one is given, that one first.
    ///
    /// # Errors
    /// The given model's files cannot be read, or the Hub's address holds what a content security policy cannot.
    pub fn new(given: Option<&FoundModel>, hub: &str) -> Result<Self> {
        if !hub.chars().all(|letter| letter.is_ascii_alphanumeric() || ":/.-_[]".contains(letter)) {
            bail!("HF_ENDPOINT is no plain address: the page cannot be told of it");
        }
        let mut files: BTreeMap<String, Bytes> =
            ksom_web::page::FILES.iter().map(|(path, bytes)| (path.to_string(), Bytes::from_static(bytes))).collect();
        let mut models = Vec::new();
        let first = given.map(FoundModel::public_name);
        if let (Some(model), Some(name)) = (given.filter(|model| !model.is_built_in()), &first) {
            // As it would go to the Hub: checked, and without paths of this machine.
            let package = model.pack(&GIVEN.parse()?, &PackOptions::default())?;
            for file in package.files().iter().filter(|file| MODEL_FILES.contains(&file.path.as_str())) {
                files.insert(format!("{GIVEN}/{}", file.path), file.contents.clone().into());
            }
            let bytes = files.get(&format!("{GIVEN}/{}", MODEL_FILES[1])).map_or(0, Bytes::len);
            models.push(Entry { name, folder: GIVEN.to_string(), bytes });
        }
        for model in &zoo::ZOO {
            let folder = format!("models/{}", model.name);
            files.insert(format!("{folder}/config.json"), Bytes::from_static(model.config.as_bytes()));
            files.insert(format!("{folder}/model.safetensors"), Bytes::from_static(model.weights));
            models.push(Entry { name: model.name, folder, bytes: model.weights.len() });
        }
        let index = Index { hub, first: first.as_deref(), models };
        let index = serde_json::to_vec_pretty(&index).context("cannot write models.json")?;
        files.insert("models.json".to_string(), index.into());
        files.insert("README.md".to_string(), Bytes::from_static(FRONT_MATTER.as_bytes()));
        if hub != HUB
            && let Some(page) = files.get_mut("index.html")
        {
            // The page names the addresses that it may ask, too.
            *page = String::from_utf8_lossy(page).replace(&sources(HUB), &sources(hub)).into_bytes().into();
        }
        Ok(Self { files, hub: hub.to_string() })
    }

    /// A file; that of the empty path is `index.html`.
    pub fn file(&self, path: &str) -> Option<&Bytes> {
        self.files.get(if path.is_empty() { "index.html" } else { path })
    }

    /// Every path with its contents.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes))
    }

    /// What the page may do: run its own scripts and WebAssembly, and ask itself and the Hub.
    pub fn content_security_policy(&self) -> String {
        format!(
            "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; \
             media-src 'self' blob:; worker-src 'self'; connect-src {}; object-src 'none'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            sources(&self.hub)
        )
    }
}

/// The addresses that the page may ask, for a content security policy: its own, the Hub's and those that the Hub leads
/// to.
fn sources(hub: &str) -> String {
    if hub == HUB {
        return format!("'self' {HUB} https://*.huggingface.co https://*.hf.co");
    }
    // A Hub on this machine may call itself by either name.
    let other = hub.replace("//127.0.0.1", "//localhost");
    if other == hub { format!("'self' {hub}") } else { format!("'self' {hub} {other}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_the_hub_that_is_used() {
        let text = |site: &Site| String::from_utf8(site.file("").unwrap().to_vec()).unwrap();
        let site = Site::new(None, HUB).unwrap();
        assert!(text(&site).contains(&format!("connect-src {};", sources(HUB))));
        assert!(site.content_security_policy().contains("connect-src 'self' https://huggingface.co "));
        let site = Site::new(None, "http://127.0.0.1:9").unwrap();
        let expected = "connect-src 'self' http://127.0.0.1:9 http://localhost:9;";
        assert!(text(&site).contains(expected) && !text(&site).contains("connect-src 'self' https"));
        assert!(site.content_security_policy().contains(expected));
    }

    #[test]
    fn every_model_of_the_zoo_is_there_once() {
        let site = Site::new(None, HUB).unwrap();
        let index: serde_json::Value = serde_json::from_slice(site.file("models.json").unwrap()).unwrap();
        assert_eq!(index["models"].as_array().unwrap().len(), zoo::ZOO.len());
        for model in index["models"].as_array().unwrap() {
            let folder = model["folder"].as_str().unwrap();
            assert!(site.file(&format!("{folder}/config.json")).is_some());
            let weights = site.file(&format!("{folder}/model.safetensors")).unwrap();
            assert_eq!(model["bytes"], weights.len());
        }
        assert_eq!(index.get("first"), None);
    }
}
