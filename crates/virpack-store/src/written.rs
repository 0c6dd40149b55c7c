//! Writes objects: each appears whole or not at all.

use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::{Error, MultipartId, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::error::StoreError;
use crate::key::{StoreKey, wait};
use crate::stores::lacks_conditions;
use crate::url::ObjectUrl;

/// Bytes of a request; a smaller object is one request.
const PIECE: u64 = 16 << 20;

/// The most pieces of an object: S3 and Google accept 10,000.
const PIECES: u64 = 9_000;

/// Pieces under way at once.
const AT_ONCE: usize = 4;

/// How often a piece, or an object that must be new, is sent before the upload fails.
const ATTEMPTS: u32 = 3;

/// An object that is to be written, or replaced.
///
/// Its bytes are visible once all of them have arrived. A process that ends before leaves an upload that was
/// not completed: no reader sees it, and the store removes it by the rules of its bucket.
#[derive(Clone, Debug)]
pub struct WrittenObject(StoreKey);

impl WrittenObject {
    /// Opens the store of an object, without a request to it.
    ///
    /// ```
    /// use virpack_store::{ObjectUrl, WrittenObject};
    ///
    /// let read_only = ObjectUrl::parse("https://host/emb.npy").unwrap();
    /// assert!(WrittenObject::new(&read_only).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// If the URL is not that of an object in a store, or the store's credentials are not complete.
    pub fn new(url: &ObjectUrl) -> Result<WrittenObject, StoreError> {
        StoreKey::of(url).map(WrittenObject)
    }

    /// Checks that the store accepts the object: begins an upload, and abandons it. Azure, which knows no
    /// beginning of an upload, is not asked.
    ///
    /// # Errors
    ///
    /// If the store refuses it, or has no such bucket.
    pub fn check(&self) -> Result<(), StoreError> {
        let StoreKey { store, key, .. } = &self.0;
        let upload = self.0.wait(store.create_multipart(key))?;
        self.abandon(&upload);
        Ok(())
    }

    /// Writes the object in one request.
    ///
    /// # Errors
    ///
    /// If the store refuses it or does not answer.
    pub fn put(&self, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.put_as(bytes, PutMode::Overwrite).map(drop)
    }

    /// Writes the object in one request, unless it exists, and returns whether it was written. Of several
    /// processes that try, one succeeds.
    ///
    /// # Errors
    ///
    /// If the store refuses it or does not answer.
    pub fn put_new(&self, bytes: Vec<u8>) -> Result<bool, StoreError> {
        self.put_as(bytes, PutMode::Create)
    }

    fn put_as(&self, bytes: Vec<u8>, mode: PutMode) -> Result<bool, StoreError> {
        let StoreKey { store, key, .. } = &self.0;
        let (is_new, length, begun) = (mode == PutMode::Create, bytes.len() as u64, SystemTime::now());
        let payload = PutPayload::from(bytes);
        let put = |mode| store.put_opts(key, payload.clone(), PutOptions { mode, ..PutOptions::default() });
        let mut attempt = 1;
        loop {
            match wait(put(mode.clone()))? {
                Ok(_) => return Ok(true),
                // Without the condition a conflict is a failure: nothing was written. With it, an earlier
                // attempt may have written the object, and its answer was lost.
                Err(Error::AlreadyExists { .. }) if is_new => {
                    return Ok(attempt > 1 && self.is_written(length, begun));
                }
                // A store without conditions: the object is looked for, as at the end of an upload in pieces.
                Err(error) if is_new && lacks_conditions(&error) => {
                    return if self.exists()? {
                        Ok(false)
                    } else {
                        self.0.wait(put(PutMode::Overwrite)).map(|_| true)
                    };
                }
                // `object_store` repeats all other requests itself.
                Err(error) => match self.0.failed(&error) {
                    error if is_new && error.may_pass() && attempt < ATTEMPTS => attempt += 1,
                    error => return Err(error),
                },
            }
        }
    }

    /// Writes the object from a file, several pieces at once.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or as an `io::Error` of [`StoreError`] if the store refuses it or does
    /// not answer. Nothing is visible then.
    pub fn upload(&self, file: &mut File) -> io::Result<()> {
        self.upload_as(file, PutMode::Overwrite).map(drop)
    }

    /// As [`WrittenObject::upload`], unless the object exists, and returns whether it was written. Of
    /// several processes that try, one succeeds if the file is one request. Stores have no condition for the
    /// end of an upload in pieces: the object is looked for again when all pieces have arrived. Of two
    /// processes that end within that moment the later one replaces the object.
    ///
    /// # Errors
    ///
    /// Those of [`WrittenObject::upload`].
    pub fn upload_new(&self, file: &mut File) -> io::Result<bool> {
        self.upload_as(file, PutMode::Create)
    }

    fn upload_as(&self, file: &mut File, mode: PutMode) -> io::Result<bool> {
        let bytes = file.seek(SeekFrom::End(0))?;
        if bytes <= PIECE {
            let mut all = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut all)?;
            return self.put_as(all, mode).map_err(StoreError::into_io);
        }
        let StoreKey { store, key, .. } = &self.0;
        let begun = SystemTime::now();
        let upload = self.0.wait(store.create_multipart(key)).map_err(StoreError::into_io)?;
        let uploaded = self.pieces(file, bytes, &upload).and_then(|pieces| {
            if matches!(mode, PutMode::Create) && self.exists().map_err(StoreError::into_io)? {
                return Ok(false);
            }
            match self.0.wait(store.complete_multipart(key, &upload, pieces)) {
                // The answer to the first attempt was lost.
                Err(StoreError::NoObject) if self.is_written(bytes, begun) => Ok(true),
                completed => completed.map(|_| true).map_err(|error| removed(error).into_io()),
            }
        });
        if !matches!(uploaded, Ok(true)) {
            self.abandon(&upload);
        }
        uploaded
    }

    /// Returns whether the object exists.
    fn exists(&self) -> Result<bool, StoreError> {
        let StoreKey { store, key, .. } = &self.0;
        match self.0.wait(store.head(key)) {
            Ok(_) => Ok(true),
            Err(StoreError::NoObject) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the object has this size and was written after `begun`. A store's time is that of the
    /// beginning of the upload, in whole seconds.
    fn is_written(&self, bytes: u64, begun: SystemTime) -> bool {
        let StoreKey { store, key, .. } = &self.0;
        self.0.wait(store.head(key)).is_ok_and(|head| {
            let modified = SystemTime::from(head.last_modified) + Duration::from_secs(1);
            head.size == bytes && modified > begun
        })
    }

    /// Sends a piece, again where another attempt may succeed.
    fn piece(&self, upload: &MultipartId, number: u64, letters: Vec<u8>) -> io::Result<PartId> {
        let StoreKey { store, key, .. } = &self.0;
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let (letters, mut attempt) = (Bytes::from(letters), 1);
        loop {
            match self.0.wait(store.put_part(key, upload, place, PutPayload::from(letters.clone()))) {
                Err(error) if error.may_pass() && attempt < ATTEMPTS => attempt += 1,
                sent => return sent.map_err(|error| removed(error).into_io()),
            }
        }
    }

    /// Sends all pieces, and returns the store's names of them.
    fn pieces(&self, file: &mut File, bytes: u64, upload: &MultipartId) -> io::Result<Vec<PartId>> {
        let piece = PIECE.max(bytes.div_ceil(PIECES));
        let count = bytes.div_ceil(piece);
        let (next, file, failed) = (AtomicU64::new(0), Mutex::new(file), Mutex::new(None));
        let sent = Mutex::new(Vec::new());
        let read = |number: u64| {
            let begin = number * piece;
            let mut letters = vec![0; usize::try_from(piece.min(bytes - begin)).unwrap_or(0)];
            let mut file = file.lock();
            file.seek(SeekFrom::Start(begin))?;
            file.read_exact(&mut letters)?;
            io::Result::Ok(letters)
        };
        let send = || {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return;
                }
                match read(number).and_then(|letters| self.piece(upload, number, letters)) {
                    Ok(id) => sent.lock().push((number, id)),
                    Err(error) => {
                        // The others have no next piece.
                        next.store(count, Relaxed);
                        failed.lock().get_or_insert(error);
                        return;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE {
                // If the system starts no more threads, this thread does their work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, send);
            }
            send();
        });
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        let mut sent = sent.into_inner();
        sent.sort_by_key(|(number, _)| *number);
        Ok(sent.into_iter().map(|(_, id)| id).collect())
    }

    /// Abandons an upload. If that fails the store's own rules remove it, and nothing is visible anyway.
    fn abandon(&self, upload: &MultipartId) {
        let StoreKey { store, key, .. } = &self.0;
        let _ = self.0.wait(store.abort_multipart(key, upload));
    }

    /// Removes the object, if it exists.
    ///
    /// # Errors
    ///
    /// If the store refuses it or does not answer.
    pub fn remove(&self) -> Result<(), StoreError> {
        let StoreKey { store, key, .. } = &self.0;
        // Nothing absent is deleted: that needs no right to delete.
        if matches!(self.0.wait(store.head(key)), Err(StoreError::NoObject)) {
            return Ok(());
        }
        match self.0.wait(store.delete(key)) {
            Err(error) if !matches!(error, StoreError::NoObject) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns the names of the objects directly below the URL of a folder.
///
/// # Errors
///
/// If the store refuses it, has no such bucket, or does not answer.
pub fn names_below(url: &ObjectUrl) -> Result<Vec<String>, StoreError> {
    let folder = StoreKey::of_folder(url)?;
    let prefix = Some(&folder.key).filter(|key| !key.as_ref().is_empty());
    let listed = folder.wait(folder.store.list_with_delimiter(prefix))?;
    let name = |object: object_store::ObjectMeta| object.location.filename().map(str::to_owned);
    Ok(listed.objects.into_iter().filter_map(name).collect())
}

/// Converts the error of an upload that the store knows no longer.
fn removed(error: StoreError) -> StoreError {
    match error {
        StoreError::NoObject => {
            StoreError::Other { reason: "the store has removed the upload while it was under way".to_owned() }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
