//! What fine-tuning does to its data before it begins: pictures set aside to judge by, and a size that fits.

use std::sync::Arc;

use ksom_datasets::sources::Subset;
use ksom_datasets::{DataSet, ImageSource};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::config::ModelConfig;
use crate::training::recipe::Recipe;

/// Parts of pictures have at most so many pixels along a side, or as many as the base model was trained with.
const LARGEST_SIDE: u32 = 64;
/// Below this many pixels along a side there is too little to learn from.
const SMALLEST_SIDE: u32 = 16;
/// At most so many pictures are set aside: more tell hardly more.
const MOST_SET_ASIDE: usize = 1000;

/// What the pictures that are set aside are called.
pub(crate) const SET_ASIDE: &str = "set aside";

/// Sets a share of the training pictures aside, as the recipe wants, and makes them the test part: neither training nor
/// early stopping sees them. A data set with a test part of its own keeps it, and loses no picture.
///
/// The share is a function of the recipe's seed and the number of pictures.
///
/// # Errors
/// The share is out of bounds.
pub fn set_aside(data: &mut DataSet, recipe: &Recipe) -> Result<()> {
    if recipe.data.judged_fraction <= 0.0 || !data.test.is_empty() {
        return Ok(());
    }
    let (mut rest, mut aside) =
        ksom_datasets::loading::split(data.train.len(), recipe.data.judged_fraction, recipe.training.seed)?;
    if aside.is_empty() {
        return Ok(());
    }
    if aside.len() > MOST_SET_ASIDE {
        let every = aside.len().div_ceil(MOST_SET_ASIDE);
        let kept: Vec<usize> = aside.iter().copied().step_by(every).collect();
        rest.extend(aside.iter().copied().filter(|index| kept.binary_search(index).is_err()));
        rest.sort_unstable();
        aside = kept;
    }
    data.description += &format!(", {} of these set aside for judging", aside.len());
    let part = |indices| -> Result<Arc<dyn ImageSource>> { Ok(Arc::new(Subset::new(data.train.clone(), indices)?)) };
    let (train, judged) = (part(rest)?, part(aside)?);
    data.train = train;
    data.test = vec![(SET_ASIDE.to_string(), judged)];
    Ok(())
}

/// Both of what fine-tuning does to its data; `base` is the model to train on from, if there is one. Gives the number of
/// pictures that are enlarged.
///
/// # Errors
/// As [`set_aside`] and `fit_size`.
pub(crate) fn prepare(data: &mut DataSet, recipe: &mut Recipe, base: Option<&ModelConfig>) -> Result<usize> {
    set_aside(data, recipe)?;
    base.map_or(Ok(0), |base| fit_size(data, recipe, base))
}

/// Gives a recipe that names no size the one that fits: as large as the smallest picture, at most as large as the base
/// model's training or 64 pixels, so that nothing is enlarged. Gives the number of pictures that are smaller than the
/// recipe's size, and so will be enlarged to it as it asks.
///
/// # Errors
/// No picture can be read, or one is too small to train on as it is.
fn fit_size(data: &DataSet, recipe: &mut Recipe, base: &ModelConfig) -> Result<usize> {
    let sources = || std::iter::once(&data.train).chain(data.valid.iter().map(|(_, source)| source));
    let (mut sizes, mut unreadable) = (Vec::new(), None);
    for source in sources() {
        let of_source: Vec<Result<(u32, u32)>> =
            (0..source.len()).into_par_iter().map(|index| Ok(source.size(index)?)).collect();
        for (index, size) in of_source.into_iter().enumerate() {
            match size {
                Ok(size) => sizes.push((size, source.clone(), index)),
                // Training tells of it once it meets the picture, and can go on without it.
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
    }
    if let (true, Some(error)) = (sizes.is_empty(), unreadable) {
        return Err(error);
    }
    if let Some([width, height]) = recipe.data.size {
        return Ok(sizes.iter().filter(|((w, h), _, _)| *w < width || *h < height).count());
    }
    let [most_across, most_down] = base.preprocessing.trained_size.unwrap_or([0, 0]).map(|side| side.max(LARGEST_SIDE));
    let smallest = |side: fn(&(u32, u32)) -> u32| sizes.iter().min_by_key(|(size, _, _)| side(size));
    let (Some(narrowest), Some(lowest)) = (smallest(|size| size.0), smallest(|size| size.1)) else { return Ok(0) };
    for ((width, height), source, index) in [narrowest, lowest] {
        if (*width).min(*height) < SMALLEST_SIDE {
            return Err(Error::Invalid(format!(
                "{} has {width}×{height} pixels: sides below {SMALLEST_SIDE} are too small to train on, and pictures are \
                 not enlarged unless that is asked for; leave it out, or set data.size (size=[WIDTH,HEIGHT]), to which \
                 smaller pictures are then enlarged",
                source.name(*index)
            )));
        }
    }
    let stride = base.architecture.stride() as u32;
    let side = |smallest: u32, most: u32| (smallest.min(most) / stride * stride).max(stride);
    recipe.data.size = Some([side(narrowest.0.0, most_across), side(lowest.0.1, most_down)]);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use ksom_datasets::{DataOptions, DataSpec, open};

    use super::*;

    /// A data set of pictures of these sizes, four of each.
    fn pictures(sizes: &[(u32, u32)]) -> (tempfile::TempDir, DataSet) {
        let folder = tempfile::tempdir().unwrap();
        for (number, (width, height)) in sizes.iter().cycle().take(4 * sizes.len()).enumerate() {
            image::RgbImage::new(*width, *height).save(folder.path().join(format!("{number:02}.png"))).unwrap();
        }
        let spec: DataSpec = format!("folder:{}", folder.path().display()).parse().unwrap();
        let data = open(&spec, &DataOptions::default()).unwrap();
        (folder, data)
    }

    fn recipe(set: &[&str]) -> Recipe {
        Recipe::find("finetune", &set.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_three_parts_share_no_picture() {
        let (_folder, mut data) = pictures(&[(20, 20); 5]);
        let names = |source: &Arc<dyn ImageSource>| (0..source.len()).map(|i| source.name(i)).collect::<Vec<_>>();
        set_aside(&mut data, &recipe(&[])).unwrap();
        let parts = [names(&data.train), names(&data.valid[0].1), names(&data.test[0].1)];
        assert_eq!(parts.each_ref().map(Vec::len), [12, 4, 4]);
        let mut all = parts.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20);
        // Once there is a test part it is kept; where no share is wanted none is taken.
        set_aside(&mut data, &recipe(&[])).unwrap();
        assert_eq!(data.train.len(), 12);
        let (_folder, mut data) = pictures(&[(20, 20); 5]);
        set_aside(&mut data, &recipe(&["judged_fraction=0"])).unwrap();
        assert!(data.test.is_empty() && data.train.len() == 16);
    }

    #[test]
    fn sizes_fit_without_enlarging_anything() {
        let base = ModelConfig::vqvae();
        let fit = |sizes: &[(u32, u32)], set: &[&str]| {
            let (_folder, data) = pictures(sizes);
            let mut recipe = recipe(set);
            fit_size(&data, &mut recipe, &base).map(|enlarged| (recipe.data.size.unwrap(), enlarged))
        };
        assert_eq!(fit(&[(32, 32)], &[]).unwrap(), ([32, 32], 0));
        assert_eq!(fit(&[(50, 300), (300, 47)], &[]).unwrap(), ([48, 44], 0));
        assert_eq!(fit(&[(300, 200)], &[]).unwrap(), ([64, 64], 0));
        // What is asked for is done, and counted.
        assert_eq!(fit(&[(32, 32), (80, 80)], &["size=[64,64]"]).unwrap(), ([64, 64], 4));
        let error = fit(&[(32, 32), (32, 9)], &[]).unwrap_err().to_string();
        assert!(error.contains("32×9") && error.contains("not enlarged") && error.contains("size=["), "{error}");
    }
}
