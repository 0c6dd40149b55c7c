//! Reads the letters of a finished run's records from its inputs.

use std::collections::VecDeque;

use virpack_seq::reader::{ReadOptions, open_with};
use virpack_seq::{Input, ReadLimits, Record, Records, escaped};

use super::{FinishedRun, ReportProblem};
use crate::Error;
use crate::calls::RecordFacts;

/// Reads the records of the inputs again, which must be those that the run read.
pub(super) struct Letters {
    records: Records,
    record: Record,
    inputs: Vec<Input>,
    /// The sizes and hashes of the inputs that the run read.
    expected: VecDeque<(u64, String)>,
}

impl Letters {
    /// Opens the inputs of a run.
    pub(super) fn open(run: &FinishedRun, limits: ReadLimits) -> Result<Self, Error> {
        let mut expected = VecDeque::new();
        for (input, checksum) in run.inputs.iter().zip(run.checksums()) {
            let wrong = |problem: &str| ReportProblem::Input {
                input: input.to_string(),
                problem: problem.to_owned(),
            };
            if *input == Input::Stdin {
                return Err(wrong("cannot be read twice").into());
            }
            let (bytes, sum) = checksum.ok_or_else(|| wrong("was not read to its end"))?;
            expected.push_back((bytes, sum.to_owned()));
            // An object is checked by its hash, after it was read.
            let Input::Path(path) = input else { continue };
            match path.metadata() {
                Ok(metadata) if metadata.is_file() && metadata.len() == bytes => {}
                Ok(metadata) if metadata.is_file() => {
                    return Err(wrong(&format!("has {} bytes now, and had {bytes}", metadata.len())).into());
                }
                Ok(_) => return Err(wrong("cannot be read twice").into()),
                Err(error) => return Err(wrong(&format!("cannot be read: {error}")).into()),
            }
        }
        let options = ReadOptions::default().limits(limits).checksums(true).unique_ids(run.unique_ids());
        let records = open_with(&run.inputs, options)?;
        Ok(Letters { records, record: Record::default(), inputs: run.inputs.clone(), expected })
    }

    /// Reads the next record, which must be this one. Returns false if it is another and the inputs are those
    /// of the run: then the facts have changed.
    ///
    /// # Errors
    ///
    /// For an input that has changed, and if it cannot be read.
    pub(super) fn read(&mut self, facts: &RecordFacts) -> Result<bool, Error> {
        let is_there = self.records.read(&mut self.record)?;
        let Record { id, description, sequence, .. } = &self.record;
        let is_same = escaped(id) == *facts.id && escaped(description) == facts.description;
        if is_there && is_same && sequence.len() == facts.length {
            return Ok(true);
        }
        self.check_inputs()?;
        Ok(false)
    }

    /// Returns the letters of the record that was read.
    pub(super) fn letters(&self) -> &[u8] {
        &self.record.sequence
    }

    /// Checks that the inputs are those of the run. Returns whether all of their records were read.
    pub(super) fn finish(mut self) -> Result<bool, Error> {
        let has_more = self.records.read(&mut self.record)?;
        self.check_inputs()?;
        Ok(!has_more)
    }

    /// Reads the inputs to their end, and checks that they are those of the run.
    fn check_inputs(&mut self) -> Result<(), Error> {
        while self.records.read(&mut self.record)? {}
        let read = self.records.progress().checksums();
        for (i, (bytes, sum)) in self.expected.iter().enumerate() {
            let own = read.iter().find(|own| own.source as usize == i);
            if own.is_none_or(|own| (own.bytes, &own.sha256) != (*bytes, sum)) {
                return Err(self.changed(i).into());
            }
        }
        Ok(())
    }

    fn changed(&self, input: usize) -> ReportProblem {
        let input = self.inputs.get(input).map(ToString::to_string).unwrap_or_default();
        ReportProblem::Input {
            input,
            problem: "is not what the run has read: its contents have changed".to_owned(),
        }
    }
}
