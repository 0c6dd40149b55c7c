//! The file of a part of `predict`: the scores of its records' chunks, as Parquet.
//!
//! A row is an open frame with its scores. A chunk without an open frame has one row without a frame, and
//! a record without a chunk one row without a chunk. Places count from 1, as in the tables of `predict`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use virpack_seq::Record;

use crate::calls::{ScoredChunk, ScoredFrame, Scores};
use crate::files::{FileProblem, PendingFile};
use crate::output::OutputError;
use crate::output::parquet_columns::{failed, optional, required};

/// Rows of a row group: about 10 MB in memory.
const ROW_GROUP: usize = 1 << 17;

/// The file in progress.
pub(super) struct ScoreTable {
    pending: PendingFile,
    out: SerializedFileWriter<File>,
    rows: Columns,
    /// Rows of a row group. All rows of a chunk are in one group.
    group: usize,
    /// The names of the inputs, if there are several.
    sources: Vec<ByteArray>,
}

/// The rows of the group that is being filled, one vector for each column.
#[derive(Default)]
struct Columns {
    record: Vec<i64>,
    id: Vec<ByteArray>,
    source: Vec<ByteArray>,
    length: Vec<i64>,
    chunk: Vec<Option<i64>>,
    chunk_places: [Vec<Option<i64>>; 2],
    frame: Vec<Option<ByteArray>>,
    frame_places: [Vec<Option<i64>>; 2],
    scores: [Vec<Option<f32>>; 2],
}

impl ScoreTable {
    /// Opens the file under a temporary name; with several sources a column `source` names the input.
    pub(super) fn create(
        path: &Path,
        sources: &[String],
        about: &[(String, String)],
    ) -> Result<Self, OutputError> {
        let (pending, file) = PendingFile::create(path)?;
        let sources = if sources.len() > 1 { sources } else { &[] };
        let source = if sources.is_empty() { "" } else { "REQUIRED BYTE_ARRAY source (UTF8);" };
        let schema = format!(
            "message schema {{
                REQUIRED INT64 record;
                REQUIRED BYTE_ARRAY id (UTF8);
                {source}
                REQUIRED INT64 length;
                OPTIONAL INT64 chunk;
                OPTIONAL INT64 start;
                OPTIONAL INT64 end;
                OPTIONAL BYTE_ARRAY frame (UTF8);
                OPTIONAL INT64 frame_start;
                OPTIONAL INT64 frame_end;
                OPTIONAL FLOAT score_other;
                OPTIONAL FLOAT score_virus;
            }}"
        );
        let pairs = about.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(pairs.collect()))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let schema = parse_message_type(&schema).map_err(failed(path))?;
        let out = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties));
        let out = out.map_err(failed(path))?;
        let sources = sources.iter().map(|source| ByteArray::from(&**source)).collect();
        Ok(ScoreTable { pending, out, rows: Columns::default(), group: ROW_GROUP, sources })
    }

    /// Writes a record with all its chunks.
    pub(super) fn write(&mut self, record: &Record, chunks: &[ScoredChunk]) -> Result<(), OutputError> {
        let (id, source) = (ByteArray::from(&*record.id), self.sources.get(record.source as usize).cloned());
        let begin = |rows: &mut Columns| {
            rows.record.push(record.index.cast_signed());
            rows.id.push(id.clone());
            rows.source.extend(source.clone());
            rows.length.push(record.sequence.len() as i64);
        };
        if chunks.is_empty() {
            begin(&mut self.rows);
            self.rows.push_chunk(None);
            self.rows.push_frame(None, None);
        }
        for (number, chunk) in (1..).zip(chunks) {
            for frame in &chunk.frames {
                begin(&mut self.rows);
                self.rows.push_chunk(Some((number, chunk)));
                self.rows.push_frame(Some(frame), Some(frame.scores));
            }
            if chunk.frames.is_empty() {
                begin(&mut self.rows);
                self.rows.push_chunk(Some((number, chunk)));
                self.rows.push_frame(None, chunk.whole);
            }
            if self.rows.record.len() >= self.group {
                self.close_group()?;
            }
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), OutputError> {
        if self.rows.record.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let group = self.out.next_row_group().and_then(|group| rows.encode(group, !self.sources.is_empty()));
        group.map_err(failed(self.pending.target()))
    }

    /// Completes the file on disk, still under its temporary name.
    pub(super) fn finish(mut self) -> Result<PendingFile, OutputError> {
        self.close_group()?;
        let ScoreTable { pending, out, .. } = self;
        let file = out.into_inner().map_err(failed(pending.target()))?;
        file.sync_all().map_err(FileProblem::write(pending.target()))?;
        Ok(pending)
    }
}

impl Columns {
    fn push_chunk(&mut self, chunk: Option<(i64, &ScoredChunk)>) {
        self.chunk.push(chunk.map(|(number, _)| number));
        let [start, end] = &mut self.chunk_places;
        start.push(chunk.map(|(_, chunk)| chunk.bases.start as i64 + 1));
        end.push(chunk.map(|(_, chunk)| chunk.bases.end as i64));
    }

    fn push_frame(&mut self, frame: Option<&ScoredFrame>, scores: Option<Scores>) {
        self.frame.push(frame.map(|frame| ByteArray::from(frame.frame.as_str())));
        let [start, end] = &mut self.frame_places;
        start.push(frame.map(|frame| frame.codons.start as i64 + 1));
        end.push(frame.map(|frame| frame.codons.end as i64));
        let [other, virus] = &mut self.scores;
        other.push(scores.map(|scores| scores.other));
        virus.push(scores.map(|scores| scores.virus));
    }

    fn encode(
        self,
        mut out: SerializedRowGroupWriter<'_, File>,
        has_sources: bool,
    ) -> Result<(), ParquetError> {
        let group = &mut out;
        required::<Int64Type>(group, &self.record)?;
        required::<ByteArrayType>(group, &self.id)?;
        if has_sources {
            required::<ByteArrayType>(group, &self.source)?;
        }
        required::<Int64Type>(group, &self.length)?;
        let [start, end] = self.chunk_places;
        for numbers in [self.chunk, start, end] {
            optional::<Int64Type>(group, numbers)?;
        }
        optional::<ByteArrayType>(group, self.frame)?;
        for numbers in self.frame_places {
            optional::<Int64Type>(group, numbers)?;
        }
        for scores in self.scores {
            optional::<FloatType>(group, scores)?;
        }
        out.close().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use virpack_seq::Frame;

    use super::super::score_rows::{RecordScores, ScoreRows};
    use super::*;

    fn record(index: u64, id: &str, letters: usize) -> Record {
        Record { index, id: id.into(), source: 1, sequence: vec![b'A'; letters], ..Record::default() }
    }

    fn scores(virus: f32) -> Scores {
        Scores { other: 1e-38, virus }
    }

    fn chunk(number: usize, frames: &[Frame], whole: Option<Scores>) -> ScoredChunk {
        let bases = 500 * number..500 * number + 500;
        let frame = |&frame| {
            let codons = bases.start + 1..bases.end - 1;
            ScoredFrame { frame, codons, scores: scores(number as f32 + 0.1) }
        };
        ScoredChunk { frames: frames.iter().map(frame).collect(), bases: bases.clone(), whole }
    }

    #[test]
    fn scores_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            (record(7, "empty", 0), Vec::new()),
            (
                record(8, "long é", 2_000),
                vec![
                    chunk(0, &[Frame::F1, Frame::R3], None),
                    chunk(1, &[], Some(scores(f32::MIN_POSITIVE))),
                    chunk(2, &[], None),
                    chunk(3, &Frame::ALL, None),
                ],
            ),
            (record(9, "", 500), vec![chunk(0, &[Frame::F2], None)]),
        ];
        for (group, sources) in
            [(1, vec!["a".to_owned(), "b".to_owned()]), (3, Vec::new()), (1_000, Vec::new())]
        {
            let path = folder.path().join(format!("{group}.parquet"));
            let mut table = ScoreTable::create(&path, &sources, &[]).unwrap();
            table.group = group;
            all.iter().for_each(|(record, chunks)| table.write(record, chunks).unwrap());
            table.finish().unwrap().publish_synced().unwrap();
            let mut rows = ScoreRows::open(&path, sources.len() > 1).unwrap();
            for (record, chunks) in &all {
                let RecordScores::Of(read) = rows.of(record, false).unwrap() else { panic!("{record:?}") };
                assert_eq!(format!("{read:?}"), format!("{chunks:?}"));
            }
            assert!(rows.is_at_end().unwrap());
            // A record other than the one that was scored.
            for (other, is_numbered) in [
                (record(7, "empty", 1), false),
                (record(7, "empty_1", 0), false),
                (record(8, "long é", 2_000), true),
            ] {
                let mut rows = ScoreRows::open(&path, sources.len() > 1).unwrap();
                assert!(
                    matches!(rows.of(&other, is_numbered).unwrap(), RecordScores::OfAnother),
                    "{other:?}"
                );
            }
            let mut rows = ScoreRows::open(&path, sources.len() > 1).unwrap();
            assert!(matches!(rows.of(&record(7, "empty_1", 0), true).unwrap(), RecordScores::Of(_)));
            assert!(!rows.is_at_end().unwrap());
        }
        for (name, has_sources) in [("3.parquet", true), ("1.parquet", false)] {
            assert!(ScoreRows::open(&folder.path().join(name), has_sources).is_err());
        }
    }
}
