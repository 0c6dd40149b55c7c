//! A file that is renamed to its own name once it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::cleanup::{begin, end, remove_begun};
use super::place::{self, Waiting};
use super::publish::name_is_taken;
use super::{FileProblem, absent, directory_of, sync_directory};
use virpack_model::guarded;
use virpack_seq::ObjectUrl;

/// A file that is written under a temporary name beside its destination.
///
/// [`publish`](PendingFile::publish) renames it, which is atomic on one file system; dropped before that, it
/// is removed. So no incomplete file ever has the output's name. An object of a store is kept in an unnamed
/// file, and uploaded as a whole.
#[derive(Debug)]
pub(crate) struct PendingFile {
    target: PathBuf,
    aside: Aside,
}

/// The state of a file before and after it is renamed.
#[derive(Debug)]
enum Aside {
    /// In the directory of its destination, under this name.
    Temporary(PathBuf),
    /// Waiting for its upload.
    Object(Waiting),
    /// Renamed, or kept under the temporary name.
    Ended,
}

/// The place of a file that could not be published.
pub(super) enum Kept {
    /// It is here.
    At(PathBuf),
    /// It has its own name.
    Named,
    /// It could not be kept.
    Lost,
}

impl PendingFile {
    /// Creates `.NAME.tmp-PID` in the directory of `target` and opens it.
    pub(crate) fn create(target: &Path) -> Result<(PendingFile, File), FileProblem> {
        if place::store_of(target)?.is_some() {
            let (waiting, file) = Waiting::file(target)?;
            return Ok((PendingFile { target: target.to_path_buf(), aside: Aside::Object(waiting) }, file));
        }
        let directory = directory_of(target);
        let name = temporary_name(target, std::process::id());
        let mut attempt = 0;
        loop {
            // Process ids are reused, especially in containers. A dead run's file is left alone.
            let again = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let temporary = directory.join(format!("{name}{again}"));
            let open = || OpenOptions::new().read(true).write(true).create_new(true).open(&temporary);
            match begin(&temporary, open) {
                Ok(file) => {
                    let aside = Aside::Temporary(temporary);
                    return Ok((PendingFile { target: target.to_path_buf(), aside }, file));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
                Err(source) => return Err(FileProblem::make(target, source)),
            }
        }
    }

    /// Writes a file of these bytes and syncs it. It is not renamed yet.
    pub(crate) fn whole(target: &Path, bytes: &[u8]) -> Result<PendingFile, FileProblem> {
        if place::store_of(target)?.is_some() {
            let aside = Aside::Object(Waiting::Bytes(bytes.to_vec()));
            return Ok(PendingFile { target: target.to_path_buf(), aside });
        }
        let (pending, mut file) = PendingFile::create(target)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(FileProblem::write(target))?;
        Ok(pending)
    }

    /// Returns the final name of a file, given the temporary name by [`PendingFile::create`]; `None` for
    /// other names.
    pub(crate) fn target_of(name: &str) -> Option<&str> {
        let (target, process) = name.strip_prefix('.')?.rsplit_once(".tmp-")?;
        let mut numbers = process.splitn(2, '-');
        numbers.all(|number| number.parse::<u32>().is_ok()).then_some(target)
    }

    /// Sets another final name in the same directory.
    pub(crate) fn rename(&mut self, target: PathBuf) {
        self.target = target;
    }

    /// Returns the final name of the file.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Returns the size of a complete file, before it is renamed; None for an object of a store.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match &self.aside {
            Aside::Temporary(path) => Some(fs::metadata(path).ok()?.len()),
            Aside::Object(_) | Aside::Ended => None,
        }
    }

    /// Opens the file, before it is renamed, to read it from its beginning.
    pub(crate) fn open(&self) -> io::Result<File> {
        match &self.aside {
            Aside::Temporary(path) => File::open(path),
            Aside::Object(waiting) => waiting.open(),
            Aside::Ended => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Renames the file, which the caller has synced. An existing file of that name is replaced.
    pub(crate) fn publish(&mut self) -> io::Result<()> {
        match &mut self.aside {
            Aside::Temporary(temporary) => end(temporary, || fs::rename(&temporary, &self.target))?,
            Aside::Object(waiting) => waiting.publish(&url_of(&self.target)?)?,
            Aside::Ended => {}
        }
        self.aside = Aside::Ended;
        Ok(())
    }

    /// Does [`PendingFile::publish`]. An object that `is_new` replaces no other, which another run may have
    /// written after this one has checked its names.
    pub(super) fn publish_as(&mut self, is_new: bool) -> io::Result<()> {
        let Aside::Object(waiting) = &mut self.aside else { return self.publish() };
        if !is_new {
            return self.publish();
        }
        if !waiting.publish_new(&url_of(&self.target)?)? {
            return Err(name_is_taken());
        }
        self.aside = Aside::Ended;
        Ok(())
    }

    /// Does [`PendingFile::publish`] so that the name survives a power failure.
    pub(crate) fn publish_synced(mut self) -> Result<(), FileProblem> {
        self.publish().map_err(FileProblem::write(&self.target))?;
        sync_directory(&directory_of(&self.target));
        Ok(())
    }

    /// Renames the file, which the caller has synced, unless a file of that name exists, and returns whether
    /// it did. Of several processes that try, one succeeds, if the file system has links.
    pub(crate) fn publish_new(mut self) -> io::Result<bool> {
        let temporary = match &self.aside {
            Aside::Temporary(temporary) => temporary,
            Aside::Ended => return Ok(false),
            Aside::Object(_) => {
                let url = url_of(&self.target)?;
                let Aside::Object(mut waiting) = std::mem::replace(&mut self.aside, Aside::Ended) else {
                    return Ok(false);
                };
                return waiting.publish_new(&url);
            }
        };
        match fs::hard_link(temporary, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(_) => match absent(&self.target) {
                Ok(()) => self.publish()?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(error),
            },
        }
        sync_directory(&directory_of(&self.target));
        Ok(true)
    }

    /// Keeps the file under its temporary name, because it is complete but could not be published. Returns
    /// where it is.
    pub(super) fn keep(mut self) -> Kept {
        match std::mem::replace(&mut self.aside, Aside::Ended) {
            Aside::Temporary(temporary) => {
                let _ = end(&temporary, || Ok(()));
                if temporary.exists() { Kept::At(temporary) } else { Kept::Lost }
            }
            Aside::Object(waiting) => waiting.keep(&self.target).map_or(Kept::Lost, Kept::At),
            Aside::Ended => Kept::Named,
        }
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let Aside::Temporary(temporary) = &self.aside {
            let _ = end(temporary, || Ok(()));
            // A destructor cannot report an error; the name shows what the file is.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Returns the URL of a target that waits for its upload.
fn url_of(target: &Path) -> io::Result<ObjectUrl> {
    place::url_of(target).ok_or_else(|| io::Error::other("it is not the URL of an object"))
}

pub(super) fn temporary_name(target: &Path, process: u32) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.tmp-{process}")
}

/// Removes the files, and directories of files, that a dead process has begun for `targets`, if it can and if
/// their owner is that of its `lock`: on another machine, a process of another user may have the same number.
pub(crate) fn remove_leftovers(targets: &[PathBuf], process: u32, lock: &fs::Metadata) {
    let has_owner = |entry: &fs::DirEntry| {
        entry.metadata().is_ok_and(|metadata| guarded::owner(&metadata) == guarded::owner(lock))
    };
    for target in targets {
        let first = temporary_name(target, process);
        let is_left = |name: &str| match name.strip_prefix(&first) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('-').is_some_and(|attempt| attempt.parse::<u32>().is_ok()),
            None => false,
        };
        for entry in fs::read_dir(directory_of(target)).into_iter().flatten().flatten() {
            if is_left(&entry.file_name().to_string_lossy()) && has_owner(&entry) {
                remove_begun(&entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use virpack_seq::Hint;

    #[test]
    fn a_file_appears_complete_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("emb.npy");
        let (mut pending, mut file) = PendingFile::create(&target).unwrap();
        let (second, _) = PendingFile::create(&target).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!target.exists());
        drop(second);
        pending.publish().unwrap();
        drop(pending);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_is_given_once() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("manifest.json");
        for (text, is_first) in [("one", true), ("two", false)] {
            let (pending, mut file) = PendingFile::create(&target).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(pending.publish_new().unwrap(), is_first);
        }
        assert_eq!(fs::read(&target).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_under_the_temporary_name_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [victim, target] = ["victim", "emb.npy"].map(|name| directory.path().join(name));
        fs::write(&victim, "theirs").unwrap();
        let planted = directory.path().join(temporary_name(&target, std::process::id()));
        std::os::unix::fs::symlink(&victim, &planted).unwrap();
        let (mut pending, mut file) = PendingFile::create(&target).unwrap();
        file.write_all(b"mine").unwrap();
        pending.publish().unwrap();
        assert_eq!(
            (fs::read(&victim).unwrap(), fs::read(&target).unwrap()),
            (b"theirs".into(), b"mine".into())
        );
        assert!(planted.is_symlink(), "what another has made stays");
    }

    #[test]
    fn leftovers_are_files_of_our_shape_and_owner() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("plots");
        let place = |name: &str| directory.path().join(name);
        fs::create_dir_all(place(".plots.tmp-7/deeper")).unwrap();
        for name in [
            ".plots.tmp-7/000001_a.svg",
            ".plots.tmp-7-1",
            ".plots.tmp-7-x",
            ".plots.tmp-71",
            ".plots.tmp-7/deeper/x",
        ] {
            fs::write(place(name), "").unwrap();
        }
        let lock = fs::metadata(place(".plots.tmp-71")).unwrap();
        remove_leftovers(std::slice::from_ref(&target), 7, &lock);
        let left = [".plots.tmp-7/deeper/x", ".plots.tmp-7-x", ".plots.tmp-71"];
        assert!(left.iter().all(|name| place(name).exists()));
        assert!(!place(".plots.tmp-7/000001_a.svg").exists() && !place(".plots.tmp-7-1").exists());
        fs::write(place(".plots.tmp-7-1"), "").unwrap();
        #[cfg(unix)]
        if guarded::owner(&lock) == Some(0) {
            std::os::unix::fs::chown(place(".plots.tmp-7-1"), Some(65_534), None).unwrap();
            remove_leftovers(&[target], 7, &lock);
            assert!(place(".plots.tmp-7-1").exists(), "another user's");
        }
    }

    #[test]
    fn a_temporary_name_contains_its_target() {
        for (name, target) in
            [(".a.npy.tmp-12", Some("a.npy")), (".a.tmp-1-20", Some("a")), (".a.tmp-1-b", None)]
        {
            assert_eq!(PendingFile::target_of(name), target);
        }
        for other in ["a.tmp-1", ".a.tmp-", ".a.tmp-1-2-3", ".a.tmpx-1", ".a.tmp-99999999999"] {
            assert_eq!(PendingFile::target_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = PendingFile::create(Path::new("/no/such/place/emb.npy")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write into /no/such/place: "), "{error}");
        assert!(error.hint().unwrap().starts_with("make the directory first"), "{error:?}");
    }
}
