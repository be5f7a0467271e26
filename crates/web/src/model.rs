//! Models: pictures to codes and back, and the map of their codes.

use std::rc::Rc;

use ksom_quantizers::QuantizerConfig;
use ksom_quantizers::measures::neighbor_distances;
use ksom_vqvae::evaluation::metrics;
use ksom_vqvae::figures::{GridLayout, MapOptions, code_map, most_used_code};
use ksom_vqvae::{Compute, Model as Network};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::codes::Codes;
use crate::failure::Failure;
use crate::loaded::Loaded;
use crate::picture::Picture;

/// A model.
#[wasm_bindgen]
pub struct Model {
    pub(crate) loaded: Rc<Loaded>,
}

/// What a page needs to know of a level of codes.
#[derive(Serialize)]
struct Level<'a> {
    name: &'a str,
    /// Pixels per code along each side.
    downsample: usize,
    /// How many codes there are.
    codes: usize,
    /// The grid's shape, first axis fastest.
    grid: &'a [usize],
    /// Numbers of a codebook vector.
    dim: usize,
    quantizer: &'a str,
}

impl Model {
    /// [`Model::encode`] with progress for Rust: tiles done, and how many there are.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn encode_with(&self, picture: &Picture, progress: &mut dyn FnMut(usize, usize)) -> Result<Codes, Failure> {
        let codes = self.loaded.network.encode_image(&picture.pixels, progress)?;
        Ok(Codes::new(self.loaded.clone(), &picture.name, codes))
    }

    /// [`Model::decode`] with progress for Rust: tiles done, and how many there are.
    ///
    /// # Errors
    /// As [`Model::decode`].
    pub fn decode_with(&self, codes: &Codes, progress: &mut dyn FnMut(usize, usize)) -> Result<Picture, Failure> {
        self.check(codes)?;
        let pixels = self.loaded.network.decode_image(&codes.codes, progress)?;
        Ok(Picture::new(pixels, codes.name.clone()))
    }

    /// Refuses codes that mean nothing to this model.
    fn check(&self, codes: &Codes) -> Result<(), Failure> {
        let made_by = &codes.loaded;
        if made_by.fingerprint == self.loaded.fingerprint {
            return Ok(());
        }
        let (theirs, ours) = (&made_by.name, &self.loaded.name);
        let message = format!("these codes were made by {theirs}, and mean nothing to the codebook of {ours}");
        Err(Failure::new("WrongModel", message))
    }

    /// [`Model::levels`] as JSON.
    pub fn levels_json(&self) -> String {
        let config = self.loaded.network.config();
        let QuantizerConfig { num_codes, dim, grid, .. } = &config.quantizer;
        let levels: Vec<Level> = (config.architecture.levels().iter())
            .map(|level| Level {
                name: level.name,
                downsample: level.stride,
                codes: *num_codes,
                grid,
                dim: *dim,
                quantizer: config.quantizer.name(),
            })
            .collect();
        // Numbers, strings and lists of them.
        serde_json::to_string(&levels).expect("levels are plain data")
    }

    fn map_options(&self, level: usize) -> Result<MapOptions, Failure> {
        let network = &self.loaded.network;
        let levels = network.config().architecture.levels().len();
        if level >= levels {
            return Err(Failure::new("Invalid", format!("expected a level below {levels}, found {level}")));
        }
        let fixed = if levels > 1 { most_used_code(network, 1 - level)? } else { 0 };
        Ok(MapOptions { level, fixed, enlarge: 1 })
    }
}

/// Tells a function of JavaScript how much is done. What that throws is not heard: the picture is worth more.
fn tell(progress: Option<js_sys::Function>) -> impl FnMut(usize, usize) {
    move |done, total| {
        if let Some(progress) = &progress {
            let _ = progress.call2(&JsValue::NULL, &(done as u32).into(), &(total as u32).into());
        }
    }
}

#[wasm_bindgen]
impl Model {
    /// Loads a model from the contents of its `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// One is not what it should be, or they do not fit together: every missing, extra or misshapen tensor is named.
    pub fn load(config: &[u8], weights: Vec<u8>, name: String) -> Result<Self, Failure> {
        let network = Network::from_bytes(config, weights, &name, &Compute::cpu())?;
        let stages = network.config().architecture.stages;
        if stages > 1 {
            let message = format!("{name} adds up {stages} codes for each place, which cannot be shown one by one");
            return Err(Failure::new("Invalid", message));
        }
        let fingerprint = network.fingerprint()?;
        Ok(Self { loaded: Rc::new(Loaded { network, name, fingerprint }) })
    }

    /// The name that it was loaded with.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.loaded.name.clone()
    }

    /// What names the meaning of its codes.
    #[wasm_bindgen(getter)]
    pub fn fingerprint(&self) -> String {
        self.loaded.fingerprint.clone()
    }

    /// Its levels, the top one first: an array of `{name, downsample, codes, grid, dim, quantizer}`. Everywhere else a
    /// level is its place in this array.
    ///
    /// # Errors
    /// Never.
    #[wasm_bindgen(getter)]
    pub fn levels(&self) -> Result<JsValue, JsValue> {
        js_sys::JSON::parse(&self.levels_json())
    }

    /// A picture's codes. `progress` is called with tiles done and how many there are.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn encode(&self, picture: &Picture, progress: Option<js_sys::Function>) -> Result<Codes, Failure> {
        self.encode_with(picture, &mut tell(progress))
    }

    /// The picture that codes stand for. `progress` is called with tiles done and how many there are.
    ///
    /// # Errors
    /// The codes were made by a model with another codebook.
    pub fn decode(&self, codes: &Codes, progress: Option<js_sys::Function>) -> Result<Picture, Failure> {
        self.decode_with(codes, &mut tell(progress))
    }

    /// The pixels of a part of the picture that codes stand for, computed from the codes around it alone.
    ///
    /// # Errors
    /// The codes were made by a model with another codebook, or the part does not lie in the picture.
    #[wasm_bindgen(js_name = decodeRegion)]
    pub fn decode_region(&self, codes: &Codes, x: u32, y: u32, width: u32, height: u32) -> Result<Picture, Failure> {
        self.check(codes)?;
        let pixels = self.loaded.network.decode_part(&codes.codes, (x, y), (width, height))?;
        Ok(Picture::new(pixels, codes.name.clone()))
    }

    /// Every code of a level decoded alone, in its place on the grid: see [`Model::places`]. The other level, where there
    /// is one, is filled with the code that training has used most. `progress` is called with codes done and how many there are.
    ///
    /// # Errors
    /// There is no such level.
    #[wasm_bindgen(js_name = codePicture)]
    pub fn code_picture(&self, level: usize, progress: Option<js_sys::Function>) -> Result<Picture, Failure> {
        let num_codes = self.loaded.network.config().quantizer.num_codes;
        let mut progress = tell(progress);
        let map = code_map(&self.loaded.network, &self.map_options(level)?, &mut |done| progress(done, num_codes))?;
        Ok(Picture::new(map, "map"))
    }

    /// Pixels of the side of a code's cell on [`Model::code_picture`].
    ///
    /// # Errors
    /// There is no such level.
    #[wasm_bindgen(js_name = cellSize)]
    pub fn cell_size(&self, level: usize) -> Result<u32, Failure> {
        Ok(self.map_options(level)?.cell(&self.loaded.network))
    }

    /// Where on [`Model::code_picture`] each code's cell begins: x and y of code 0, of code 1, and so on, in pixels.
    ///
    /// # Errors
    /// There is no such level.
    pub fn places(&self, level: usize) -> Result<Vec<u32>, Failure> {
        let cell = self.cell_size(level)?;
        let grid = self.loaded.network.quantizers()[level].grid().clone();
        let layout = GridLayout::new(&grid, cell);
        Ok((0..grid.len()).filter_map(|code| layout.place(code)).flat_map(|(x, y)| [x, y]).collect())
    }

    /// The mean distance of each code's vector to those of its neighbors on the grid: a U-matrix.
    ///
    /// # Errors
    /// There is no such level.
    pub fn distances(&self, level: usize) -> Result<Vec<f32>, Failure> {
        self.map_options(level)?;
        let quantizer = self.loaded.network.quantizers()[level];
        neighbor_distances(quantizer.grid(), quantizer.codebook())
            .map_err(|error| Failure::new("Invalid", error.to_string()))
    }

    /// Bits per pixel that codes take without further coding.
    #[wasm_bindgen(js_name = bitsPerPixel)]
    pub fn bits_per_pixel(&self, codes: &Codes) -> f64 {
        let count: usize = codes.codes.levels.iter().map(|grid| grid.codes.len()).sum();
        let pixels = f64::from(codes.codes.width) * f64::from(codes.codes.height);
        metrics::bits_per_pixel(self.loaded.network.config().quantizer.num_codes, count as f64, pixels)
    }
}
