//! `OUT.partial`: whose it is, what is in it, and its end.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::identity::{Identity, refuse};
use super::kept::Kept;
use super::log::{Begin, Log, Logging};
use super::manifest::{Manifest, Part};
use super::{CheckpointOptions, ResumeError, Resumed};
use crate::Error;
use crate::output::{Aside, OutputError, remove_leftovers};

/// The file in the folder that a process locks while it lives; it holds the process's number.
const LOCK: &str = "lock";

/// What an earlier run has left, before anything is done about it.
pub(crate) struct Found {
    folder: PathBuf,
    options: CheckpointOptions,
    manifest: Option<Manifest>,
}

/// A run's folder of parts, locked.
pub(crate) struct Checkpoint {
    folder: PathBuf,
    /// Held as long as the folder is in use.
    lock: Option<File>,
    manifest: Option<Manifest>,
    options: CheckpointOptions,
    whole: bool,
}

impl Found {
    /// Looks at what stands beside `output`.
    ///
    /// # Errors
    ///
    /// Where there are finished records of an earlier run, neither to go on with nor to be replaced.
    pub(crate) fn look(
        output: &Path,
        options: CheckpointOptions,
        replace: bool,
    ) -> Result<Found, ResumeError> {
        let folder = path(output);
        if replace && !options.resume {
            return Ok(Found { folder, options, manifest: None });
        }
        let manifest = Manifest::read(&folder)?;
        match &manifest {
            Some(manifest) if !options.resume => {
                let records = manifest.records();
                Err(ResumeError::Unfinished { folder, records })
            }
            _ => Ok(Found { folder, options, manifest }),
        }
    }

    /// Most tokens in a batch of the earlier run, where there was one.
    pub(crate) fn token_budget(&self) -> Option<usize> {
        self.manifest.as_ref().map(|manifest| manifest.token_budget)
    }

    /// Whether files of the output may have got their names before the earlier run was killed.
    pub(crate) fn is_publishing(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.publishing)
    }

    /// Makes the folder this process's, and takes out of it and from beside the output what a killed one has begun.
    /// `names` are all that an output may have.
    pub(crate) fn take(self, names: &[PathBuf]) -> Result<Checkpoint, Error> {
        let Found { folder, options, manifest } = self;
        let failed = |source| OutputError::Directory { directory: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut lock = File::options();
        lock.read(true).write(true).create(true).truncate(false);
        let mut lock = lock.open(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(ResumeError::InUse { folder }.into()),
            // A file system without locks: who starts two runs into one output is not helped.
            Err(TryLockError::Error(_)) | Ok(()) => (),
        }
        let mut earlier = String::new();
        lock.read_to_string(&mut earlier).map_err(failed)?;
        // Before its number is gone: whoever is killed here leaves it to the next.
        if let Ok(earlier) = earlier.parse() {
            remove_leftovers(names, earlier);
        }
        let noted = lock.rewind().and_then(|()| lock.set_len(0));
        noted.and_then(|()| lock.write_all(std::process::id().to_string().as_bytes())).map_err(failed)?;
        let checkpoint = Checkpoint { folder, lock: Some(lock), manifest, options, whole: false };
        checkpoint.remove_unlisted()?;
        Ok(checkpoint)
    }
}

impl Checkpoint {
    /// Checks what is there, where a run goes on, and begins to keep what is finished. `identity` is this run's; it may
    /// take a while to know.
    ///
    /// # Errors
    ///
    /// [`ResumeError::AnotherRun`] where the parts are of a run that makes other rows.
    pub(crate) fn begin(
        &mut self,
        identity: impl FnOnce() -> Result<Identity, Error> + Send + 'static,
        token_budget: usize,
        hidden: usize,
    ) -> Result<(Log, Option<Kept>, Resumed), Error> {
        let folder = self.folder.clone();
        let (mut kept, mut torn) = (None, Vec::new());
        let begin: Begin = match &mut self.manifest {
            None => Box::new(move || Ok(Manifest::new(identity()?, token_budget))),
            Some(manifest) => {
                refuse(identity()?.differences(&manifest.identity), &folder)?;
                let (whole, bad) = Kept::open(&folder, &mut manifest.parts, hidden);
                kept = Some(whole);
                let bad = bad.into_iter().map(|(part, reason)| (Part::path(&folder, part.number), reason));
                torn.extend(bad);
                let manifest = manifest.clone();
                Box::new(|| Ok(manifest))
            }
        };
        if !torn.is_empty()
            && let Some(manifest) = &self.manifest
        {
            // Its number is free again only when the manifest no longer speaks of it.
            manifest.write(&folder)?;
            self.remove_unlisted()?;
        }
        let done = kept.as_ref().map(|kept| kept.done().clone()).unwrap_or_default();
        let resumed = Resumed { folder: folder.clone(), records: done.len(), torn };
        let numbers = self.manifest.iter().flat_map(|manifest| &manifest.parts).map(|part| part.number);
        let next = numbers.max().unwrap_or(0) + 1;
        let log = Log::start(Logging { folder, options: self.options, hidden, done, next }, begin)?;
        Ok((log, kept, resumed))
    }

    /// Notes that every record is done and that the output's files are about to get their names: whoever goes on from here
    /// finds files of this run.
    pub(crate) fn publishing(&self, log: Log) -> Result<(), Error> {
        let manifest = Manifest { publishing: true, ..log.drop_open()? };
        Ok(manifest.write(&self.folder)?)
    }

    /// How many records `manifest` has, and where; None without any.
    pub(crate) fn kept(&self, manifest: &Manifest) -> Option<(u64, PathBuf)> {
        let records = manifest.records();
        (records > 0).then(|| (records, self.folder.clone()))
    }

    /// Removes the parts: the output has them all.
    pub(crate) fn remove(mut self) {
        self.whole = true;
    }

    /// Removes what no manifest speaks of, and nothing that is not ours.
    fn remove_unlisted(&self) -> Result<(), OutputError> {
        let parts = self.manifest.iter().flat_map(|manifest| &manifest.parts);
        let listed: Vec<PathBuf> = parts.map(|part| Part::path(&self.folder, part.number)).collect();
        self.remove_parts(&listed).map_err(OutputError::write(&self.folder))
    }

    fn remove_parts(&self, but: &[PathBuf]) -> std::io::Result<()> {
        if self.manifest.is_none() || self.whole {
            remove(&Manifest::path(&self.folder))?;
        }
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_part = path.extension().is_some_and(|ending| ending == "part");
            if (is_part && !but.contains(&path)) || Aside::is_temporary(&name) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Checkpoint {
    /// Leaves nothing where nothing is finished, or all of it.
    fn drop(&mut self) {
        if self.whole || !Manifest::path(&self.folder).exists() {
            // A destructor has nobody to tell.
            let _ = self.remove_parts(&[]);
            // Some file systems keep a file that is open.
            self.lock = None;
            let _ = remove(&self.folder.join(LOCK));
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// `OUT.partial`.
pub(super) fn path(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    output.with_file_name(name)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
