//! The score along a record, for a plot.

use std::ops::Range;
use std::sync::Arc;

use crate::verdict::{Call, Region};

/// The most points of a track: a plot cannot resolve more.
const MOST_POINTS: usize = 2_048;

/// The score along a record of several chunks.
#[derive(Clone, Debug)]
pub struct Track {
    /// The record's id.
    pub id: Arc<str>,
    /// Its bases.
    pub length: usize,
    /// Its call.
    pub call: Call,
    /// Its `virus_score`.
    pub score: f64,
    /// The most chunks in one point: more than one in a long record.
    pub chunks_in_point: u32,
    /// The highest `score_virus` of each chunk that has one, or of neighbouring chunks together in a long
    /// record.
    pub points: Vec<(Range<usize>, f32)>,
    /// Its regions, the highest score first.
    pub regions: Vec<Region>,
}

/// The functions that draw SVG.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Draws the score along one record.
    pub track: fn(&Track) -> Result<String, DrawError>,
    /// Draws several tracks below each other, the best first.
    pub overview: fn(&[&Track]) -> Result<String, DrawError>,
}

/// The reason why a plot could not be drawn.
pub type DrawError = Box<dyn std::error::Error + Send + Sync>;

/// Collects the points of a track.
#[derive(Debug, Default)]
pub(super) struct Points {
    points: Vec<(Range<usize>, f32)>,
    /// Halvings so far: a point covers up to `2^halvings` chunks.
    halvings: u32,
    /// Chunks in the last point.
    last: u32,
}

impl Points {
    pub(super) fn add(&mut self, bases: &Range<usize>, score: f32) {
        if let Some((whole, highest)) = self.points.last_mut().filter(|_| self.last < 1 << self.halvings) {
            whole.end = bases.end;
            *highest = highest.max(score);
            self.last += 1;
            return;
        }
        if self.points.len() == MOST_POINTS {
            let pair = |pair: &[(Range<usize>, f32)]| {
                let highest = pair.iter().map(|point| point.1).fold(0.0, f32::max);
                (pair[0].0.start..pair[pair.len() - 1].0.end, highest)
            };
            self.points = self.points.chunks(2).map(pair).collect();
            self.halvings += 1;
        }
        self.points.push((bases.clone(), score));
        self.last = 1;
    }

    /// Returns the most chunks in a point, and the points.
    pub(super) fn finish(self) -> (u32, Vec<(Range<usize>, f32)>) {
        (1 << self.halvings, self.points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_few_and_none_is_lost() {
        for chunks in [0, 1, MOST_POINTS, MOST_POINTS + 1, 100_000] {
            let mut points = Points::default();
            for i in 0..chunks {
                points.add(&(10 * i..10 * i + 10), if i == chunks / 3 { 0.9 } else { 0.1 });
            }
            let (chunks_in_point, points) = points.finish();
            assert!(points.len() * chunks_in_point as usize >= chunks);
            assert!(
                points.len() <= MOST_POINTS && (chunks == 0 || points.len() > chunks.min(MOST_POINTS) / 2)
            );
            assert_eq!(points.iter().filter(|point| point.1 == 0.9).count(), chunks.min(1));
            assert_eq!(points.first().map_or(0, |point| point.0.start), 0);
            assert_eq!(points.last().map_or(0, |point| point.0.end), 10 * chunks);
            assert!(points.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
        }
    }
}
