//! A part is a list of entries: the number of a record or chunk, and its encoded result.

use std::io::{self, ErrorKind, Read};

use crate::output::OutputError;

/// Finished work, for a part to hold.
pub(crate) trait Entries: Send {
    /// Passes on each entry: its number, which is unique, and its bytes.
    fn each(&self, hand_on: &mut HandOn<'_>) -> Result<(), OutputError>;
}

/// Takes an entry.
pub(crate) type HandOn<'a> = dyn FnMut(u64, &[u8]) -> Result<(), OutputError> + 'a;

/// The part of an entry before its bytes: two numbers, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryHead {
    pub(super) number: u64,
    /// The number of bytes that follow.
    pub(super) bytes: u64,
}

impl EntryHead {
    /// Bytes of the head itself.
    pub(super) const BYTES: usize = 16;

    pub(super) fn encode(self) -> [u8; EntryHead::BYTES] {
        let mut bytes = [0; EntryHead::BYTES];
        let (number, length) = bytes.split_at_mut(8);
        number.copy_from_slice(&self.number.to_le_bytes());
        length.copy_from_slice(&self.bytes.to_le_bytes());
        bytes
    }

    /// Reads the next entry's head; returns `None` at the end.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<EntryHead>> {
        let mut bytes = Vec::with_capacity(EntryHead::BYTES);
        from.take(EntryHead::BYTES as u64).read_to_end(&mut bytes)?;
        match bytes.as_chunks().0 {
            [number, length] => {
                let [number, bytes] = [number, length].map(|bytes| u64::from_le_bytes(*bytes));
                Ok(Some(EntryHead { number, bytes }))
            }
            _ if bytes.is_empty() => Ok(None),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_none_is_invented() {
        let head = EntryHead { number: 1 << 40, bytes: 7 };
        let bytes = head.encode();
        assert_eq!(EntryHead::read(&mut &bytes[..]).unwrap(), Some(head));
        assert_eq!(EntryHead::read(&mut &bytes[..0]).unwrap(), None);
        for end in 1..EntryHead::BYTES {
            assert!(EntryHead::read(&mut &bytes[..end]).is_err());
        }
    }
}
