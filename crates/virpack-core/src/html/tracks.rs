//! The scores along a record: a spark in the table, and a track on a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::{Value, context};

use super::axis::{position_ticks, short};
use super::record::{CALLS, PageChunk, PageRecord, PageRegion, cut, place};

/// The most points of a track.
const POINTS: usize = 300;
/// The most bars of a spark.
const SPARKS: usize = 60;
/// The most regions of a track.
const REGIONS: usize = 20;
/// The most letters of an id and of a description on a page.
pub(super) const ID_LETTERS: usize = 1_000;
pub(super) const DESCRIPTION_LETTERS: usize = 300;

/// Returns the bars of a record's chunk scores in a box of 120 by 24, upwards for viral; None without
/// scores.
pub(super) fn spark(chunks: &[PageChunk<'_>]) -> Option<(String, String)> {
    let scores: Vec<f64> = chunks.iter().filter_map(PageChunk::score).collect();
    let bars = scores.len().min(SPARKS);
    if bars == 0 {
        return None;
    }
    let (mut up, mut down) = (String::new(), String::new());
    let width = (120.0 / bars as f64).min(8.0);
    let shown = short(width - if bars <= 30 { 1.0 } else { 0.2 });
    for i in 0..bars {
        let part = &scores[i * scores.len() / bars..(i + 1) * scores.len() / bars];
        let height = (mean(part) - 0.5) * 22.0;
        let path = if height >= 0.0 { &mut up } else { &mut down };
        write(path, format_args!("M{} 12h{shown}v{}h-{shown}z", short(i as f64 * width), short(-height)));
    }
    Some((up, down))
}

/// A track, ready for the template.
#[derive(Debug)]
pub(super) struct DrawnTrack {
    pub(super) record: u64,
    pub(super) value: Value,
    /// About how many bytes of the page it takes.
    pub(super) bytes: usize,
}

/// Returns the track of a judged record.
pub(super) fn track(index: u64, record: &PageRecord<'_>) -> DrawnTrack {
    let along = Along { length: record.length.max(1) as f64 };
    let per = record.chunks.len().div_ceil(POINTS).max(1);
    let Paths { raw, smooth, band } = along.scores(record.chunks, per);
    let frames = along.frames(record.chunks, per > 1);
    let mut best: Vec<&PageRegion> = record.regions.iter().collect();
    best.sort_by(|a, b| b.score.total_cmp(&a.score));
    let regions: Vec<Value> = best.iter().take(REGIONS).map(|region| along.region(region)).collect();
    let (id, description) = (cut(record.id, ID_LETTERS), cut(record.description, DESCRIPTION_LETTERS));
    let paths = raw.len() + smooth.len() + band.as_ref().map_or(0, String::len);
    let paths = paths + frames.values().map(String::len).sum::<usize>();
    // Escaped letters take at least five bytes.
    let texts = 6 * (id.len() * (3 + regions.len()) + description.len());
    let bytes = 3_000 + 300 * regions.len() + paths + texts;
    let frames: Vec<Value> =
        frames.iter().map(|(class, d)| context! { class => format!("s{class}"), d => d.as_str() }).collect();
    let value = context! {
        record => index, id => id, description => description, call => CALLS[place(record.call)],
        score => record.score,
        length => record.length, chunks_viral => record.chunks_viral,
        chunks_classified => record.chunks_classified,
        raw => raw, smooth => smooth, band => band, binned => if per > 1 { per } else { 0 },
        regions_more => record.regions.len() - regions.len(), regions => regions, frames => frames,
        ticks => position_ticks(record.length),
    };
    DrawnTrack { record: index, value, bytes }
}

/// Coordinates along a record, in boxes 1000 wide.
struct Along {
    length: f64,
}

/// Paths of the scores in a box 132 high.
struct Paths {
    raw: String,
    smooth: String,
    band: Option<String>,
}

impl Along {
    fn x(&self, base: f64) -> f64 {
        1000.0 * base / self.length
    }

    fn region(&self, region: &PageRegion) -> Value {
        let tenths = |x: f64| (x * 10.0).round() / 10.0;
        let (start, end) = (region.bases.start as f64, region.bases.end as f64);
        context! {
            x => tenths(self.x(start)), width => tenths(self.x(end - start)), start => region.bases.start + 1,
            end => region.bases.end, kind => region.kind.as_str(),
            score => (region.score * 100.0).round() / 100.0,
        }
    }

    /// Returns the scores of chunks, or of groups of `per` chunks with their range.
    fn scores(&self, chunks: &[PageChunk<'_>], per: usize) -> Paths {
        let y = |score: f64| short(131.0 - 130.0 * score);
        let mut paths = Paths { raw: String::new(), smooth: String::new(), band: None };
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for group in chunks.chunks(per) {
            let [first, last] = [&group[0], &group[group.len() - 1]];
            let (start, end) = (self.x(first.bases.start as f64), self.x(last.bases.end as f64));
            let posteriors: Vec<f64> =
                group.iter().filter_map(|chunk| chunk.posterior).map(f64::from).collect();
            if !posteriors.is_empty() {
                let begin = if paths.smooth.is_empty() { 'M' } else { 'L' };
                let (middle, height) = (short((start + end) / 2.0), y(mean(&posteriors)));
                write(&mut paths.smooth, format_args!("{begin}{middle} {height}"));
            }
            let scores: Vec<f64> = group.iter().filter_map(PageChunk::score).collect();
            if scores.is_empty() {
                continue;
            }
            let (start, end) = (short(start), short(end));
            write(&mut paths.raw, format_args!("M{start} {}H{end}", y(mean(&scores))));
            if per > 1 {
                let highest = scores.iter().copied().fold(0.0, f64::max);
                let lowest = scores.iter().copied().fold(1.0, f64::min);
                above.push(format!("{start} {}H{end}", y(highest)));
                below.push(format!("{end} {}H{start}", y(lowest)));
            }
        }
        if !above.is_empty() {
            below.reverse();
            paths.band = Some(format!("M{}L{}z", above.join("L"), below.join("L")));
        }
        paths
    }

    /// Returns the paths of the open frames in a box 60 high, by class of score: arrows, or for a long
    /// record bars of the means of its frames.
    fn frames(&self, chunks: &[PageChunk<'_>], binned: bool) -> BTreeMap<u8, String> {
        let mut paths: BTreeMap<u8, String> = BTreeMap::new();
        let frames = chunks.iter().flat_map(|chunk| chunk.frames).filter(|frame| frame.frame < 6);
        let class = |score: f64| (score * 5.0).clamp(0.0, 4.0) as u8;
        if binned {
            let size = self.length / POINTS as f64;
            let mut bins: BTreeMap<(usize, u8), (f64, f64)> = BTreeMap::new();
            for frame in frames {
                let middle = (frame.bases.start + frame.bases.end) as f64 / 2.0;
                let bin = bins.entry(((middle / size) as usize, frame.frame)).or_default();
                *bin = (bin.0 + f64::from(frame.score), bin.1 + 1.0);
            }
            for ((bin, lane), (sum, count)) in bins {
                let [left, right] = [bin, bin + 1].map(|bin| short(self.x(bin as f64 * size)));
                let top = 2 + 10 * u32::from(lane);
                let path = paths.entry(class(sum / count)).or_default();
                write(path, format_args!("M{left} {top}H{right}v6H{left}z"));
            }
            return paths;
        }
        for frame in frames {
            let [left, right] = [frame.bases.start, frame.bases.end].map(|base| self.x(base as f64));
            let head = ((right - left) * 0.4).min(6.0);
            let ends = if frame.frame < 3 { [left, right - head, right] } else { [right, left + head, left] };
            let [tail, neck, tip] = ends.map(short);
            let middle = 5 + 10 * u32::from(frame.frame);
            let (top, bottom) = (middle - 3, middle + 3);
            let path = paths.entry(class(f64::from(frame.score))).or_default();
            write(path, format_args!("M{tail} {top}H{neck}L{tip} {middle}L{neck} {bottom}H{tail}z"));
        }
        paths
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn write(path: &mut String, part: std::fmt::Arguments<'_>) {
    path.write_fmt(part).expect("a string takes all text");
}

#[cfg(test)]
mod tests {
    use super::super::record::PageFrame;
    use super::*;
    use crate::verdict::RegionKind;

    fn chunks(scores: &[Option<f32>]) -> Vec<PageChunk<'static>> {
        let chunk = |(i, score): (u64, &Option<f32>)| PageChunk {
            bases: i * 500..(i + 1) * 500,
            scores: score.map(|score| [1.0 - score, score]),
            posterior: Some(0.5),
            frames: &[],
        };
        (0..).zip(scores).map(chunk).collect()
    }

    #[test]
    fn a_spark_has_a_bar_for_each_judged_chunk_and_at_most_60() {
        assert_eq!(spark(&chunks(&[None, None])), None);
        let (up, down) = spark(&chunks(&[Some(1.0), None, Some(0.0), Some(0.5)])).unwrap();
        assert_eq!(up, "M0 12h7v-11h-7zM16 12h7v0h-7z");
        assert_eq!(down, "M8 12h7v11h-7z");
        let (up, down) = spark(&chunks(&[Some(0.75); 1_000])).unwrap();
        assert_eq!((up.matches('M').count(), down.as_str()), (60, ""));
    }

    #[test]
    fn a_track_shows_chunks_frames_and_regions_in_their_places() {
        let frames = [
            PageFrame { frame: 0, bases: 0..498, score: 0.99 },
            PageFrame { frame: 5, bases: 500..1_000, score: 0.1 },
        ];
        let mut chunks = chunks(&[Some(1.0), None]);
        chunks[0].frames = &frames;
        let regions = [PageRegion { bases: 0..500, kind: RegionKind::Viral, score: 3.456 }];
        let record = PageRecord {
            id: "a",
            length: 1_000,
            chunks: &chunks,
            regions: &regions,
            ..PageRecord::default()
        };
        let track = track(7, &record).value;
        let text = |name: &str| track.get_attr(name).unwrap().to_string();
        assert_eq!(text("raw"), "M0 1H500");
        assert_eq!(text("smooth"), "M250 66L750 66");
        assert_eq!(
            (text("binned"), text("band"), text("regions_more")),
            ("0".into(), "None".into(), "0".into())
        );
        let frames: Vec<Value> = track.get_attr("frames").unwrap().try_iter().unwrap().collect();
        let d = |i: usize| frames[i].get_attr("d").unwrap().to_string();
        assert_eq!(frames[0].get_attr("class").unwrap().as_str(), Some("s0"));
        assert_eq!(d(0), "M1000 52H506L500 55L506 58H1000z");
        assert_eq!(frames[1].get_attr("class").unwrap().as_str(), Some("s4"));
        assert_eq!(d(1), "M0 2H492L498 5L492 8H0z");
        let region = track.get_attr("regions").unwrap().get_item(&Value::from(0)).unwrap();
        let place =
            ["x", "width", "start", "end", "score"].map(|name| region.get_attr(name).unwrap().to_string());
        assert_eq!(place, ["0.0", "500.0", "1", "500", "3.46"]);
    }

    #[test]
    fn a_long_record_is_binned() {
        let chunks = chunks(&[Some(0.25); 1_000]);
        let record = PageRecord { id: "a", length: 500_000, chunks: &chunks, ..PageRecord::default() };
        let track = track(0, &record);
        assert_eq!(track.value.get_attr("binned").unwrap().to_string(), "4");
        assert_eq!(track.value.get_attr("raw").unwrap().to_string().matches('M').count(), 250);
        let band = track.value.get_attr("band").unwrap().to_string();
        assert!(band.starts_with("M0 98.5H4L4 98.5H8L") && band.ends_with('z'), "{band}");
        assert!(track.bytes > band.len());
    }
}
