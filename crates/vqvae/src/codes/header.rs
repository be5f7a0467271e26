//! What a codes file says of its pictures: the JSON under the metadata key `ksom`.

use std::path::Path;

use ksom_quantizers::{Grid, MAX_CODES};
use serde::{Deserialize, Serialize};

use crate::codes::layout::grid_layout;
use crate::error::{Error, Result};
use crate::model::config::{four, is_four};

/// The metadata key.
pub(crate) const KEY: &str = "ksom";

/// The version that is written. The first had i32 codes alone, and neither grid nor compression.
const VERSION: u32 = 2;

/// What is known of the pictures and of the model that encoded them.
pub(crate) struct Header {
    pub(crate) model: String,
    pub(crate) fingerprint: String,
    pub(crate) levels: Vec<String>,
    /// Codes are below this number.
    pub(crate) num_codes: usize,
    /// The shape of the codebook's grid; files of the first version do not tell.
    pub(crate) grid: Option<Vec<usize>>,
    /// Pixels of a side under the finest codes.
    pub(crate) downsample: usize,
    /// The form that the codes are compressed in, if they are.
    pub(crate) coding: Option<String>,
    pub(crate) names: Vec<String>,
    /// Width and height of each picture.
    pub(crate) sizes: Vec<[u32; 2]>,
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Second {
    format_version: u32,
    model: String,
    fingerprint: String,
    levels: Vec<String>,
    num_codes: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grid: Option<Vec<usize>>,
    /// For whoever reads the file without this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grid_layout: Option<String>,
    #[serde(default = "four", skip_serializing_if = "is_four")]
    downsample: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coding: Option<String>,
    names: Vec<String>,
    /// One for each picture, or one for all.
    sizes: Vec<[u32; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    #[serde(rename = "format_version")]
    _format_version: u32,
    model: String,
    fingerprint: String,
    levels: Vec<String>,
    images: Vec<FirstImage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstImage {
    name: String,
    width: u32,
    height: u32,
}

impl Header {
    /// The JSON.
    pub(crate) fn to_json(&self) -> String {
        let one_size = self.sizes.windows(2).all(|pair| pair[0] == pair[1]);
        let second = Second {
            format_version: VERSION,
            model: self.model.clone(),
            fingerprint: self.fingerprint.clone(),
            levels: self.levels.clone(),
            num_codes: self.num_codes,
            grid: self.grid.clone(),
            grid_layout: self.grid.as_deref().map(grid_layout),
            downsample: self.downsample,
            coding: self.coding.clone(),
            names: self.names.clone(),
            sizes: self.sizes[..if one_size { self.sizes.len().min(1) } else { self.sizes.len() }].to_vec(),
        };
        // Numbers, strings and lists of them.
        serde_json::to_string(&second).expect("a description is plain data")
    }

    /// Reads the JSON; `path` is named in errors.
    ///
    /// # Errors
    /// It is malformed, of another version, or contradicts itself.
    pub(crate) fn parse(json: &str, path: &Path) -> Result<Self> {
        let malformed = |error: serde_json::Error| {
            Error::file(path, format!("the description of the pictures is malformed: {error}"))
        };
        match serde_json::from_str::<Version>(json).map_err(malformed)?.format_version {
            1 => {
                let first: First = serde_json::from_str(json).map_err(malformed)?;
                Ok(Self {
                    model: first.model,
                    fingerprint: first.fingerprint,
                    levels: first.levels,
                    num_codes: MAX_CODES,
                    grid: None,
                    downsample: four(),
                    coding: None,
                    sizes: first.images.iter().map(|image| [image.width, image.height]).collect(),
                    names: first.images.into_iter().map(|image| image.name).collect(),
                })
            }
            VERSION => Self::of(serde_json::from_str(json).map_err(malformed)?, path),
            other => Err(Error::file(
                path,
                format!("expected format version 1 or {VERSION}, found {other}: a newer ksom may read it"),
            )),
        }
    }

    fn of(mut second: Second, path: &Path) -> Result<Self> {
        let num_codes = second.num_codes;
        if !(1..=MAX_CODES).contains(&num_codes) {
            return Err(Error::file(path, format!("expected 1 to {MAX_CODES} codes, found num_codes {num_codes}")));
        }
        if let Some(shape) = &second.grid {
            let cells = Grid::new(shape.clone()).map_err(|error| Error::file(path, error.to_string()))?.len();
            if cells != num_codes {
                return Err(Error::file(path, format!("a grid of {shape:?} has {cells} codes, found {num_codes}")));
            }
        }
        let count = second.names.len();
        if let ([size], true) = (&second.sizes[..], count > 1) {
            second.sizes = vec![*size; count];
        }
        if second.sizes.len() != count {
            return Err(Error::file(path, format!("expected sizes of {count} pictures, found {}", second.sizes.len())));
        }
        Ok(Self {
            model: second.model,
            fingerprint: second.fingerprint,
            levels: second.levels,
            num_codes,
            grid: second.grid,
            downsample: second.downsample,
            coding: second.coding,
            names: second.names,
            sizes: second.sizes,
        })
    }
}
