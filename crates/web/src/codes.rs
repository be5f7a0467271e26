//! A picture's codes: to be read, painted, moved on their map, and written as the command writes them.

use std::rc::Rc;

use ksom_vqvae::codes::{CodeGrid, Packing, shift_part};
use ksom_vqvae::{CodesFile, ImageCodes};
use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::failure::Failure;
use crate::loaded::Loaded;

/// The codes of one picture.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Codes {
    pub(crate) loaded: Rc<Loaded>,
    /// The picture's name.
    pub(crate) name: String,
    pub(crate) codes: ImageCodes,
}

impl Codes {
    pub(crate) fn new(loaded: Rc<Loaded>, name: &str, codes: ImageCodes) -> Self {
        Self { loaded, name: name.to_string(), codes }
    }

    fn grid(&self, level: usize) -> Result<&CodeGrid, Failure> {
        let levels = self.codes.levels.len();
        let missing = || Failure::new("Invalid", format!("expected a level below {levels}, found {level}"));
        self.codes.levels.get(level).ok_or_else(missing)
    }

    /// Refuses what is no code of this model.
    fn check(&self, codes: &[u32]) -> Result<(), Failure> {
        let num_codes = self.loaded.network.config().quantizer.num_codes;
        match codes.iter().find(|&&code| code as usize >= num_codes) {
            Some(code) => Err(Failure::codes(format!("expected codes below {num_codes}, found {code}"))),
            None => Ok(()),
        }
    }

    fn file(&self) -> Result<CodesFile, Failure> {
        let Loaded { network, name, .. } = &*self.loaded;
        Ok(CodesFile::new(network, name, vec![self.name.clone()], vec![self.codes.clone()])?)
    }
}

#[wasm_bindgen]
impl Codes {
    /// The names of the levels, the top one first.
    pub fn levels(&self) -> Vec<String> {
        self.loaded.network.config().architecture.levels().iter().map(|level| level.name.to_string()).collect()
    }

    /// Codes in each row of a level.
    ///
    /// # Errors
    /// There is no such level.
    pub fn width(&self, level: usize) -> Result<usize, Failure> {
        Ok(self.grid(level)?.width)
    }

    /// Rows of a level.
    ///
    /// # Errors
    /// There is no such level.
    pub fn height(&self, level: usize) -> Result<usize, Failure> {
        Ok(self.grid(level)?.height)
    }

    /// A level's codes, row by row.
    ///
    /// # Errors
    /// There is no such level.
    pub fn get(&self, level: usize) -> Result<Vec<u32>, Failure> {
        Ok(self.grid(level)?.codes.clone())
    }

    /// Replaces a level's codes.
    ///
    /// # Errors
    /// There is no such level, there are not as many codes as it has, or one is none of the model.
    pub fn set(&mut self, level: usize, codes: Vec<u32>) -> Result<(), Failure> {
        let expected = self.grid(level)?.codes.len();
        if codes.len() != expected {
            return Err(Failure::codes(format!("expected {expected} codes, found {}", codes.len())));
        }
        self.check(&codes)?;
        self.codes.levels[level].codes = codes;
        Ok(())
    }

    /// Puts a code into column x of row y.
    ///
    /// # Errors
    /// There is no such level or place, or the code is none of the model.
    pub fn paint(&mut self, level: usize, x: usize, y: usize, code: u32) -> Result<(), Failure> {
        let &CodeGrid { width, height, .. } = self.grid(level)?;
        if x >= width || y >= height {
            return Err(Failure::codes(format!("expected a place on {width}×{height} codes, found {x}, {y}")));
        }
        self.check(&[code])?;
        self.codes.levels[level].codes[y * width + x] = code;
        Ok(())
    }

    /// These codes with all of a level moved on its grid; at the grid's edge they stay.
    ///
    /// # Errors
    /// There is no such level or axis.
    pub fn shift(&self, level: usize, axis: usize, by: i32) -> Result<Codes, Failure> {
        let &CodeGrid { width, height, .. } = self.grid(level)?;
        let mut shifted = self.clone();
        shifted.shift_region(level, 0, 0, width, height, axis, by)?;
        Ok(shifted)
    }

    /// Moves the codes of columns x0 … x1 − 1 in rows y0 … y1 − 1 on their grid; at the grid's edge they stay.
    ///
    /// # Errors
    /// There is no such level or axis.
    #[wasm_bindgen(js_name = shiftRegion)]
    #[allow(clippy::too_many_arguments, reason = "JavaScript has no pairs")]
    pub fn shift_region(
        &mut self,
        level: usize,
        x0: usize,
        y0: usize,
        x1: usize,
        y1: usize,
        axis: usize,
        by: i32,
    ) -> Result<(), Failure> {
        let network = &self.loaded.network;
        Ok(shift_part(network, &mut self.codes, level, (x0..x1, y0..y1), axis, i64::from(by))?)
    }

    /// A level as a NumPy array [1, h, w]: the file that the command writes.
    ///
    /// # Errors
    /// There is no such level.
    pub fn npy(&self, level: usize) -> Result<Vec<u8>, Failure> {
        self.grid(level)?;
        Ok(self.file()?.npy(level))
    }

    /// The codes file that the command writes.
    ///
    /// # Errors
    /// It cannot be written as safetensors.
    pub fn safetensors(&self) -> Result<Vec<u8>, Failure> {
        Ok(self.file()?.to_bytes(Packing::Plain)?)
    }

    /// SHA-256 of the codes as little-endian u32, row by row, top level first, in hexadecimal.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for code in self.codes.levels.iter().flat_map(|grid| &grid.codes) {
            hash.update(code.to_le_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A copy.
    #[wasm_bindgen(js_name = clone)]
    pub fn copy(&self) -> Codes {
        self.clone()
    }
}
