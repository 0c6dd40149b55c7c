//! The models and classifiers of `virpack predict`.

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use virpack_core::calls::Compat;
use virpack_core::model::Location;
use virpack_core::model::mini;
use virpack_core::predict::{Bundle, PredictOptions};
use virpack_seq::{Input, escaped, shown_path};

/// The models of VirNucPro: the nucleotide model and the protein model.
const VIRNUCPRO: [&str; 2] = ["zhihan1996/DNABERT-S", "esm2_t36_3B_UR50D"];

/// What judges.
#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// Models and classifiers: virpack-mini (built in), or a directory with two models and their classifiers
    /// [default: virpack-mini]
    #[arg(long, short, value_name = "MODEL", conflicts_with_all = ["preset", "classifier"])]
    model: Option<String>,

    /// VirNucPro as published: ESM-2 3B, DNABERT-S, and its classifier from the working directory or
    /// --classifier. Downloads 11.8 GB, needs as much memory (half on a GPU), and takes some 1,000 times the
    /// work of virpack-mini
    #[arg(long, value_enum, value_name = "NAME")]
    preset: Option<Preset>,

    /// Classifier: 300_model.pth or 500_model.pth of VirNucPro, a state dict, or safetensors
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,

    /// Classifier of nucleotide vectors alone, for chunks without an open frame [default: such chunks have no
    /// verdict]
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    nucleotide_classifier: Option<PathBuf>,

    /// Protein model, with --classifier or --preset: a directory or file of weights, a name (3B), or ORG/REPO
    /// on the Hugging Face Hub [default: esm2_t36_3B_UR50D]
    #[arg(long, value_name = "MODEL", conflicts_with = "model")]
    protein_model: Option<String>,

    /// Nucleotide model, named in the same way [default: zhihan1996/DNABERT-S]
    #[arg(long, value_name = "MODEL", conflicts_with = "model")]
    nucleotide_model: Option<String>,
}

/// Pipelines by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// VirNucPro for chunks of 500 bases: 500_model.pth
    #[value(name = "virnucpro-500")]
    Virnucpro500,
    /// VirNucPro for chunks of 300 bases: 300_model.pth
    #[value(name = "virnucpro-300")]
    Virnucpro300,
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Preset::Virnucpro500 => "virnucpro-500",
            Preset::Virnucpro300 => "virnucpro-300",
        }
    }

    /// Returns its classifier, in the working directory.
    fn classifier(self) -> Result<PathBuf, Failure> {
        let length = match self {
            Preset::Virnucpro500 => 500,
            Preset::Virnucpro300 => 300,
        };
        let names = ["pth", "safetensors"].map(|ending| PathBuf::from(format!("{length}_model.{ending}")));
        let [published, _] = names.clone();
        names
            .into_iter()
            .find(|path| path.exists())
            .ok_or(Failure::NoPublishedClassifier { preset: self.name(), file: published })
    }
}

impl ModelArguments {
    /// Returns the selected models, checked as far as possible without a download, and the classifier's
    /// file.
    pub(crate) fn options(
        &self,
        inputs: Vec<Input>,
        length: Option<NonZeroUsize>,
        output: &Path,
    ) -> Result<(PredictOptions, String), Failure> {
        let classifier = match (&self.classifier, self.preset) {
            (Some(path), _) => path.clone(),
            (None, Some(preset)) => preset.classifier()?,
            (None, None) => return self.bundle(inputs, length, output),
        };
        let [nucleotide, protein] = VIRNUCPRO;
        let models = [
            self.nucleotide_model.as_deref().unwrap_or(nucleotide),
            self.protein_model.as_deref().unwrap_or(protein),
        ];
        let classifier = Location::Disk(classifier);
        let options = PredictOptions::new(inputs, models, classifier.clone(), output)
            .name(self.preset.map(|preset| preset.name().to_owned()))
            .length(length)
            .nucleotide_classifier(self.nucleotide_classifier.clone().map(Location::Disk));
        Ok((options, classifier.to_string()))
    }

    fn bundle(
        &self,
        inputs: Vec<Input>,
        length: Option<NonZeroUsize>,
        output: &Path,
    ) -> Result<(PredictOptions, String), Failure> {
        let single = [
            ("--protein-model", self.protein_model.is_some()),
            ("--nucleotide-model", self.nucleotide_model.is_some()),
            ("--nucleotide-classifier", self.nucleotide_classifier.is_some()),
        ];
        if let Some((option, _)) = single.into_iter().find(|(_, given)| *given) {
            return Err(Failure::WithoutClassifier { option });
        }
        let bundle = match &self.model {
            Some(path) if Path::new(path).exists() => Bundle::open(&Path::new(path).into())?,
            Some(name) if name != mini::NAME => return Err(Failure::NoSuchBundle { model: name.clone() }),
            _ => Bundle::open(&mini::location())?,
        };
        let (classifier, _) = bundle.classifiers(length);
        Ok((PredictOptions::with_bundle(inputs, &bundle, length, output), classifier.to_string()))
    }

    /// Returns the default columns of VirNucPro's files: VirNucPro's if it is run by its name.
    pub(crate) fn compat(&self) -> Option<Compat> {
        self.preset.map(|_| Compat::VirNucPro)
    }

    /// Returns the value of `--model`.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns the name of the models.
    pub(crate) fn name(&self) -> String {
        match (&self.classifier, self.preset, &self.model) {
            (_, Some(preset), _) => preset.name().to_owned(),
            (Some(file), None, _) => shown_path(file).to_string(),
            (None, None, Some(model)) => escaped(model).into_owned(),
            (None, None, None) => mini::NAME.to_owned(),
        }
    }

    /// Returns the models for the opening line.
    pub(crate) fn shown(&self) -> String {
        match (&self.classifier, self.preset, &self.model) {
            (Some(file), None, _) => file.display().to_string(),
            (Some(file), Some(preset), _) => format!("{} ({})", preset.name(), file.display()),
            (None, Some(preset), _) => preset.name().to_owned(),
            (None, None, Some(model)) if model != mini::NAME || Path::new(model).exists() => model.clone(),
            _ => format!("{} (built in)", mini::NAME),
        }
    }
}
