//! A directory in which `virpack` runs, and the results of runs.

#![allow(dead_code, reason = "the test of memory uses a part of this")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tiny random ESM-2 of the examples, 48 wide.
pub(crate) const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/esm2_tiny");
/// Four proteins.
pub(crate) const PROTEINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/proteins.fasta");

/// The program that the tests run: the one that is built with them, or the one that `VIRPACK` names, such as
/// a wheel's.
pub(crate) fn program() -> String {
    std::env::var("VIRPACK").unwrap_or_else(|_| env!("CARGO_BIN_EXE_virpack").to_owned())
}

/// A directory of inputs, with `out/` in it for outputs; deleted at the end.
pub(crate) struct Place(tempfile::TempDir);

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.path("out")).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names in `out/`, hidden ones too, in alphabetical order.
    pub(crate) fn outputs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("out")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `virpack` in this directory, without network and with an empty cache of models.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.0.path());
        command.env("HF_HOME", self.path("cache")).env("HF_HUB_OFFLINE", "1");
        for variable in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT"] {
            command.env_remove(variable);
        }
        // The tests are the same with and without a GPU.
        command.env("CUDA_VISIBLE_DEVICES", "");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments))
    }

    /// `virpack embed` with the tiny model.
    pub(crate) fn embed(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["embed", "--model", MODEL], arguments].concat())
    }

    /// As [`Place::embed`], with `input` on standard input.
    pub(crate) fn embed_stdin(&self, arguments: &[&str], input: &[u8]) -> Ran {
        self.run_stdin(&[&["embed", "--model", MODEL], arguments].concat(), input)
    }

    /// As [`Place::run`], with `input` on standard input.
    pub(crate) fn run_stdin(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read its input closes it.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::from(child.wait_with_output().unwrap())
    }
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Ran {
        Ran::from(command.output().unwrap())
    }

    /// Checks that it succeeded and printed each of `said` on stderr.
    #[track_caller]
    pub(crate) fn succeeds(&self, said: &[&str]) {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.says(said);
    }

    /// Checks that it ended with exit code 1, printed an `error:` with each of `said`, before it at most
    /// the line that names the device, and nothing on stdout.
    #[track_caller]
    pub(crate) fn is_refused(&self, said: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        let first = self.stderr.lines().find(|line| !line.starts_with("on CPU, "));
        assert!(first.is_some_and(|line| line.starts_with("error: ")), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        self.says(said);
    }

    /// Ended with exit code 1 and said each of `said`, whatever else it said before.
    #[track_caller]
    pub(crate) fn stops(&self, said: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        self.says(said);
    }

    #[track_caller]
    fn says(&self, said: &[&str]) {
        for part in said {
            assert!(self.stderr.contains(part), "no {part:?} in {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

impl From<std::process::Output> for Ran {
    fn from(output: std::process::Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Rows and columns of a `.npy` file, and its values.
pub(crate) fn read_npy(path: &Path) -> (usize, usize, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let (rows, columns) = shape.split_once(", ").unwrap();
    let (rows, columns) = (rows.parse().unwrap(), columns.parse().unwrap());
    let values: Vec<f32> =
        bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(values.len(), rows * columns);
    (rows, columns, values)
}
