//! Labelled sample pictures in a run directory, so that a training can be watched: `samples/step-N.jpg`.

use std::path::{Path, PathBuf};

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::crop_imm;
use ksom_datasets::sets::NamedSource;

use crate::error::{Error, Result};
use crate::evaluation::metrics::PictureQuality;
use crate::figures::{Sheet, SheetCell, SheetRow, decibels, fit};
use crate::model::Model;
use crate::system::files::write_atomic;

/// Pictures on a sheet.
const SHOWN: usize = 4;
/// Of larger pictures the middle of so many pixels along a side is shown.
const LONGEST_SIDE: u32 = 256;
/// Sheets that are kept: beyond them every second one goes.
const MOST_KEPT: usize = 16;
const JPEG_QUALITY: u8 = 90;

/// Writes what the model makes of the first validation pictures after `step` steps; `mse` is the
/// validation error.
pub(super) fn write_samples(run: &Path, model: &Model, sets: &[NamedSource], step: u64, mse: f64) -> Result<()> {
    let mut rows = Vec::new();
    let pictures = sets.iter().flat_map(|(_, source)| (0..source.len()).map(move |index| (source, index)));
    for (source, index) in pictures.take(SHOWN) {
        let original = middle(&source.image(index)?);
        for decoded in model.reconstruct_images(std::slice::from_ref(&original))? {
            let quality = PictureQuality::measure(&original, &decoded)?;
            let (left, scale) = fit(&original, LONGEST_SIDE);
            let size = format!("{}×{}, {scale}", original.width(), original.height());
            let caption = format!("{}, SSIM {:.3}", decibels(quality.psnr), quality.ssim);
            let cells = vec![
                SheetCell { picture: left, caption: size },
                SheetCell { picture: fit(&decoded, LONGEST_SIDE).0, caption },
            ];
            rows.push(SheetRow { title: source.name(index), cells });
        }
    }
    let sheet = Sheet {
        title: format!("Step {step}"),
        notes: vec![format!("validation error {mse:.4} (normalized units)")],
        columns: vec!["original".into(), "reconstruction".into()],
        rows,
    };
    let folder = run.join("samples");
    std::fs::create_dir_all(&folder).map_err(|source| Error::io("create", &folder, source))?;
    let mut bytes = Vec::new();
    sheet
        .draw()?
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
        .map_err(|error| Error::file(&folder, format!("cannot encode a sheet of samples: {error}")))?;
    write_atomic(&folder.join(format!("step-{step}.jpg")), &bytes)?;
    thin_out(&folder)
}

fn middle(picture: &RgbImage) -> RgbImage {
    let (width, height) = (picture.width().min(LONGEST_SIDE), picture.height().min(LONGEST_SIDE));
    let (x, y) = ((picture.width() - width) / 2, (picture.height() - height) / 2);
    crop_imm(picture, x, y, width, height).to_image()
}

/// Removes every second sheet but the first and the last, once there are too many.
fn thin_out(folder: &Path) -> Result<()> {
    let mut sheets: Vec<(u64, PathBuf)> = std::fs::read_dir(folder)
        .map_err(|source| Error::io("list", folder, source))?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let step = path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".jpg")?.parse().ok()?;
            Some((step, path))
        })
        .collect();
    if sheets.len() <= MOST_KEPT {
        return Ok(());
    }
    sheets.sort_unstable();
    let last = sheets.len() - 1;
    for (_, sheet) in sheets.into_iter().enumerate().filter(|(at, _)| at % 2 == 1 && *at != last).map(|(_, s)| s) {
        std::fs::remove_file(&sheet).map_err(|source| Error::io("remove", &sheet, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_sheet_are_always_kept() {
        let folder = tempfile::tempdir().unwrap();
        for step in 0..100u64 {
            std::fs::write(folder.path().join(format!("step-{step}.jpg")), "").unwrap();
            std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
            thin_out(folder.path()).unwrap();
            let count = std::fs::read_dir(folder.path()).unwrap().count() - 1;
            assert!(count <= MOST_KEPT && count > step.min(6) as usize, "{count} after step {step}");
            for kept in [0, step] {
                assert!(folder.path().join(format!("step-{kept}.jpg")).is_file(), "{kept} after step {step}");
            }
        }
        assert!(folder.path().join("notes.txt").is_file());
    }
}
