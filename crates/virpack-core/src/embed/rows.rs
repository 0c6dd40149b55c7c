//! What a runner has finished, as parts hold it.

use crate::checkpoint::{Entries, HandOn};
use crate::output::{OutputError, Turn, encode};
use crate::runner::Finished;

/// Records with their embeddings, for a part to hold.
pub(super) struct Rows {
    pub(super) finished: Finished,
    pub(super) hidden: usize,
}

impl Entries for Rows {
    fn each(&self, hand_on: &mut HandOn<'_>) -> Result<(), OutputError> {
        let mut bytes = Vec::new();
        self.finished.rows(self.hidden).try_for_each(|(row, values)| {
            bytes.clear();
            encode(&Turn::Row(row, values), self.hidden, &mut bytes);
            hand_on(row.record, &bytes)
        })
    }
}
