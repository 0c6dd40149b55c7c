//! Runs of viral chunks in a record of several: prophage-like regions.

use std::ops::Range;

/// A run of viral chunks.
///
/// A chunk without a verdict neither begins a run nor ends it: half of a phage's own chunks have no open frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Bases of the record, from 0, from its first viral chunk to its last.
    pub bases: Range<usize>,
    /// Its viral chunks.
    pub viral: u64,
    /// Chunks without a verdict between them.
    pub unclassified: u64,
    /// The sum of the viral chunks' highest `score_virus`.
    pub(super) sum: f64,
    /// The highest of these.
    pub highest: f32,
}

impl Region {
    /// The mean of the viral chunks' highest `score_virus`.
    pub fn mean(&self) -> f32 {
        (self.sum / self.viral as f64) as f32
    }
}

/// Finds the regions of one record, chunk by chunk.
#[derive(Debug, Default)]
pub(super) struct Regions {
    found: Vec<Region>,
    /// Whether the last of them may go on.
    open: bool,
    /// Chunks without a verdict since its last viral one.
    unclassified: u64,
}

impl Regions {
    /// Takes the next chunk: its bases, and its verdict with its highest `score_virus`.
    pub(super) fn add(&mut self, bases: &Range<usize>, verdict: Option<(bool, f32)>) {
        let (viral, score) = match verdict {
            None => {
                self.unclassified += 1;
                return;
            }
            Some(verdict) => verdict,
        };
        match self.found.last_mut().filter(|_| self.open && viral) {
            Some(region) => {
                region.bases.end = bases.end;
                region.viral += 1;
                region.unclassified += self.unclassified;
                region.sum += f64::from(score);
                region.highest = region.highest.max(score);
            }
            None if viral => self.found.push(Region {
                bases: bases.clone(),
                viral: 1,
                unclassified: 0,
                sum: f64::from(score),
                highest: score,
            }),
            None => {}
        }
        self.open = viral;
        self.unclassified = 0;
    }

    /// The regions, in order.
    pub(super) fn finish(self) -> Vec<Region> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_over_chunks_without_a_verdict() {
        let mut regions = Regions::default();
        let verdicts = [
            None,
            Some((true, 0.5)),
            None,
            None,
            Some((true, 1.0)),
            None,
            Some((false, 0.25)),
            None,
            Some((true, 0.75)),
            None,
        ];
        for (i, verdict) in verdicts.into_iter().enumerate() {
            regions.add(&(100 * i..100 * i + 120), verdict);
        }
        let found = regions.finish();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].bases.clone(), found[0].viral, found[0].unclassified), (100..520, 2, 2));
        assert_eq!((found[0].mean(), found[0].highest), (0.75, 1.0));
        assert_eq!((found[1].bases.clone(), found[1].viral, found[1].unclassified), (800..920, 1, 0));
    }
}
