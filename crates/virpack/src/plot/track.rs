//! The plot of a record: its score along the bases, and its regions.

use plotters::coord::Shift;
use plotters::prelude::*;
use virpack_core::calls::{Draw, DrawError, Track};
use virpack_seq::shown_id;

use super::{FILL, INK, PlotError, lines, register};
use crate::text::{count, grouped};

/// The drawing area.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (960, 340);
/// Pixels above the chart, for the title and the legend.
const TOP: u32 = 56;
const REGION: RGBColor = RGBColor(214, 39, 40);

/// Draws tracks.
pub(crate) const DRAW: Draw = Draw { track: draw, overview: super::overview::draw };

/// Draws a track as SVG.
fn draw(track: &Track) -> Result<String, DrawError> {
    register();
    let mut text = String::new();
    picture(track, &mut text)?;
    Ok(text)
}

fn picture(track: &Track, text: &mut String) -> Result<(), PlotError> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let (top, below) = area.split_vertically(TOP);
    let title = format!(
        "{}, {}: {}, virus_score {:.4}",
        shown_id(&track.id),
        count(track.length as u64, "base", "bases"),
        track.call.as_str(),
        track.score,
    );
    top.draw(&Text::new(title, (14, 10), ("sans-serif", 18).into_font().color(&INK))).map_err(failed)?;
    legend(&top, track.chunks_in_point)?;
    chart(&below, track)?;
    area.present().map_err(failed)
}

/// Draws a sample of each element, with its name.
fn legend(area: &Area<'_>, chunks_in_point: u32) -> Result<(), PlotError> {
    let point = match chunks_in_point {
        1 => "a chunk".to_owned(),
        n => format!("the highest of {n} chunks"),
    };
    let label = |text: String, x| Text::new(text, (x, 36), ("sans-serif", 13).into_font().color(&INK));
    let line = |x, style| PathElement::new([(x, 43), (x + 22, 43)], style);
    area.draw(&line(66, FILL.stroke_width(2))).map_err(failed)?;
    area.draw(&label(point, 94)).map_err(failed)?;
    area.draw(&Rectangle::new([(290, 36), (312, 50)], REGION.mix(0.15).filled())).map_err(failed)?;
    area.draw(&label("a region".to_owned(), 318)).map_err(failed)?;
    area.draw(&line(420, INK.mix(0.6).stroke_width(1))).map_err(failed)?;
    area.draw(&label("0.5".to_owned(), 448)).map_err(failed)
}

fn chart(area: &Area<'_>, track: &Track) -> Result<(), PlotError> {
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .margin_top(4)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(1..track.length.max(2), 0f32..1f32)
        .map_err(failed)?;
    lines(&mut chart.configure_mesh())
        .x_desc("base")
        .y_desc("highest score_virus")
        .x_label_formatter(&|&base| grouped(base as u64))
        .draw()
        .map_err(failed)?;
    let regions = track.regions.iter().map(|region| {
        Rectangle::new([(region.bases.start + 1, 0.0), (region.bases.end, 1.0)], REGION.mix(0.15).filled())
    });
    chart.draw_series(regions).map_err(failed)?;
    let middle = PathElement::new([(1, 0.5), (track.length.max(2), 0.5)], INK.mix(0.6).stroke_width(1));
    chart.draw_series([middle]).map_err(failed)?;
    // A chunk is a line over its bases. A gap has no verdict.
    let points = track.points.iter().map(|(bases, score)| {
        PathElement::new([(bases.start + 1, *score), (bases.end, *score)], FILL.stroke_width(2))
    });
    chart.draw_series(points).map_err(failed)?;
    Ok(())
}

pub(super) fn failed(error: DrawingAreaErrorKind<std::io::Error>) -> PlotError {
    PlotError::Draw(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_core::verdict::Call;

    #[test]
    fn draws_any_track() {
        for (chunks_in_point, points) in [
            (1, vec![]),
            (1, vec![(0..500, 0.25)]),
            (2, vec![(0..500, 0.0), (400..900, 1.0), (1_300..1_800, 0.75)]),
        ] {
            let id = "a<b>&c".into();
            let (call, score, regions) = (Call::Uncertain, 0.512_345, Vec::new());
            let track = Track { id, length: 1_800, call, score, chunks_in_point, points, regions };
            let text = draw(&track).unwrap();
            assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"), "{text}");
            assert!(text.contains("a&lt;b&gt;&amp;c, 1,800 bases: uncertain, virus_score 0.5123"), "{text}");
            // Each point, and its sample in the legend.
            assert_eq!(text.matches("stroke=\"#1F77B4\"").count(), track.points.len() + 1, "{text}");
            assert_eq!(text.contains("the highest of 2 chunks"), chunks_in_point == 2, "{text}");
            assert!(text.contains("a region") && text.contains("\n0.5\n"), "{text}");
        }
    }
}
