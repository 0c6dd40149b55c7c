//! Reads complete small files, such as settings and lists, up to a size that no such file has.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Reads a file of at most `most` bytes.
///
/// ```
/// let path = std::env::temp_dir().join("virpack-doc-small-file");
/// std::fs::write(&path, "{}")?;
/// assert_eq!(virpack_seq::read_small(&path, 2)?, b"{}");
/// assert!(virpack_seq::read_small(&path, 1).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The system's error; [`ErrorKind::FileTooLarge`] for a larger file, of which at most `most` + 1 bytes
/// are read.
pub fn read_small(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_at_most(File::open(path)?, most)
}

/// Reads all bytes of an open file, which has at most `most`.
///
/// # Errors
///
/// As [`read_small`].
///
/// ```
/// assert_eq!(virpack_seq::read_at_most(&b"{}"[..], 2)?, b"{}");
/// assert!(virpack_seq::read_at_most(&b"{}"[..], 1).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_at_most(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it has more than {:.1} MB, which no file of its kind has", most as f64 / 1e6);
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}
