//! Where the members of a gzip file begin. BGZF is such a file: its members are blocks of limited size, so
//! that reading can begin at any of them.

use crossbeam_channel::Sender;

/// The most bytes of text in a block of BGZF.
const LARGEST_BLOCK: u64 = 64 << 10;

/// A member that has text, or the end of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Where it begins, bytes of the file.
    pub(super) byte: u64,
    /// Where its text begins, bytes of the decompressed file.
    pub(super) text: u64,
    /// Whether it is a block of BGZF.
    pub(super) is_block: bool,
}

/// Sends each member before any of its text comes out, and finally the end of the last one. A member that
/// states to be a block, but is larger than blocks may be, is sent again.
#[derive(Default)]
pub(super) struct MemberNotes {
    /// None: nothing is noted.
    to: Option<Sender<Member>>,
    /// Where the text of the current member begins.
    text: u64,
    /// Bytes of text so far.
    total: u64,
}

impl MemberNotes {
    pub(super) fn new(to: Sender<Member>) -> Self {
        MemberNotes { to: Some(to), ..MemberNotes::default() }
    }

    /// Notes `bytes` of text of the member that begins at `byte`, of which `before` came out before.
    pub(super) fn text(&mut self, byte: u64, before: u64, bytes: u64, is_block: impl Fn() -> bool) {
        if self.to.is_none() {
            return;
        }
        if before == 0 {
            self.text = self.total;
            self.send(byte, is_block());
        }
        self.total += bytes;
        if before <= LARGEST_BLOCK && before + bytes > LARGEST_BLOCK && is_block() {
            self.send(byte, false);
        }
    }

    /// Notes that the last member ends at `byte`.
    pub(super) fn end(&mut self, byte: u64) {
        self.text = self.total;
        self.send(byte, true);
    }

    fn send(&self, byte: u64, is_block: bool) {
        // Nothing takes it where the parser has failed.
        let _ = self.to.as_ref().map(|to| to.send(Member { byte, text: self.text, is_block }));
    }
}

/// Returns whether the extra field of a member states the size of its block.
pub(super) fn is_block(mut extra: &[u8]) -> bool {
    while let [a, b, low, high, rest @ ..] = extra {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        if (*a, *b, length) == (b'B', b'C', 2) {
            return rest.len() >= 2;
        }
        extra = rest.get(length..).unwrap_or_default();
    }
    false
}
