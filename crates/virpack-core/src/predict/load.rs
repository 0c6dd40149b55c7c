//! The way of models and classifiers to where they run, and what their files are.

use std::sync::Arc;

use virpack_device::{Device, Dtype};
use virpack_seq::frames::{FrameOptions, PEPTIDES};

use super::classifiers::Classifiers;
use super::files::Files;
use super::identity::Known;
use super::towers::{Loaded, Opened};
use super::{PredictOptions, Told};
use crate::Error;
use crate::checkpoint::Found;
use crate::model::checksum::{FileChecksum, Summing};
use crate::model::hub::load_again;
use crate::output::check_apart_from_models;

/// All that judges, ready to run.
pub(super) struct Judges<B: Device> {
    pub(super) classifiers: Classifiers,
    pub(super) towers: Loaded<B>,
    /// How records become frames.
    pub(super) frames: FrameOptions,
    /// What each of `files` is here.
    pub(super) kinds: Vec<String>,
    /// The files of models and classifiers.
    pub(super) files: Vec<FileChecksum>,
    pub(super) dtype: Dtype,
}

impl<B: Device + 'static> Judges<B> {
    /// Loads what judges in a run that has `found` an earlier one. Of a complete one this is an error that says it.
    pub(super) fn load(
        devices: &[Vec<Arc<B>>; 2],
        options: &PredictOptions,
        found: Option<&Found>,
        tell: &mut impl FnMut(Told),
    ) -> Result<Self, Error> {
        let models = [&options.nucleotide_model, &options.protein_model];
        let mut is_told = false;
        load_again(options.refetch.as_ref(), &models, || {
            let mut classifiers = Classifiers::open(options)?;
            let opened = Opened::open(options, &mut classifiers)?;
            let (frames, told) = options.frames(&classifiers);
            if !std::mem::replace(&mut is_told, true) {
                opened.notes().into_iter().map(Told::Weights).chain([told]).for_each(&mut *tell);
            }
            Self::load_once(opened, classifiers, frames, devices, options, found)
        })
    }

    fn load_once(
        opened: Opened,
        classifiers: Classifiers,
        frames: FrameOptions,
        devices: &[Vec<Arc<B>>; 2],
        options: &PredictOptions,
        found: Option<&Found>,
    ) -> Result<Self, Error> {
        let (kinds, files): (Vec<_>, Vec<_>) = opened.files(&classifiers).into_iter().unzip();
        let tables = Files::in_directory(&options.output);
        check_apart_from_models(tables.all(), files.iter().cloned())?;
        let sums = Summing::start(files)?;
        let dtype = devices[PEPTIDES].first().expect("a model has a device").dtype();
        if let Some(complete) = found.and_then(Found::complete) {
            let known = Known { options, frames: &frames, kinds: &kinds, files: &sums.finish()?, dtype };
            let scores = known.identity(options.sum_inputs()?)()?;
            return Err(complete.end(&options.of_tables(scores)).into());
        }
        let earlier_budgets = found.and_then(Found::token_budgets).unwrap_or_default();
        let towers = Loaded::load(opened, devices.clone(), options, &frames, earlier_budgets)?;
        Ok(Judges { classifiers, towers, frames, kinds, files: sums.finish()?, dtype })
    }
}
