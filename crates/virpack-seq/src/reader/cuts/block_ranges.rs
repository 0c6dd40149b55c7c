//! Ranges of BGZF: which blocks have the text of each.

use std::collections::VecDeque;

use crossbeam_channel::Receiver;

use super::super::members::Member;
use super::super::ranges::RecordRange;
use super::super::text_range::TextRange;
use super::HASHED_AT_ONCE;
use super::pieces::Pieces;

/// The blocks of a file, and the ranges that wait for the end of the block in which they end: the parser may
/// have a record of which the decoder has only the beginning of the block.
pub(super) struct BlockRanges {
    from: Receiver<Member>,
    /// Members that ranges may still begin in.
    members: VecDeque<Member>,
    /// Ranges, each with the place in the text where it ends.
    waiting: VecDeque<(RecordRange, u64)>,
    /// Where the first of them begins, or the range that is under way.
    begin: Begin,
    pieces: Pieces,
    /// Where text begins that is not in blocks.
    blocks_end: Option<u64>,
    /// The place in the text that is looked at next.
    look_at: u64,
}

/// Where a range begins.
#[derive(Clone, Copy, Default)]
struct Begin {
    /// Its first block, bytes of the file.
    byte: u64,
    /// Its text, bytes of the decompressed file.
    text: u64,
    /// Bytes of the block's text before it.
    skip: u64,
}

impl BlockRanges {
    pub(super) fn new(from: Receiver<Member>, pieces: Pieces) -> Self {
        let (members, waiting) = (VecDeque::new(), VecDeque::new());
        let begin = Begin::default();
        BlockRanges { from, members, waiting, begin, pieces, blocks_end: None, look_at: 0 }
    }

    /// Returns whether a range may begin at this place in the text, which was read.
    pub(super) fn can_begin(&self, text: u64) -> bool {
        self.blocks_end.is_none_or(|end| text < end)
    }

    /// Notes that a range ends at this place in the text, and another begins.
    pub(super) fn end_at(&mut self, text: u64, range: RecordRange) {
        self.waiting.push_back((range, text));
    }

    /// Takes up what the decoder has noted, now that the parser is at this place in the text: hands on
    /// ranges whose blocks are known, and hashes what no later range needs. `under_way` is the range behind
    /// those that wait.
    pub(super) fn read_to(
        &mut self,
        text: u64,
        under_way: &mut RecordRange,
        each: &mut impl FnMut(RecordRange),
    ) {
        if text < self.look_at {
            return;
        }
        self.look_at = text + HASHED_AT_ONCE / 2;
        self.take_members(under_way);
        self.hand_on(each);
        if self.blocks_end.is_some_and(|end| end <= text) && self.waiting.is_empty() {
            match self.begin.byte {
                // It is the complete file.
                0 => self.pieces.drop_all(),
                _ => self.pieces.hash_to(u64::MAX),
            }
        } else {
            let next = self.waiting.front().map_or(text, |(_, end)| *end);
            self.drop_members_before(next);
            self.pieces.hash_to(self.members.front().map_or(0, |member| member.byte));
        }
    }

    /// Hands on what waits. Returns the SHA-256 of the range under way, which is the last; None where that
    /// is the complete file.
    pub(super) fn end(
        &mut self,
        under_way: &mut RecordRange,
        each: &mut impl FnMut(RecordRange),
    ) -> Option<String> {
        self.take_members(under_way);
        self.hand_on(each);
        let Begin { byte, text, skip } = self.begin;
        if (byte, skip) == (0, 0) {
            return None;
        }
        under_way.bytes.start = byte;
        let end = self.members.back().map_or(text, |member| member.text);
        under_way.text = Some(TextRange { bytes: text..end, skip });
        Some(self.pieces.end_sharing(byte, under_way.bytes.end)).filter(|_| byte > 0)
    }

    /// Drops what waits: the file is not divided.
    pub(super) fn drop_all(&mut self) {
        while self.from.try_recv().is_ok() {}
        self.pieces.drop_all();
    }

    fn take_members(&mut self, under_way: &mut RecordRange) {
        while let Ok(member) = self.from.try_recv() {
            if !member.is_block && self.blocks_end.is_none() {
                self.blocks_end = Some(member.text);
                self.join_behind(member.text, under_way);
            }
            // One that is sent again takes the place of what it was.
            if self.members.back().is_some_and(|last| last.byte == member.byte) {
                self.members.pop_back();
            }
            self.members.push_back(member);
        }
    }

    /// Joins the ranges that were to begin at this place in the text, or behind it, to the one before them.
    fn join_behind(&mut self, text: u64, under_way: &mut RecordRange) {
        while self.waiting.back().is_some_and(|(_, end)| *end >= text) {
            if let Some((mut range, _)) = self.waiting.pop_back() {
                range.records += under_way.records;
                range.weight += under_way.weight;
                *under_way = range;
            }
        }
    }

    /// Hands on the ranges of which the last block is known.
    fn hand_on(&mut self, each: &mut impl FnMut(RecordRange)) {
        while let Some(end) = self.waiting.front().map(|(_, end)| *end) {
            self.drop_members_before(end);
            let Some(member) = self.members.front().copied() else { return };
            let skip = end - member.text;
            let last = if skip == 0 { Some(member.byte) } else { self.members.get(1).map(|next| next.byte) };
            let (Some(last), Some((mut range, _))) = (last, last.and_then(|_| self.waiting.pop_front()))
            else {
                return;
            };
            range.bytes = self.begin.byte..last;
            range.text = Some(TextRange { bytes: self.begin.text..end, skip: self.begin.skip });
            range.sha256 = self.pieces.end_sharing(member.byte, last);
            self.begin = Begin { byte: member.byte, text: end, skip };
            each(range);
        }
    }

    /// Drops the members whose text ends before this place in it, or there.
    fn drop_members_before(&mut self, text: u64) {
        while self.members.get(1).is_some_and(|next| next.text <= text) {
            self.members.pop_front();
        }
    }
}
