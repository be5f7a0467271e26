//! A model before and after fine-tuning: figures, and a picture to look at.

use std::path::{Path, PathBuf};

use anyhow::Result;
use image::RgbImage;
use ksom_datasets::sets::NamedSource;
use ksom_vqvae::evaluation::{EvaluateOptions, Evaluation, evaluate};
use ksom_vqvae::record::record_evaluation;
use ksom_vqvae::{Model, Trainer};
use serde::Serialize;

use crate::files::write_picture;
use crate::progress::Counter;
use crate::settings::Settings;
use crate::sheet::{ROWS, sheet, shown};

/// Where the picture goes in a run directory.
const PICTURE: &str = "before-after.png";
/// The longest side of a picture there.
const LONGEST_SIDE: u32 = 256;

/// Both models on the validation pictures.
#[derive(Serialize)]
pub struct Comparison {
    pub before: Figures,
    pub after: Figures,
    /// Originals beside what both models make of them.
    pub picture: PathBuf,
}

/// The means over the validation sets.
#[derive(Serialize)]
pub struct Figures {
    /// In normalized units of each model.
    pub mse: f64,
    pub psnr: f64,
    pub ssim: f64,
    /// At each level, in the first set.
    pub codes_in_use: Vec<usize>,
}

/// Measures the base model and the best of the run (that of `step`) on the run's validation pictures, records the
/// latter's figures, and draws some of the pictures.
pub fn compare(base: &Model, trainer: &Trainer, step: u64, run: &Path, settings: &Settings) -> Result<Comparison> {
    let tuned = Model::load(run, base.compute())?;
    let sets = &trainer.data().valid;
    let total: usize = sets.iter().map(|(_, source)| source.len()).sum();
    let counter = Counter::new(&settings.console, 2 * total, "pictures compared");
    let before = measure(base, trainer, &|done| counter.set(done))?;
    let after = measure(&tuned, trainer, &|done| counter.set(total + done))?;
    record_evaluation(run, step, "validation pictures", &after)?;
    let picture = run.join(PICTURE);
    write_picture(&picture, &draw(base, &tuned, sets)?)?;
    Ok(Comparison { before: figures(&before), after: figures(&after), picture })
}

fn measure(model: &Model, trainer: &Trainer, progress: &dyn Fn(usize)) -> Result<Vec<(String, Evaluation)>> {
    let options = EvaluateOptions {
        preprocess: trainer.preprocess(),
        batch_size: trainer.recipe().training.batch_size,
        full: true,
    };
    let (mut results, mut done) = (Vec::new(), 0);
    for (name, source) in &trainer.data().valid {
        let evaluation = evaluate(model, source, &options, &mut |images| progress(done + images))?;
        done += evaluation.images;
        results.push((name.clone(), evaluation));
    }
    Ok(results)
}

fn figures(sets: &[(String, Evaluation)]) -> Figures {
    let mean = |value: &dyn Fn(&Evaluation) -> f64| {
        sets.iter().map(|(_, set)| value(set)).sum::<f64>() / sets.len().max(1) as f64
    };
    let quality = |set: &Evaluation, value: fn(&ksom_vqvae::evaluation::Quality) -> f64| {
        set.quality.as_ref().map_or(f64::NAN, value)
    };
    Figures {
        mse: mean(&|set| set.mse),
        psnr: mean(&|set| quality(set, |quality| quality.psnr)),
        ssim: mean(&|set| quality(set, |quality| quality.ssim)),
        codes_in_use: sets
            .first()
            .map(|(_, set)| set.levels.iter().map(|l| l.codes_in_use).collect())
            .unwrap_or_default(),
    }
}

/// Rows of original, before, after.
fn draw(base: &Model, tuned: &Model, sets: &[NamedSource]) -> Result<RgbImage> {
    let pictures = sets.iter().flat_map(|(_, source)| (0..source.len()).map(move |index| source.image(index)));
    let mut rows = Vec::new();
    for original in pictures.take(ROWS) {
        let mut original = original?;
        if original.width().max(original.height()) > LONGEST_SIDE {
            original = shown(&original, LONGEST_SIDE);
        }
        let mut row = vec![shown(&original, LONGEST_SIDE)];
        for model in [base, tuned] {
            let decoded = model.decode_images(&model.encode_images(std::slice::from_ref(&original))?)?;
            row.extend(decoded.iter().map(|picture| shown(picture, LONGEST_SIDE)));
        }
        rows.push(row);
    }
    Ok(sheet(&rows))
}
