//! Functions that several subjects share.

pub(crate) mod codecs;
pub(crate) mod naive;
pub(crate) mod workload;

use virpack_seq::{Record, Records, SeqError};

/// Returns all records, and the error that ended them.
pub(crate) fn read(mut records: Records) -> (Vec<Record>, Option<SeqError>) {
    let (mut all, mut record) = (Vec::new(), Record::default());
    loop {
        match records.read(&mut record) {
            Ok(true) => all.push(record.clone()),
            Ok(false) => return (all, None),
            Err(error) => {
                assert!(!records.read(&mut record).unwrap(), "after an error comes the end");
                return (all, Some(error));
            }
        }
    }
}
