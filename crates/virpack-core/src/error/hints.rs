//! The hints of a run's errors.

use std::borrow::Cow;

use virpack_seq::Hint;

use super::Error;

impl Hint for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Error::Model(error) => return error.hint(),
            Error::Device(error) => return error.hint(),
            Error::Unavailable { why, .. } => return why.hint(),
            Error::Seq(error) => return error.hint(),
            Error::Output(error) => return error.hint(),
            Error::Resume(error) => return error.hint(),
            Error::Merge(error) => return error.hint(),
            Error::Plan(error) => return error.hint(),
            Error::Html(error) => return error.hint(),
            Error::Report(error) => return error.hint(),
            Error::NucleotideClassifierWidth { .. } => {
                "a nucleotide classifier scores chunks without an open frame, by the nucleotide model alone".into()
            }
            Error::ClassifierFeatures { .. } | Error::JointClassifierWidth { .. } => {
                "name models and classifiers of one directory, as they were trained together".into()
            }
            Error::ClassifierBeside { .. } => "leave the nucleotide classifier out".into(),
            Error::Calibration { source, .. } => return source.hint(),
            Error::ClassifierLengths { .. } => "name two of one length".into(),
            Error::NoBundle { .. } => {
                "such a directory has the models peptide/ and nucleotide/ and their classifiers, \
                 classifier_500.safetensors and nucleotide_classifier_500.safetensors; single models are named one by one, \
                 with their classifier"
                    .into()
            }
            Error::CpuDtype { auto: true, .. } => {
                "choose bfloat16 or name no precision; the list of devices says why no GPU is used".into()
            }
            Error::CpuDtype { auto: false, .. } => "choose bfloat16, name no precision, or name a GPU".into(),
            Error::ShardOfPipe { .. } => "give files; a plan divides what a URL names".into(),
            Error::ShardName { .. } => "name it NAME.shard; a merge joins all shards to any format".into(),
            Error::ShardDtype { .. } => "choose the type where the shards are merged".into(),
            Error::Thread(error) => return error.hint(),
            Error::WindowsMissing { .. } | Error::EmbeddingsMissing { .. } => {
                "this is a fault of virpack's: report it".into()
            }
            Error::Hung { .. } => "see `nvidia-smi` and the system's log, or allow more seconds".into(),
            Error::OneDevice { .. } => "name one of them, as in cuda:0".into(),
            Error::ResidueWindows => {
                "raise the largest length instead, or truncate, skip or refuse long records".into()
            }
            Error::WrongModel { .. } => {
                "the nucleotide model reads the bases, the protein model their translation".into()
            }
            Error::NotFinite { .. } => "the weights may be damaged, or need a wider dtype".into(),
            Error::NoLayer { .. } => "layers count from 0 (the embeddings), negative ones from the end".into(),
            Error::Interrupted { .. } | Error::NoShare { .. } => return None,
        })
    }
}
