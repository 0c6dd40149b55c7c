//! The plot of a packing plan: the lengths of sequences and the fill of batches.

mod overview;
pub(crate) mod track;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::text::grouped;
use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use virpack_core::output::{OutputError, check_free, write_file};
use virpack_seq::{Plan, shown_path};

const SIZE: (u32, u32) = (960, 720);
/// The most bars in the histogram of lengths.
const LENGTH_BARS: u64 = 64;
const INK: RGBColor = RGBColor(40, 40, 40);
const FILL: RGBColor = RGBColor(31, 119, 180);

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlotError {
    /// A file name that ends neither in `.svg` nor in `.png`.
    #[error("cannot draw {}: plots are .svg or .png", shown_path(.0))]
    Format(PathBuf),
    /// A plot that could not be drawn.
    #[error("cannot draw: {0}")]
    Draw(String),
    /// A name that exists, or that is not a file's.
    #[error(transparent)]
    Name(#[from] OutputError),
    /// A file that could not be written.
    #[error("cannot draw {}: {source}", shown_path(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: OutputError,
    },
}

/// The two formats of plots.
#[derive(Clone, Copy)]
enum PlotFormat {
    Svg,
    Png,
}

impl PlotFormat {
    /// Returns the format by the extension of the name.
    fn of(path: &Path) -> Result<PlotFormat, PlotError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("svg") => Ok(PlotFormat::Svg),
            Some(extension) if extension.eq_ignore_ascii_case("png") => Ok(PlotFormat::Png),
            _ => Err(PlotError::Format(path.to_owned())),
        }
    }
}

/// Registers the font.
fn register() {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        // Only a broken font is refused, and then drawing fails with an error of its own.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}

/// Checks that a plot can be written to a file of this name, before there is anything to draw.
pub(crate) fn check(path: &Path, force: bool) -> Result<(), PlotError> {
    PlotFormat::of(path)?;
    Ok(check_free(path, force)?)
}

/// Draws the histogram of lengths and the fill of the batches into `path`, SVG or PNG by its ending.
///
/// The font is in the binary, so that no system font is needed.
pub(crate) fn draw(plan: &Plan, path: &Path, force: bool) -> Result<(), PlotError> {
    register();
    let picture = match PlotFormat::of(path)? {
        PlotFormat::Svg => {
            let mut text = String::new();
            panels(plan, &SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
            text.into_bytes()
        }
        PlotFormat::Png => {
            let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
            panels(plan, &BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area())?;
            png(&pixels).map_err(|error| PlotError::Draw(error.to_string()))?
        }
    };
    write_file(path, force, |file| file.write_all(&picture))
        .map_err(|source| PlotError::Write { path: path.to_owned(), source })
}

/// Returns the bytes of a PNG file.
fn png(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn panels<B: DrawingBackend>(plan: &Plan, area: &DrawingArea<B, Shift>) -> Result<(), PlotError> {
    let failed = |error: DrawingAreaErrorKind<B::ErrorType>| PlotError::Draw(error.to_string());
    area.fill(&WHITE).map_err(failed)?;
    let (upper, lower) = area.split_vertically(SIZE.1 / 2);
    let stats = &plan.stats;
    let title = format!(
        "{} sequences, {} tokens, {} truncated",
        grouped(stats.sequences),
        grouped(stats.tokens),
        grouped(plan.truncated)
    );
    bars(&upper, &title, "tokens in a sequence", "sequences", &length_bars(plan))?;
    let title = format!(
        "{} batches of {} tokens by {}: {:.2} % full",
        grouped(stats.batches),
        grouped(stats.token_budget as u64),
        plan.packer.algorithm.as_str(),
        100.0 * stats.efficiency()
    );
    bars(&lower, &title, "fill of a batch, percent", "batches", &fill_bars(plan))?;
    area.present().map_err(failed)
}

/// One bar: from, to, height.
type Bar = (u64, u64, u64);

/// Returns sequences by length, in at most [`LENGTH_BARS`] bars of equal width.
fn length_bars(plan: &Plan) -> Vec<Bar> {
    let width = (plan.lengths.longest() as u64 + 1).div_ceil(LENGTH_BARS);
    let mut bars: Vec<Bar> =
        (0..=plan.lengths.longest() as u64 / width).map(|i| (i * width, (i + 1) * width, 0)).collect();
    for (length, count) in plan.lengths.iter() {
        bars[(length / width) as usize].2 += count;
    }
    bars
}

/// Returns batches by integer percents of the budget, from the emptiest on (but at least the upper fifth).
fn fill_bars(plan: &Plan) -> Vec<Bar> {
    let first = plan.fill.iter().position(|&batches| batches > 0).unwrap_or(80).min(80);
    (first as u64..)
        .zip(&plan.fill[first..])
        .map(|(percent, &batches)| (percent, percent + 1, batches))
        .collect()
}

fn bars<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    x: &str,
    y: &str,
    bars: &[Bar],
) -> Result<(), PlotError> {
    let failed = |error: DrawingAreaErrorKind<B::ErrorType>| PlotError::Draw(error.to_string());
    let from = bars.first().map_or(0, |bar| bar.0);
    let to = bars.last().map_or(1, |bar| bar.1);
    let highest = bars.iter().map(|bar| bar.2).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18, &INK))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(from..to, 0..(highest + highest / 20).max(1))
        .map_err(failed)?;
    lines(&mut chart.configure_mesh())
        .x_desc(x)
        .y_desc(y)
        .y_label_formatter(&|&count| grouped(count))
        .draw()
        .map_err(failed)?;
    let filled = bars.iter().filter(|bar| bar.2 > 0);
    chart
        .draw_series(filled.map(|&(from, to, height)| {
            let mut bar = Rectangle::new([(from, 0), (to, height)], FILL.filled());
            bar.set_margin(0, 0, 0, 1);
            bar
        }))
        .map_err(failed)?;
    Ok(())
}

/// Sets the lines and labels that all plots share.
fn lines<'m, 'a, 'b, X, Y, B>(mesh: &'m mut MeshStyle<'a, 'b, X, Y, B>) -> &'m mut MeshStyle<'a, 'b, X, Y, B>
where
    X: Ranged,
    Y: Ranged,
    B: DrawingBackend,
{
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.6))
        .label_style(("sans-serif", 13, &INK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io};
    use virpack_seq::{CollatorOptions, PackerOptions, Planner};

    fn plan(sequences: u32) -> Plan {
        let mut planner = Planner::new(PackerOptions::new(4_096, 1_024), CollatorOptions::default()).unwrap();
        for i in 0..sequences {
            let length = (0..4).map(|k| i.wrapping_mul(2_654_435_761 + 2 * k) >> 24).sum::<u32>() + 3;
            planner.push(length, i % 50 == 0).unwrap();
        }
        planner.finish()
    }

    #[test]
    fn draws_both_formats_of_any_plan() {
        let folder = std::env::temp_dir().join(format!("virpack-plot-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for sequences in [0, 1, 20_000] {
            let plan = plan(sequences);
            let (svg, png) = (folder.join("plan.svg"), folder.join("plan.PNG"));
            draw(&plan, &svg, true).unwrap();
            let text = fs::read_to_string(&svg).unwrap();
            assert!(
                text.starts_with("<svg")
                    && text.contains(&format!("{} sequences", grouped(sequences.into())))
            );
            draw(&plan, &png, true).unwrap();
            let decoder = png::Decoder::new(io::BufReader::new(fs::File::open(&png).unwrap()));
            let mut reader = decoder.read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels.len(), (SIZE.0 * SIZE.1 * 3) as usize);
            assert!(pixels.chunks(3).any(|pixel| pixel == [40, 40, 40]), "text is drawn");
        }
        let error = draw(&plan(1), &folder.join("plan.pdf"), true).unwrap_err();
        assert!(matches!(error, PlotError::Format(_)), "{error}");
        let error = draw(&plan(1), &folder.join("none/plan.svg"), true).unwrap_err();
        assert!(matches!(error, PlotError::Write { .. }), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
