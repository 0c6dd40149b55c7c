//! What the user names as an input.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use virpack_store::ObjectUrl;

use crate::error::SeqError;

/// A file, standard input or an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file or a named pipe.
    Path(PathBuf),
    /// An object by its URL: `s3://`, `gs://`, `az://`, `https://` or `http://`.
    Object(ObjectUrl),
}

impl Input {
    /// Returns the path for messages: `<stdin>` for standard input, and for an object its URL without parts
    /// that may be secret.
    ///
    /// ```
    /// use virpack_seq::Input;
    ///
    /// assert_eq!(Input::from("-").path().to_str(), Some("<stdin>"));
    /// assert_eq!(Input::from("a.fa").path().to_str(), Some("a.fa"));
    /// assert_eq!(Input::from("https://host/a.fa?key=1").path().to_str(), Some("https://host/a.fa"));
    /// ```
    pub fn path(&self) -> &Path {
        match self {
            Input::Stdin => Path::new("<stdin>"),
            Input::Path(path) => path,
            Input::Object(url) => url.shown(),
        }
    }

    /// Returns the error of an input that cannot be opened.
    pub(crate) fn cannot_open(&self, source: io::Error) -> SeqError {
        SeqError::Open { path: self.path().into(), source }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

impl From<&str> for Input {
    fn from(name: &str) -> Self {
        match ObjectUrl::parse(name) {
            Some(url) => Input::Object(url),
            None if name == "-" => Input::Stdin,
            None => Input::Path(name.into()),
        }
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        match path.to_str() {
            Some(name) => name.into(),
            None => Input::Path(path),
        }
    }
}
