//! A model before and after fine-tuning, judged on pictures that neither training nor early stopping used: figures, what
//! they are worth, and a picture to look at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use image::RgbImage;
use ksom_datasets::Preprocess;
use ksom_datasets::sets::NamedSource;
use ksom_datasets::sources::Subset;
use ksom_vqvae::evaluation::metrics::PictureQuality;
use ksom_vqvae::evaluation::{EvaluateOptions, Evaluation, PairedChange, evaluate, paired_change};
use ksom_vqvae::figures::{Sheet, SheetCell, SheetRow, decibels, fit};
use ksom_vqvae::record::record_evaluation;
use ksom_vqvae::{Model, Trainer};
use serde::Serialize;

use crate::files::write_picture;
use crate::output::{grouped, pictures, sides};
use crate::progress::Counter;
use crate::settings::Settings;
use crate::sheet::ROWS;

/// Where the picture goes in a run directory.
const PICTURE: &str = "before-after.png";
/// The longest side of a picture there.
const LONGEST_SIDE: u32 = 256;
/// At most so many pictures of a data set's own test part are judged on, spread evenly over it.
const MOST_JUDGED: usize = 1000;
const BATCH: usize = 64;

/// Both models on the same pictures, whole and at their own size.
#[derive(Serialize)]
pub struct Comparison {
    /// Which pictures these are, of how many.
    pub judged_on: String,
    pub before: Figures,
    pub after: Figures,
    /// How the error changed, and how sure that is.
    pub change: Option<PairedChange>,
    /// Originals beside what both models make of them.
    pub picture: PathBuf,
}

/// The means over the pictures.
#[derive(Serialize)]
pub struct Figures {
    /// Of pixels in 0..255.
    pub mse: f64,
    pub psnr: f64,
    pub ssim: f64,
    pub ms_ssim: f64,
    /// Of codes as whole numbers, in the first set.
    pub bits_per_pixel: f64,
    /// At each level, in the first set.
    pub codes_in_use: Vec<usize>,
}

/// Measures the base model and the best of the run (that of `step`) on the pictures that are kept for it, records the
/// latter's figures, and draws some of the pictures; nothing where no picture was kept.
pub fn compare(
    (base, base_name): (&Model, &str),
    trainer: &Trainer,
    step: u64,
    run: &Path,
    settings: &Settings,
) -> Result<Option<Comparison>> {
    let tuned = Model::load(run, base.compute())?;
    let (sets, judged_on) = judged(trainer)?;
    let total: usize = sets.iter().map(|(_, source)| source.len()).sum();
    if total == 0 {
        return Ok(None);
    }
    let counter = Counter::new(&settings.console, 2 * total, "pictures judged");
    let before = measure(base, &sets, &|done| counter.set(done))?;
    let after = measure(&tuned, &sets, &|done| counter.set(total + done))?;
    let alike = [base, &tuned].map(|model| model.config().preprocessing.normalization);
    let mse_before = before.iter().map(|(_, set)| set.mse).sum::<f64>() / before.len() as f64;
    let name = sets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    record_evaluation(run, step, &name, &after, (alike[0] == alike[1]).then_some(mse_before))?;
    let picture = run.join(PICTURE);
    write_picture(&picture, &draw((base, base_name), (&tuned, run), &sets)?)?;
    let errors = [&before, &after].map(|sets| qualities(sets).iter().map(|quality| quality.mse).collect::<Vec<_>>());
    let change = paired_change(&errors[0], &errors[1]);
    Ok(Some(Comparison { judged_on, before: figures(&before), after: figures(&after), change, picture }))
}

/// The pictures to judge on: those set aside, or the data set's own test part, up to a bound.
fn judged(trainer: &Trainer) -> Result<(Vec<NamedSource>, String)> {
    let test = &trainer.data().test;
    let all: usize = test.iter().map(|(_, source)| source.len()).sum();
    if all <= MOST_JUDGED {
        return Ok((test.clone(), format!("{} that neither training nor early stopping saw", pictures(all))));
    }
    let mut sets: Vec<NamedSource> = Vec::new();
    for (name, source) in test {
        let most = (MOST_JUDGED * source.len()).div_ceil(all);
        let spread = (0..most).map(|at| at * source.len() / most).collect();
        sets.push((name.clone(), Arc::new(Subset::new(source.clone(), spread)?)));
    }
    let taken: usize = sets.iter().map(|(_, source)| source.len()).sum();
    Ok((sets, format!("{} of the {} of the test part", grouped(taken), pictures(all))))
}

fn measure(model: &Model, sets: &[NamedSource], progress: &dyn Fn(usize)) -> Result<Vec<(String, Evaluation)>> {
    let options = EvaluateOptions { preprocess: Preprocess::default(), batch_size: BATCH, full: true };
    let (mut results, mut done) = (Vec::new(), 0);
    for (name, source) in sets {
        let evaluation = evaluate(model, source, &options, &mut |images| progress(done + images))?;
        done += evaluation.images;
        results.push((name.clone(), evaluation));
    }
    Ok(results)
}

fn qualities(sets: &[(String, Evaluation)]) -> Vec<PictureQuality> {
    sets.iter().flat_map(|(_, set)| set.pictures.iter().copied()).collect()
}

fn figures(sets: &[(String, Evaluation)]) -> Figures {
    let nothing = PictureQuality { mse: f64::NAN, psnr: f64::NAN, ssim: f64::NAN, ms_ssim: f64::NAN };
    let PictureQuality { mse, psnr, ssim, ms_ssim } = PictureQuality::mean(&qualities(sets)).unwrap_or(nothing);
    let first = sets.first().map(|(_, set)| set);
    let bits_per_pixel = first.map_or(f64::NAN, |set| set.bits_per_pixel);
    let codes_in_use = first.map(|set| set.levels.iter().map(|level| level.codes_in_use).collect());
    Figures { mse, psnr, ssim, ms_ssim, bits_per_pixel, codes_in_use: codes_in_use.unwrap_or_default() }
}

/// Rows of original, before, after.
fn draw((base, base_name): (&Model, &str), (tuned, run): (&Model, &Path), sets: &[NamedSource]) -> Result<RgbImage> {
    let pictures = sets.iter().flat_map(|(_, source)| (0..source.len()).map(move |index| (source, index)));
    let mut rows = Vec::new();
    for (source, index) in pictures.take(ROWS) {
        let original = source.image(index)?;
        let (picture, scale) = fit(&original, LONGEST_SIDE);
        let caption = format!("{}, {scale}", sides(&[original.width(), original.height()]));
        let mut cells = vec![SheetCell { picture, caption }];
        for model in [base, tuned] {
            for decoded in model.reconstruct_images(std::slice::from_ref(&original))? {
                let PictureQuality { psnr, ssim, .. } = PictureQuality::measure(&original, &decoded)?;
                let caption = format!("{}, SSIM {ssim:.3}", decibels(psnr));
                cells.push(SheetCell { picture: fit(&decoded, LONGEST_SIDE).0, caption });
            }
        }
        rows.push(SheetRow { title: source.name(index), cells });
    }
    let columns = vec!["original".to_string(), format!("before: {base_name}"), format!("after: {}", run.display())];
    Ok(Sheet { columns, rows, ..Sheet::default() }.draw()?)
}
