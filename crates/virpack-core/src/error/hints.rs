//! The hints of a run's errors.

use std::borrow::Cow;

use virpack_seq::Hint;

use super::Error;

impl Hint for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Error::Model(error) => return error.hint(),
            Error::Device(error) => return error.hint(),
            Error::DeviceChoice(error) => return error.hint(),
            Error::Seq(error) => return error.hint(),
            Error::Output(error) => return error.hint(),
            Error::Resume(error) => return error.hint(),
            Error::Merge(error) => return error.hint(),
            Error::Plan(error) => return error.hint(),
            Error::Report(error) => return error.hint(),
            Error::Bundle(error) => return error.hint(),
            Error::Thread(error) => return error.hint(),
            Error::WindowsMissing { .. } | Error::EmbeddingsMissing { .. } => {
                "this is a fault of virpack's: report it".into()
            }
            Error::Hung { .. } => "see `nvidia-smi` and the system's log, or allow more seconds".into(),
            Error::ResidueWindows => {
                "raise the largest length instead, or truncate, skip or refuse long records".into()
            }
            Error::WrongModel { .. } => {
                "the nucleotide model reads the bases, the protein model their translation".into()
            }
            Error::NotFinite { .. } => "the weights may be damaged, or need a wider dtype".into(),
            Error::NoLayer { .. } => {
                "layers count from 0 (the embeddings), negative ones from the end".into()
            }
            Error::Interrupted { .. } | Error::NoShare { .. } => return None,
        })
    }
}
