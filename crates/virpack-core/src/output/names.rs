//! Checks the names that a run needs: they must be free, in writable directories, and not those of inputs.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use virpack_seq::Input;

use super::format::special_name;
use super::{OutputError, OutputFormat, OutputOptions, OutputProblem, is_stdout, row_store, safetensors};
use crate::files::{FileProblem, PendingFile, directory_of};
use crate::files::{absent, place, scratch};
use virpack_model::Location;
use virpack_model::guarded::FileIdentity;

/// Checks the output before a run, and leaves nothing behind. [`create`](super::create) must have a format
/// for `path` that can hold what `options` ask for. The names it needs must be free, unless `force` is set,
/// and must not be those of inputs. Their directory must accept files of such names. Returns the format.
///
/// # Errors
///
/// Returns the errors of [`create`](super::create), and [`OutputError`] for an output that is an input.
pub(crate) fn check(
    path: &Path,
    options: &OutputOptions,
    inputs: &[Input],
) -> Result<OutputFormat, OutputError> {
    if is_stdout(path) {
        return check_stdout(options, inputs);
    }
    let url = place::store_of(path)?;
    if let Some(what) = special_name(path) {
        return Err(OutputProblem::NotAFile { path: path.to_path_buf(), what }.into());
    }
    let format = options.format.map_or_else(|| OutputFormat::of(path), Ok)?;
    format.check(options.dtype, options.residues)?;
    let beside = names_beside(path, format)?;
    let names = || [path].into_iter().chain(beside.iter().map(PathBuf::as_path));
    let of_output = |error: OutputError| error.of_output(path);
    check_all(names(), options.force).map_err(of_output)?;
    check_apart(names(), inputs)?;
    if url.is_some() {
        place::check(path)?;
    }
    PendingFile::create(&longest(path, format)?).map(|_| format).map_err(|error| of_output(error.into()))
}

/// Checks standard output in the same way.
fn check_stdout(options: &OutputOptions, inputs: &[Input]) -> Result<OutputFormat, OutputError> {
    let format = options.format.unwrap_or(OutputFormat::Npy);
    format.check_stdout()?;
    format.check(options.dtype, options.residues)?;
    check_stdout_apart(inputs)?;
    if format == OutputFormat::Npy {
        scratch::create()?;
    }
    Ok(format)
}

/// Refuses standard output that is closed, or redirected to one of the inputs, even if it appends.
///
/// # Errors
///
/// Returns [`OutputError`] if standard output is closed or goes to an input.
pub(crate) fn check_stdout_apart(inputs: &[Input]) -> Result<(), OutputError> {
    if virpack_device::stdout_was_closed() {
        return Err(OutputProblem::StdoutClosed.into());
    }
    check_apart([Path::new("/dev/stdout")], inputs)
}

/// Returns the longest of the names that a run may need.
fn longest(path: &Path, format: OutputFormat) -> Result<PathBuf, OutputError> {
    let mut names = names_beside(path, format)?;
    names.push(row_store::spill_path(path));
    if format == OutputFormat::Safetensors {
        names.push(safetensors::shard_path(path, 1, 1));
    }
    let length = |name: &PathBuf| name.file_name().map_or(0, OsStr::len);
    Ok(names.into_iter().max_by_key(length).expect("some names are always there"))
}

/// Returns all files that a run may begin under temporary names.
pub(crate) fn names(path: &Path, options: &OutputOptions) -> Result<Vec<PathBuf>, OutputError> {
    let mut names = names_beside(path, options.format.map_or_else(|| OutputFormat::of(path), Ok)?)?;
    names.extend([path.to_path_buf(), row_store::spill_path(path)]);
    Ok(names)
}

/// Returns the side files that a run may write, and those of an earlier one if their number varies.
///
/// # Errors
///
/// Returns [`OutputError`] if a store does not list the latter.
pub(super) fn names_beside(path: &Path, format: OutputFormat) -> Result<Vec<PathBuf>, OutputError> {
    let mut names = vec![beside(path, "skipped.tsv")];
    if format.has_record_table() {
        names.push(beside(path, "records.tsv"));
    }
    names.extend([report_path(path), page_path(path)]);
    if format == OutputFormat::Safetensors {
        names.extend(safetensors::older(path)?);
    }
    Ok(names)
}

/// Returns `OUT.run.json`.
pub(crate) fn report_path(path: &Path) -> PathBuf {
    beside(path, "run.json")
}

/// Returns `OUT.report.html`.
pub(super) fn page_path(path: &Path) -> PathBuf {
    beside(path, "report.html")
}

/// Returns a side file, whose name contains that of the output: `emb.npy` and `emb.h5` have files of their
/// own.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(what);
    path.with_file_name(name)
}

/// Checks that the names of files that belong together are free, unless `force`, and that their directories
/// exist.
pub(crate) fn check_all<'a>(
    mut files: impl Iterator<Item = &'a Path>,
    force: bool,
) -> Result<(), OutputError> {
    files.try_for_each(|file| {
        check_free(file, force)?;
        if place::url_of(file).is_some() {
            return Ok(());
        }
        let directory = directory_of(file);
        directory.metadata().map(drop).map_err(|source| FileProblem::Directory { directory, source }.into())
    })
}

/// Refuses an output that is one of the inputs, through any link, even if files may be replaced.
///
/// # Errors
///
/// Returns [`OutputError`] for the first such output.
pub fn check_apart<'a>(
    outputs: impl IntoIterator<Item = &'a Path>,
    inputs: &[Input],
) -> Result<(), OutputError> {
    let outputs: Vec<_> = outputs.into_iter().collect();
    // Two URLs are the same object if they are the same text, with the scheme in small letters.
    let is_object = |path: &Path| {
        let Some(url) = place::url_of(path) else { return false };
        inputs.iter().filter_map(|input| place::url_of(input.path())).any(|own| own.shown() == url.shown())
    };
    if let Some(path) = outputs.iter().find(|path| is_object(path)) {
        return Err(OutputProblem::IsInput(path.to_path_buf()).into());
    }
    let files = inputs.iter().filter_map(|input| match input {
        Input::Path(path) => FileIdentity::of(path),
        Input::Stdin | Input::Object(_) => None,
    });
    match first_of(outputs, &files.collect::<Vec<_>>()) {
        Some((path, _)) => Err(OutputProblem::IsInput(path.to_path_buf()).into()),
        None => Ok(()),
    }
}

/// Refuses an output that is a file of a model, through any link, even if files may be replaced.
pub(crate) fn check_apart_from_models<'a>(
    outputs: impl IntoIterator<Item = &'a Path>,
    models: impl IntoIterator<Item = Location>,
) -> Result<(), OutputError> {
    let files = models.into_iter().filter_map(|location| match location {
        Location::Disk(path) => Some((FileIdentity::of(&path)?, path)),
        Location::Memory { .. } => None,
    });
    let (files, paths): (Vec<_>, Vec<_>) = files.unzip();
    match first_of(outputs, &files) {
        Some((path, i)) => {
            Err(OutputProblem::IsModel { path: path.to_path_buf(), file: paths[i].clone() }.into())
        }
        None => Ok(()),
    }
}

/// Returns the first output that is one of the files, and which file it is.
fn first_of<'a>(
    outputs: impl IntoIterator<Item = &'a Path>,
    files: &[FileIdentity],
) -> Option<(&'a Path, usize)> {
    let place = |path: &'a Path| {
        let file = FileIdentity::of(path)?;
        Some((path, files.iter().position(|other| *other == file)?))
    };
    outputs.into_iter().find_map(place)
}

/// Refuses a name that is taken, unless `force`, and one that no rename can replace: a directory, a device.
///
/// # Errors
///
/// Returns [`OutputError`] for a directory or a device, for a name that exists, for one that the system does
/// not accept, and if its directory cannot be read.
pub fn check_free(path: &Path, force: bool) -> Result<(), OutputError> {
    let what = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Some("a directory"),
        Ok(metadata) if !metadata.is_file() => Some("a device or a pipe"),
        _ => special_name(path),
    };
    if let Some(what) = what {
        return Err(OutputProblem::NotAFile { path: path.to_path_buf(), what }.into());
    }
    if force {
        return Ok(());
    }
    absent(path).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => OutputProblem::Exists(path.to_path_buf()).into(),
        _ => FileProblem::make(path, source).into(),
    })
}
