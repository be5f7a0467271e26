//! What was odd about pictures that were read all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::decode::Decoded;

/// Collects remarks on pictures while they are decoded, on any thread: a picture's name and what was odd about its
/// file. Copies share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Remarks(Arc<Mutex<BTreeMap<String, &'static str>>>);

impl Remarks {
    /// Takes what there was so far: names and remarks, in order of the names.
    pub fn take(&self) -> Vec<(String, &'static str)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// The pixels of a picture, with its remark kept.
    pub(crate) fn keep(&self, decoded: Decoded, name: impl FnOnce() -> String) -> RgbImage {
        if let Some(remark) = decoded.remark {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name(), remark);
        }
        decoded.pixels
    }
}
