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
            Error::Setting(error) => return error.hint(),
            Error::Thread(error) => return error.hint(),
            Error::WindowsMissing { .. } | Error::EmbeddingsMissing { .. } => {
                "this is a fault of virpack's: report it".into()
            }
            Error::Hung { .. } => "see `nvidia-smi` and the system's log, or allow more seconds".into(),
            Error::NotFinite { .. } => "the weights may be damaged, or need a wider dtype".into(),
            Error::Interrupted { .. } => return None,
        })
    }
}
