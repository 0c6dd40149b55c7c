//! The picture of a record: its score from base to base, and its regions.

use plotters::prelude::*;
use virpack_core::calls::Track;
use virpack_seq::shown_id;

use super::{FILL, INK, PlotError, lines, register};
use crate::text::{count, grouped};

const SIZE: (u32, u32) = (960, 320);
const REGION: RGBColor = RGBColor(214, 39, 40);

/// Draws a track as SVG.
pub(crate) fn draw(track: &Track) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    register();
    let mut text = String::new();
    chart(track, &mut text)?;
    Ok(text)
}

fn chart(track: &Track, text: &mut String) -> Result<(), PlotError> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    let failed = |error: DrawingAreaErrorKind<std::io::Error>| PlotError::Draw(error.to_string());
    area.fill(&WHITE).map_err(failed)?;
    let title = format!(
        "{}, {}, {}",
        shown_id(&track.id),
        count(track.length as u64, "base", "bases"),
        count(track.regions.len() as u64, "region", "regions")
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18, &INK))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(1..track.length.max(2), 0f32..1f32)
        .map_err(failed)?;
    lines(&mut chart.configure_mesh())
        .x_desc("base")
        .y_desc("highest score_virus of a chunk")
        .x_label_formatter(&|&base| grouped(base as u64))
        .draw()
        .map_err(failed)?;
    let regions = track.regions.iter().map(|region| {
        Rectangle::new([(region.bases.start + 1, 0.0), (region.bases.end, 1.0)], REGION.mix(0.15).filled())
    });
    chart.draw_series(regions).map_err(failed)?;
    // A chunk is a line over its bases: where there is none, no frame is open.
    let points = track.points.iter().map(|(bases, score)| {
        PathElement::new([(bases.start + 1, *score), (bases.end, *score)], FILL.stroke_width(2))
    });
    chart.draw_series(points).map_err(failed)?;
    area.present().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_any_track() {
        for points in
            [vec![], vec![(0..500, 0.25)], vec![(0..500, 0.0), (400..900, 1.0), (1_300..1_800, 0.75)]]
        {
            let track = Track { id: "a<b>&c".into(), length: 1_800, points, regions: Vec::new() };
            let text = draw(&track).unwrap();
            assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"), "{text}");
            assert!(text.contains("a&lt;b&gt;&amp;c, 1,800 bases, 0 regions"), "{text}");
            assert_eq!(text.matches("stroke=\"#1F77B4\"").count(), track.points.len(), "{text}");
        }
    }
}
