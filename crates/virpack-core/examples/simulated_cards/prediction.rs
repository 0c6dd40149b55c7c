//! `virpack predict` with the built-in model, on a card that computes nothing.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use virpack_core::model::mini;
use virpack_core::predict::{Bundle, PredictOptions, predict_on};
use virpack_core::seq::frames::Pair;
use virpack_core::{CancelToken, Event};

use crate::card::Card;
use crate::stages::Watch;

/// Tokens a second of a model: one H200 in float16 computes 512,020 chunks of some 1,000 tokens in 3.1 s.
pub(crate) const RATE: f64 = 330e6;

/// Tokens of a batch there.
const BUDGET: usize = 135_168;

/// Widths of the built-in models' hidden states.
const WIDTHS: Pair<usize> = Pair { nucleotide: 112, protein: 128 };

/// Judges the records of a file into a directory below `scratch`, and prints what that took.
pub(crate) fn run(input: &Path, rate: f64, checkpoint: bool, scratch: &Path) -> Result<(), Box<dyn Error>> {
    let built_in = Bundle::open(&mini::location())?;
    let directory = scratch.join("verdicts");
    let mut options =
        PredictOptions::with_bundle(vec![input.to_path_buf().into()], &built_in, None, &directory);
    if !checkpoint {
        options = options.checkpoint(None);
    }
    let cards = WIDTHS.map(|width| vec![Arc::new(Card::new(rate, BUDGET, width))]);
    let watch = Watch::start()?;
    let mut moments: Option<(Instant, Instant)> = None;
    let summary = predict_on(cards, &options, &CancelToken::new(), |event| {
        if let Event::Progress(_) = event {
            let now = Instant::now();
            moments = Some(moments.map_or((now, now), |(first, _)| (first, now)));
        }
    })?;
    let (first, last) = moments.ok_or("the input has no records")?;
    let stages: Vec<String> = watch.stages(first, last).iter().map(ToString::to_string).collect();
    let (chunks, seconds) = (summary.frames.chunks, summary.elapsed.as_secs_f64());
    println!("{chunks} chunks, {seconds:.2} s, {:.0} chunks/s", chunks as f64 / seconds);
    println!("busiest thread of each stage (cores of all): {}", stages.join(", "));
    println!("time of each part of the work: {}", summary.report["seconds"]);
    Ok(())
}
