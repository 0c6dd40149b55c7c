//! The directory of parts: its place, its owner, its contents and its end.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use virpack_seq::{Input, ReadProgress};

use super::complete::CompleteRun;
use super::earlier_parts::{EarlierParts, read_all};
use super::log::{Log, Logging, MakeManifest};
use super::manifest::{Manifest, Part};
use super::{
    CheckpointOptions, FolderProblem, OtherRun, Parts, ResumeProblem, ResumeSummary, RunId, SavedWork, Unit,
};
use crate::Error;
use crate::files::place::remove;
use crate::files::{FileProblem, NewDirectory, PendingFile, cleanup, remove_leftovers};
use crate::identity::{Identity, IdentityDifference};
use crate::output::{OutputError, report_path};
use virpack_model::guarded::{self, Foreign};

/// The file in the directory that a process locks while it lives. It holds the process's number.
const LOCK: &str = "lock";

/// The place of parts, and what they contain.
#[derive(Clone, Debug)]
pub(crate) struct ResumeDir {
    folder: PathBuf,
    unit: Unit,
    /// The file that reports the run once its output is complete.
    report: PathBuf,
}

/// What an earlier run has left, before anything is done with it.
pub(crate) struct ExistingRun {
    place: ResumeDir,
    options: CheckpointOptions,
    manifest: Option<Manifest>,
    /// The complete output, if it is not to be replaced.
    complete: Option<CompleteRun>,
}

/// What an earlier run has kept.
#[derive(Default)]
pub(crate) struct EarlierRun {
    /// Finished work.
    pub(crate) kept: Option<EarlierParts>,
    /// Computed results that are not finished.
    pub(crate) under_way: Vec<(u64, Vec<u8>)>,
}

/// A run's directory of parts, locked.
pub(crate) struct Checkpoint {
    place: ResumeDir,
    /// Held while the directory is in use.
    lock: Option<File>,
    /// An interrupted process removes the directory, if it created it and nothing is in it.
    _made: NewDirectory,
    manifest: Option<Manifest>,
    options: CheckpointOptions,
    whole: bool,
}

impl ResumeDir {
    /// Returns `OUT.partial`, for records of the file `OUT`.
    pub(crate) fn beside(output: &Path) -> ResumeDir {
        let mut folder = output.file_name().unwrap_or_default().to_os_string();
        folder.push(".partial");
        ResumeDir { folder: output.with_file_name(folder), unit: Unit::Records, report: report_path(output) }
    }

    /// Returns `DIR/run.partial`, for chunks whose tables are in the directory. It is inside, because the
    /// directory can be written to, whereas its parent may be the root of a container.
    pub(crate) fn inside(directory: &Path) -> ResumeDir {
        let [folder, report] = ["run.partial", "run.json"].map(|name| directory.join(name));
        ResumeDir { folder, unit: Unit::Chunks, report }
    }

    /// Returns whether the directory exists.
    pub(crate) fn is_there(&self) -> bool {
        self.folder.exists()
    }

    /// Returns what an unfinished run has kept there; `None` if it has finished nothing.
    pub(crate) fn saved(&self) -> Option<SavedWork> {
        self.check_own().ok()?;
        let manifest = Manifest::read(&self.folder).ok()??;
        Some(self.saved_in(&manifest)).filter(SavedWork::is_some)
    }

    /// Refuses a directory that is a link or belongs to another user: its contents, and its target, are not
    /// this run's.
    fn check_own(&self) -> Result<(), ResumeProblem> {
        // If no file can be created, the output is refused for that reason.
        let ours = || PendingFile::create(&self.folder).ok()?.1.metadata().ok();
        let folder = self.folder.clone();
        match guarded::foreign(&self.folder, ours) {
            None => Ok(()),
            Some(Foreign::Link) => Err(FolderProblem::LinkedFolder { folder }.into()),
            Some(Foreign::Owner { is, expected }) => {
                Err(FolderProblem::ForeignFolder { folder, owner: is, user: expected }.into())
            }
        }
    }

    /// Removes what a killed run with a complete output has left: parts without a manifest, which no run
    /// resumes from. Parts are in use while a process holds the lock. If the killed run's temporary files are
    /// beside the output, the lock stays: the next run finds them by the number in it.
    fn sweep(&self) {
        let lock = self.folder.join(LOCK);
        let Ok(mut open) = guarded::open(&lock).and_then(guarded::one_name) else { return };
        let is_complete = CompleteRun::read(&self.report).is_some_and(|run| run.is_unchanged());
        if !is_complete || open.try_lock().is_err() {
            return;
        }
        let process = guarded::process_in(&mut open).ok().flatten();
        if process.is_some_and(|process| self.has_begun(process)) || self.remove_own(&[]).is_err() {
            return;
        }
        drop(open);
        // The directory stays if it contains files that are not virpack's.
        let _ = remove(&lock).and_then(|()| fs::remove_dir(&self.folder));
    }

    /// Returns whether a process has left temporary files beside the output.
    fn has_begun(&self, process: u32) -> bool {
        let directory = self.folder.parent().unwrap_or(Path::new(""));
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let Ok(entries) = fs::read_dir(directory) else { return true };
        let begun = format!(".tmp-{process}");
        let mut names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.any(|name| PendingFile::target_of(&name).is_some() && name.contains(&begun))
    }

    /// Removes parts that are not listed in `but`, and temporary files: regular files with names of their
    /// form.
    fn remove_own(&self, but: &[PathBuf]) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            let is_own = name.to_str().is_some_and(|name| Part::is_name(name) || is_begun(name));
            if is_own && guarded::is_regular(&entry) && !but.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn saved_in(&self, manifest: &Manifest) -> SavedWork {
        let under_way = manifest.under_way.as_ref().map_or(0, |part| part.entries);
        SavedWork { finished: manifest.entries(), unit: self.unit, under_way, folder: self.folder.clone() }
    }
}

/// Returns the first input that is not a file, because it cannot be read again from its beginning.
pub(crate) fn pipe(inputs: &[Input]) -> Option<&Input> {
    let is_file = |input: &&Input| matches!(input, Input::Path(path) if path.is_file());
    inputs.iter().find(|input| !is_file(input))
}

impl ExistingRun {
    /// Examines what exists there, unless a run over `inputs` keeps nothing: because it is not asked to, or
    /// because an input is a pipe.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ExistingRun::look`], and an error if a pipe is to be resumed.
    pub(crate) fn of(
        inputs: &[Input],
        place: ResumeDir,
        options: Option<CheckpointOptions>,
        replace: bool,
    ) -> Result<Option<ExistingRun>, ResumeProblem> {
        let Some(options) = options else { return Ok(None) };
        match pipe(inputs) {
            None => ExistingRun::look(place, options, replace).map(Some),
            Some(_) if !options.resume => Ok(None),
            Some(input) => Err(ResumeProblem::Pipe { input: input.to_string() }),
        }
    }

    /// Examines what exists there.
    ///
    /// # Errors
    ///
    /// Returns an error for parts of an earlier run that are neither to be resumed nor replaced.
    fn look(
        place: ResumeDir,
        options: CheckpointOptions,
        replace: bool,
    ) -> Result<ExistingRun, ResumeProblem> {
        place.check_own()?;
        if replace && !options.resume {
            return Ok(ExistingRun { place, options, manifest: None, complete: None });
        }
        let manifest = Manifest::read(&place.folder)?;
        if manifest.is_none() {
            place.sweep();
        }
        match &manifest {
            Some(manifest) if !options.resume => Err(ResumeProblem::Unfinished(place.saved_in(manifest))),
            _ => {
                let is_looked_for = options.resume && !replace && manifest.is_none();
                let complete = is_looked_for.then(|| CompleteRun::read(&place.report)).flatten();
                Ok(ExistingRun { place, options, manifest, complete })
            }
        }
    }

    /// Examines the directory of a complete output, some of whose files are to be made again.
    ///
    /// # Errors
    ///
    /// Returns an error if an unfinished run has kept something there.
    pub(super) fn to_remake(place: ResumeDir) -> Result<ExistingRun, ResumeProblem> {
        let existing = ExistingRun::look(place, CheckpointOptions::default().resume(true), false)?;
        match &existing.manifest {
            Some(manifest) if !manifest.publishing || manifest.numbers().next().is_some() => {
                Err(ResumeProblem::Unfinished(existing.place.saved_in(manifest)))
            }
            _ => Ok(existing),
        }
    }

    /// Returns the most tokens in a batch of each model of the earlier run, if there was one.
    pub(crate) fn token_budgets(&self) -> Option<&[usize]> {
        self.manifest.as_ref().map(|manifest| &manifest.token_budgets[..])
    }

    /// Returns the output, if it is complete already and not to be replaced.
    pub(crate) fn complete(&self) -> Option<&CompleteRun> {
        self.complete.as_ref()
    }

    /// Returns whether files of the output may have been renamed before the earlier run was killed.
    pub(crate) fn is_publishing(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.publishing)
    }

    /// Locks the directory for this process, and removes what a killed process has begun in it and beside the
    /// output. `names` are all files that an output may have.
    pub(crate) fn take(self, names: &[PathBuf]) -> Result<Checkpoint, Error> {
        let ExistingRun { place, options, manifest, .. } = self;
        let folder = &place.folder;
        let failed = |source| OutputError::from(FileProblem::Directory { directory: folder.clone(), source });
        let made = NewDirectory::make(folder).map_err(failed)?;
        // It may have been put there since the run looked.
        place.check_own()?;
        let path = folder.join(LOCK);
        let opened = guarded::open_in_place(&path, |options| _ = options.read(true).write(true));
        let mut lock = opened.map_err(|source| match source.kind() {
            ErrorKind::InvalidInput | ErrorKind::IsADirectory => {
                FolderProblem::Lock { path: path.clone(), source }.into()
            }
            _ => Error::from(failed(source)),
        })?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(FolderProblem::InUse { folder: folder.clone() }.into());
            }
            // A file system without locks cannot prevent two runs into one output.
            Err(TryLockError::Error(_)) | Ok(()) => (),
        }
        // Before its number is overwritten: a process that is killed here leaves it to the next.
        if let Some(earlier) = guarded::process_in(&mut lock).map_err(failed)? {
            remove_leftovers(names, earlier, &lock.metadata().map_err(failed)?);
        }
        cleanup::begin(&folder.join(LOCK), || Ok(())).map_err(failed)?;
        let noted = lock.rewind().and_then(|()| lock.set_len(0));
        noted.and_then(|()| lock.write_all(std::process::id().to_string().as_bytes())).map_err(failed)?;
        let checkpoint = Checkpoint { place, lock: Some(lock), _made: made, manifest, options, whole: false };
        checkpoint.remove_unlisted()?;
        Ok(checkpoint)
    }
}

impl Checkpoint {
    /// Checks what exists, if the run resumes, and begins to keep finished work. `identity` is this run's,
    /// which may take a while to compute. No part is listed once an input of `reading` has changed. `writers`
    /// threads write parts.
    ///
    /// # Errors
    ///
    /// Returns [`ResumeProblem::AnotherRun`] if the parts are of a run that makes other rows.
    pub(crate) fn begin(
        mut self,
        identity: impl FnOnce() -> Result<Identity, Error> + Send + 'static,
        token_budgets: Vec<usize>,
        reading: Arc<ReadProgress>,
        writers: NonZeroUsize,
    ) -> Result<(Parts, EarlierRun, ResumeSummary), Error> {
        let folder = self.place.folder.clone();
        let unchanged = Arc::clone(&reading);
        let identity = move || {
            let identity = identity()?;
            // This includes what was read before it was hashed.
            unchanged.check_unchanged(true)?;
            Ok::<_, Error>(identity)
        };
        let run = self.manifest.as_ref().map_or_else(RunId::new, |manifest| manifest.run);
        let (mut kept, mut under_way, mut torn) = (None, Vec::new(), Vec::new());
        let begin: MakeManifest = match &mut self.manifest {
            None => Box::new(move || Ok(Manifest::new(run, identity()?, token_budgets))),
            Some(manifest) => {
                refuse(identity()?.differences(&manifest.identity), &folder)?;
                let (whole, mut bad) = EarlierParts::open(&folder, run, &mut manifest.parts);
                kept = Some(whole);
                if let Some(part) = manifest.under_way.take() {
                    match read_all(&folder, run, &part) {
                        Ok(all) => (under_way, manifest.under_way) = (all, Some(part)),
                        Err(reason) => bad.push((part, reason)),
                    }
                }
                let bad = bad.into_iter().map(|(part, reason)| (Part::path(&folder, part.number), reason));
                torn.extend(bad);
                let manifest = manifest.clone();
                Box::new(|| Ok(manifest))
            }
        };
        if !torn.is_empty()
            && let Some(manifest) = &self.manifest
        {
            // Its number is free again only when it is no longer in the manifest.
            match manifest.numbers().next() {
                None => remove(&Manifest::path(&folder)).map_err(OutputError::write(&folder))?,
                Some(_) => manifest.write(&folder)?,
            }
            self.remove_unlisted()?;
        }
        let done = kept.as_ref().map(|kept| kept.done().clone()).unwrap_or_default();
        let saved = SavedWork {
            finished: done.len(),
            unit: self.place.unit,
            under_way: under_way.len() as u64,
            folder: folder.clone(),
        };
        let numbers = self.manifest.iter().flat_map(Manifest::numbers);
        let (next, options) = ((numbers.max().unwrap_or(0) + 1).into(), self.options);
        let log = Log::start(Logging { folder, run, options, done, next, writers, reading }, begin)?;
        Ok((Parts::new(log, self), EarlierRun { kept, under_way }, ResumeSummary { saved, torn }))
    }

    /// Records that everything is complete and that the output's files are about to be renamed: a run that
    /// resumes from here finds files of this run.
    pub(super) fn publishing(&self, manifest: Manifest) -> Result<(), OutputError> {
        Manifest { publishing: true, ..manifest }.write(&self.place.folder)
    }

    /// Returns what `manifest` lists; `None` if that is nothing.
    pub(super) fn saved(&self, manifest: &Manifest) -> Option<SavedWork> {
        Some(self.place.saved_in(manifest)).filter(SavedWork::is_some)
    }

    /// Removes the parts, because the output has all of their contents.
    pub(crate) fn remove(mut self) {
        self.whole = true;
    }

    /// Removes files that no manifest lists, and none that virpack has not made.
    fn remove_unlisted(&self) -> Result<(), OutputError> {
        let numbers = self.manifest.iter().flat_map(Manifest::numbers);
        let listed: Vec<PathBuf> = numbers.map(|number| Part::path(&self.place.folder, number)).collect();
        self.remove_parts(&listed).map_err(OutputError::write(&self.place.folder))
    }

    fn remove_parts(&self, but: &[PathBuf]) -> std::io::Result<()> {
        if self.manifest.is_none() || self.whole {
            remove(&Manifest::path(&self.place.folder))?;
        }
        self.place.remove_own(but)
    }
}

impl Drop for Checkpoint {
    /// Removes everything if nothing is finished; otherwise keeps all of it.
    fn drop(&mut self) {
        let lock = self.place.folder.join(LOCK);
        // The next process finds the owner of the temporary files there.
        let _ = cleanup::end(&lock, || Ok(()));
        if self.whole || !Manifest::path(&self.place.folder).exists() {
            // A destructor cannot report an error.
            let _ = self.remove_parts(&[]);
            // Some file systems keep a file that is open.
            self.lock = None;
            let _ = remove(&lock);
            let _ = fs::remove_dir(&self.place.folder);
        }
    }
}

/// Returns whether a file in the directory has such a name until it is complete.
fn is_begun(name: &str) -> bool {
    let target = PendingFile::target_of(name);
    target.is_some_and(|target| Manifest::is_name(target) || Part::is_name(target))
}

/// Refuses a run that shares a name with another one and would not make the same rows.
fn refuse(differences: Vec<IdentityDifference>, folder: &Path) -> Result<(), ResumeProblem> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(ResumeProblem::AnotherRun(OtherRun { path: folder.to_path_buf(), differences }))
}
