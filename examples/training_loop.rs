//! One's own training loop: pictures from a source of one's own, a loss of one's own, a schedule, the steps one by one.
//!
//! `cargo run --release -p ksom-vqvae --example training_loop -- run`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use ksom_vqvae::candle_nn::loss::huber;
use ksom_vqvae::image::{Rgb, RgbImage};
use ksom_vqvae::ksom_datasets::{self, DataSet, DatasetError, ImageSource, batches};
use ksom_vqvae::training::{AdamW, LearningRate, Optimizer, Schedule, train_step_with};
use ksom_vqvae::{Compute, Model, ModelConfig};
use ksom_vqvae::model::Architecture;
use ksom_vqvae::ksom_quantizers::QuantizerConfig;

/// Disks on a plain ground, drawn when they are asked for.
struct Disks(usize);

impl ImageSource for Disks {
    fn len(&self) -> usize {
        self.0
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let (x, y, radius) = ((index * 7 % 20 + 6) as i32, (index * 11 % 20 + 6) as i32, (index % 5 + 3) as i32);
        let inside = |px: u32, py: u32| (px as i32 - x).pow(2) + (py as i32 - y).pow(2) < radius.pow(2);
        Ok(RgbImage::from_fn(32, 32, |px, py| if inside(px, py) { Rgb([230, 120, 40]) } else { Rgb([30, 60, 90]) }))
    }

    fn name(&self, index: usize) -> String {
        format!("disk {index}")
    }
}
