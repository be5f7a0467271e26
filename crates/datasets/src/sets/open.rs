//! A specification → the pictures to train on, to validate on and to test on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rayon::prelude::*;

use crate::error::DatasetError;
use crate::files::passed_over::PassedOver;
use crate::loading::random::Purpose;
use crate::loading::split::{divide, split};
use crate::sets::data_set::{DataSet, NamedSource};
use crate::sets::layout::detect;
use crate::sets::members::open_member;
use crate::sets::options::{DataOptions, OnUnreadable, Validation};
use crate::sets::spec::{DataKind, DataSpec};
use crate::sources::combined::{Concat, Subset};
use crate::sources::keep::KeepSource;
use crate::sources::remarks::Remarks;
use crate::sources::source::ImageSource;

/// Opens a data set or mixture.
///
/// Files are listed and read, but image files are not decoded before they are asked for (unless unreadable ones are
/// to be skipped). Each member of a mixture is split by itself.
///
/// # Errors
/// When a member is missing, is not laid out as its kind demands, holds no pictures, or its kind was left out of this
/// build; when a fraction makes no sense.
pub fn open(spec: &DataSpec, options: &DataOptions) -> Result<DataSet, DatasetError> {
    open_or_again(spec, options, None)
}

/// Opens a data set as it was opened before: exactly the pictures of [`DataSet::left_out`] are left out before anything
/// is split, whatever can be decoded now.
///
/// # Errors
/// As [`open`].
pub fn open_again(spec: &DataSpec, options: &DataOptions, left_out: &[Vec<String>]) -> Result<DataSet, DatasetError> {
    open_or_again(spec, options, Some(left_out))
}

fn open_or_again(
    spec: &DataSpec,
    options: &DataOptions,
    again: Option<&[Vec<String>]>,
) -> Result<DataSet, DatasetError> {
    if !(options.train_fraction > 0.0 && options.train_fraction <= 1.0) {
        return Err(DatasetError::Option {
            option: "the fraction of the images to train on",
            value: options.train_fraction.to_string(),
            reason: "it must be above 0 and at most 1".to_owned(),
        });
    }
    let budget = Arc::new(AtomicU64::new(options.keep_decoded));
    let (remarks, mut passed_over) = (Remarks::default(), PassedOver::default());
    let (mut unreadable, mut left_out) = (Vec::new(), Vec::new());
    let (mut train, mut valid, mut test) = (Vec::new(), Vec::<NamedSource>::new(), Vec::new());
    let mut descriptions = Vec::new();
    for (number, member) in spec.members().iter().enumerate() {
        check_there(spec, member.path())?;
        let kind = match member.kind() {
            Some(kind) => kind,
            None => detect(member.path())?,
        };
        let opened = open_member(kind, member.path(), options, &remarks)?;
        passed_over.add(opened.passed_over);
        let mut prepare = |source: Arc<dyn ImageSource>| -> Result<Arc<dyn ImageSource>, _> {
            let source: Arc<dyn ImageSource> = Arc::new(KeepSource::new(source, budget.clone()));
            let (told, number) = (unreadable.len(), left_out.len());
            let source = match (again, options.on_unreadable) {
                (Some(again), _) => without(source, again.get(number).map_or(&[], Vec::as_slice)),
                (None, OnUnreadable::Fail) => Ok(source),
                (None, OnUnreadable::Skip) => readable(source, &mut unreadable),
            }?;
            left_out.push(match again {
                Some(again) => again.get(number).cloned().unwrap_or_default(),
                None => unreadable[told..].iter().map(|(name, _): &(String, String)| name.clone()).collect(),
            });
            Ok::<_, DatasetError>(source)
        };
        let all = prepare(opened.train)?;
        let own_valid = opened.valid.map(&mut prepare).transpose()?;
        let own_test = opened.test.map(&mut prepare).transpose()?;
        if all.is_empty() {
            return Err(DatasetError::nothing_found(member.path().display(), &passed_over));
        }
        // Members of one name are told apart by their number.
        let taken = valid.iter().any(|(name, _)| *name == opened.name);
        let name = if taken { format!("{} ({})", opened.name, number + 1) } else { opened.name };
        let (mut rest, held_out) = match (options.valid_from, own_valid) {
            (Validation::OwnSet, Some(own)) => ((0..all.len()).collect(), Some(own)),
            _ => {
                let (rest, held_out) = split(all.len(), options.valid_fraction, options.seed)?;
                (rest, subset(&all, held_out)?)
            }
        };
        let held_out = match (held_out, options.valid_images) {
            (Some(source), Some(most)) if most < source.len() => subset(&source, spread(source.len(), most))?,
            (held_out, _) => held_out,
        };
        if options.train_fraction < 1.0 {
            let left_out = 1.0 - options.train_fraction;
            let (kept, _) = divide(rest.len(), left_out, options.seed, Purpose::Selection);
            rest = kept.into_iter().filter_map(|at| rest.get(at).copied()).collect();
        }
        descriptions.push(format!(
            "{kind} {}: {} images to train on, {} to validate on, {} to test on",
            member.path().display(),
            rest.len(),
            held_out.as_ref().map_or(0, |source| source.len()),
            own_test.as_ref().map_or(0, |source| source.len()),
        ));
        train.push(if rest.len() == all.len() { all } else { Arc::new(Subset::new(all, rest)?) });
        valid.extend(held_out.map(|source| (name.clone(), source)));
        test.extend(own_test.map(|source| (name, source)));
    }
    let train: Arc<dyn ImageSource> = match train.pop() {
        Some(only) if train.is_empty() => only,
        last => Arc::new(Concat::new(train.into_iter().chain(last).collect())),
    };
    Ok(DataSet { description: descriptions.join("; "), train, valid, test, unreadable, left_out, passed_over, remarks })
}

/// Whether what a plus sign was read in is there, where that was perhaps not meant to join two data sets.
fn check_there(spec: &DataSpec, path: &Path) -> Result<(), DatasetError> {
    let is_there = spec.members().iter().any(|member| member.kind() == Some(DataKind::Hub))
        || path.exists()
        || path.to_string_lossy().contains(['*', '?', '[', '{', '#']);
    if spec.members().len() < 2 || is_there {
        return Ok(());
    }
    Err(DatasetError::Spec {
        spec: spec.to_string(),
        reason: format!(
            "there is no {}. A plus sign joins data sets; a plus sign within a path is written twice",
            path.display()
        ),
    })
}

/// `count` of the numbers 0 … `len` − 1, evenly spread.
fn spread(len: usize, count: usize) -> Vec<usize> {
    (0..count).map(|number| (number as u128 * len as u128 / count as u128) as usize).collect()
}

/// The pictures `indices` of `source`; `None` if there are none.
fn subset(source: &Arc<dyn ImageSource>, indices: Vec<usize>) -> Result<Option<Arc<dyn ImageSource>>, DatasetError> {
    if indices.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Subset::new(source.clone(), indices)?)))
}

/// The pictures of `source` but those of these names.
fn without(source: Arc<dyn ImageSource>, names: &[String]) -> Result<Arc<dyn ImageSource>, DatasetError> {
    if names.is_empty() {
        return Ok(source);
    }
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let indices = (0..source.len()).filter(|index| !names.contains(source.name(*index).as_str())).collect();
    Ok(Arc::new(Subset::new(source, indices)?))
}

/// The pictures of `source` that can be decoded; the others are listed.
fn readable(
    source: Arc<dyn ImageSource>,
    unreadable: &mut Vec<(String, String)>,
) -> Result<Arc<dyn ImageSource>, DatasetError> {
    let failures: Vec<Option<String>> = (0..source.len())
        .into_par_iter()
        .map(|index| source.image(index).err().map(|error| error.to_string()))
        .collect();
    if failures.iter().all(Option::is_none) {
        return Ok(source);
    }
    let mut indices = Vec::new();
    for (index, failure) in failures.into_iter().enumerate() {
        match failure {
            None => indices.push(index),
            Some(reason) => unreadable.push((source.name(index), reason)),
        }
    }
    Ok(Arc::new(Subset::new(source, indices)?))
}
