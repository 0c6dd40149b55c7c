//! The plot of all drawn records: a strip for each, coloured by its score along the bases.

use plotters::prelude::*;
use virpack_core::calls::{DrawError, Track};
use virpack_core::verdict::Call;
use virpack_seq::shown_id;

use super::track::failed;
use super::{INK, PlotError, register};
use crate::text::count;

const WIDTH: u32 = 960;
/// Pixels above the first strip, and of each strip with the space below it.
const TOP: i32 = 70;
const ROW: i32 = 22;
/// The left and right ends of strips.
const LEFT: i32 = 420;
const RIGHT: i32 = 930;
/// The most letters of an id that fit.
const ID_LETTERS: usize = 26;

/// Draws tracks below each other, as SVG.
pub(super) fn draw(tracks: &[&Track]) -> Result<String, DrawError> {
    register();
    let mut text = String::new();
    picture(tracks, &mut text)?;
    Ok(text)
}

fn picture(tracks: &[&Track], text: &mut String) -> Result<(), PlotError> {
    let rows = i32::try_from(tracks.len()).unwrap_or(i32::MAX / ROW - TOP);
    let height = (TOP + rows * ROW + 14).unsigned_abs();
    let area = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let label = |text: String, x: i32, y: i32, size: i32| {
        area.draw(&Text::new(text, (x, y), ("sans-serif", size).into_font().color(&INK))).map_err(failed)
    };
    let records = count(tracks.len() as u64, "record", "records");
    label(format!("the best {records}: highest score_virus from base to base"), 14, 10, 18)?;
    for (text, x) in [("record", 14), ("bases", 210), ("call", 300), ("virus_score", 360)] {
        label(text.to_owned(), x, 44, 12)?;
    }
    for step in 0..100 {
        let x = 560 + 2 * step;
        area.draw(&Rectangle::new([(x, 44), (x + 2, 56)], colour(step as f32 / 99.0).filled()))
            .map_err(failed)?;
    }
    for (text, x) in [("0", 548), ("0.5", 651), ("1", 766)] {
        label(text.to_owned(), x, if text == "0.5" { 57 } else { 44 }, 12)?;
    }
    for (row, track) in (0..rows).zip(tracks) {
        let y = TOP + row * ROW;
        label(short(&shown_id(&track.id)), 14, y + 1, 12)?;
        label(crate::text::grouped(track.length as u64), 210, y + 1, 12)?;
        label(track.call.as_str().to_owned(), 300, y + 1, 12)?;
        label(format!("{:.4}", track.score), 362, y + 1, 12)?;
        strip(&area, track, y)?;
    }
    area.present().map_err(failed)
}

/// Draws a record's chunks as boxes in the colours of their scores. Gaps have no verdict.
fn strip(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    track: &Track,
    y: i32,
) -> Result<(), PlotError> {
    let place = |base: usize| {
        let share = base as f64 / track.length.max(1) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a place in the picture")]
        let x = LEFT + (share * f64::from(RIGHT - LEFT)).round() as i32;
        x
    };
    // If several points share a pixel column, the highest of them is drawn.
    let mut columns: Vec<Option<f32>> = vec![None; (RIGHT - LEFT) as usize];
    for (bases, score) in &track.points {
        let first = place(bases.start) - LEFT;
        let last = (place(bases.end) - LEFT).max(first + 1);
        for column in
            columns.iter_mut().take(last.unsigned_abs() as usize).skip(first.unsigned_abs() as usize)
        {
            *column = Some(column.map_or(*score, |other| other.max(*score)));
        }
    }
    let mut start = 0;
    while start < columns.len() {
        let shade = columns[start].map(shade);
        let same = columns[start..].iter().take_while(|column| column.map(self::shade) == shade).count();
        if let Some(score) = columns[start] {
            let [from, to] = [start, start + same].map(|column| LEFT + column as i32);
            let bar = Rectangle::new(
                [(from, y), (to, y + 14)],
                colour(f32::from(self::shade(score)) / 50.0).filled(),
            );
            area.draw(&bar).map_err(failed)?;
        }
        start += same;
    }
    let edge = if track.call == Call::Viral { INK.mix(0.8) } else { INK.mix(0.3) };
    area.draw(&Rectangle::new([(LEFT - 1, y - 1), (RIGHT + 1, y + 15)], edge.stroke_width(1))).map_err(failed)
}

/// Returns a score as one of 51 shades.
fn shade(score: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 50")]
    let shade = (score.clamp(0.0, 1.0) * 50.0).round() as u8;
    shade
}

/// Returns a colour from blue over light grey to red.
fn colour(score: f32) -> RGBColor {
    const STOPS: [[f32; 3]; 3] = [[31.0, 119.0, 180.0], [235.0, 235.0, 235.0], [214.0, 39.0, 40.0]];
    let (from, share) = if score < 0.5 { (0, score * 2.0) } else { (1, score * 2.0 - 1.0) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
    let mixed = |i: usize| (STOPS[from][i] + (STOPS[from + 1][i] - STOPS[from][i]) * share).round() as u8;
    RGBColor(mixed(0), mixed(1), mixed(2))
}

fn short(id: &str) -> String {
    match id.char_indices().nth(ID_LETTERS) {
        None => id.to_owned(),
        Some((end, _)) => format!("{}…", &id[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_a_strip() {
        let track = |id: &str, call, points: Vec<(std::ops::Range<usize>, f32)>| Track {
            id: id.into(),
            length: 2_000,
            call,
            score: 0.75,
            chunks_in_point: 1,
            points,
            regions: Vec::new(),
        };
        let long = "a<b>&".repeat(20);
        let tracks = [
            track("one", Call::Viral, vec![(0..500, 0.0), (500..1_000, 1.0), (1_000..2_000, 0.99)]),
            track(&long, Call::Uncertain, vec![(1_999..2_000, 0.5)]),
            track("none", Call::Uncertain, Vec::new()),
        ];
        let text = draw(&tracks.iter().collect::<Vec<_>>()).unwrap();
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"), "{text}");
        assert!(text.contains("the best 3 records") && text.contains("a&lt;b&gt;&amp;a&lt;b"), "{text}");
        // One frame for each strip.
        assert_eq!(text.matches("fill=\"none\"").count(), 3, "{text}");
        for (score, expected) in [(0.0, (31, 119, 180)), (0.5, (235, 235, 235)), (1.0, (214, 39, 40))] {
            assert_eq!(colour(score), RGBColor(expected.0, expected.1, expected.2));
        }
    }
}
