//! What a person names as an input.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::SeqError;

/// A file or standard input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file or a named pipe.
    Path(PathBuf),
}

impl Input {
    /// The path for messages: `<stdin>` for standard input.
    ///
    /// ```
    /// use virpack_seq::Input;
    ///
    /// assert_eq!(Input::from("-").path().to_str(), Some("<stdin>"));
    /// assert_eq!(Input::from("a.fa").path().to_str(), Some("a.fa"));
    /// ```
    pub fn path(&self) -> &Path {
        match self {
            Input::Stdin => Path::new("<stdin>"),
            Input::Path(path) => path,
        }
    }

    /// The error of an input that cannot be opened.
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
        if name == "-" { Input::Stdin } else { Input::Path(name.into()) }
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("-") { Input::Stdin } else { Input::Path(path) }
    }
}
