//! The plots of a run: the best viral and uncertain records, a limited number of them.

use std::path::Path;
use std::sync::Arc;

use super::judged::JudgedRecord;
use super::track::{Draw, DrawError, Points, Track};
use crate::files::PendingDirectory;
use crate::output::{OutputError, OutputProblem};
use crate::verdict::Call;

/// The plot of all drawn records.
const OVERVIEW: &str = "overview.svg";

/// The plots of a run in progress.
///
/// The best records are known only after all are judged. The tracks of the best so far are kept, each with
/// at most about 50 KB.
pub(super) struct Plots {
    draw: Draw,
    most: usize,
    /// The best first; of equal ones, the earlier record first.
    kept: Vec<KeptTrack>,
    directory: PendingDirectory,
}

struct KeptTrack {
    rank: (bool, f64),
    name: String,
    track: Track,
}

impl Plots {
    /// Begins a directory that is finally named `target` and has at most `most` plots.
    pub(super) fn create(target: &Path, draw: Draw, most: usize) -> Result<Self, OutputError> {
        Ok(Plots { draw, most, kept: Vec::new(), directory: PendingDirectory::create(target)? })
    }

    /// Adds a record of several chunks that is viral or uncertain, if it is among the best.
    pub(super) fn add(&mut self, record: &JudgedRecord) {
        let (Some(score), Some(call)) = (record.score, record.call) else { return };
        if call == Call::Cellular || record.chunks.len() < 2 {
            return;
        }
        let rank = (call == Call::Viral, score.logit);
        let place = self.kept.partition_point(|kept| kept.rank >= rank);
        if place == self.most {
            return;
        }
        let mut points = Points::default();
        for (chunk, highest) in record.chunks.iter().filter_map(|chunk| Some((chunk, chunk.highest()?))) {
            points.add(&chunk.bases, highest.virus);
        }
        let (id, length, regions) =
            (Arc::clone(&record.facts.id), record.facts.length, record.regions.clone());
        let (chunks_in_point, points) = points.finish();
        let track = Track { id, length, call, score: score.score, chunks_in_point, points, regions };
        self.kept.insert(place, KeptTrack { rank, name: name(record), track });
        self.kept.truncate(self.most);
    }

    /// Returns the names of the files that [`finish`](Self::finish) will write.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let overview = (!self.kept.is_empty()).then_some(OVERVIEW);
        self.kept.iter().map(|kept| &*kept.name).chain(overview)
    }

    /// Draws the tracks that were kept.
    pub(super) fn finish(self, target: &Path) -> Result<PendingDirectory, OutputError> {
        let write = |name: &str, text: Result<String, DrawError>| {
            let text = text.map_err(|source| OutputProblem::Draw { path: target.join(name), source })?;
            Ok::<_, OutputError>(self.directory.write(name, &text)?)
        };
        for KeptTrack { name, track, .. } in &self.kept {
            write(name, (self.draw.track)(track))?;
        }
        let tracks: Vec<_> = self.kept.iter().map(|kept| &kept.track).collect();
        if !tracks.is_empty() {
            write(OVERVIEW, (self.draw.overview)(&tracks))?;
        }
        Ok(self.directory)
    }
}

/// Returns whether a file has a name that [`name`] gives, or that of the overview.
pub(crate) fn is_plot(name: &str) -> bool {
    if name == OVERVIEW {
        return true;
    }
    let number = name.split_once('_').map_or("", |(number, _)| number);
    number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit()) && name.ends_with(".svg")
}

/// Returns a name from the place of a record and the part of its id that any file system accepts.
fn name(record: &JudgedRecord) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let id: String = record.facts.id.chars().take(60).map(plain).collect();
    format!("{:06}_{id}.svg", record.facts.index + 1)
}
