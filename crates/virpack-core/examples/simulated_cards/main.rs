//! One file through many cards that compute nothing and take the time that real ones would: what a run does
//! beside the cards, and which stage of it is full first.
//!
//! ```text
//! cargo run --release -p virpack-core --example simulated_cards -- [--model 8M|650M|3B] [--cards 1,2,4,8]
//!     [--seconds 5 | --tokens 200M] [--rate 20M] [--load orf|prot|reads] [--folder DIR] [--format npy]
//!     [--dtype-out f32|f16] [--gzip] [--no-checkpoint]
//! cargo run --release -p virpack-core --example simulated_cards -- --predict FASTA [--rate 110M]
//!     [--folder DIR] [--no-checkpoint]
//! ```
//!
//! The input is a file of made-up proteins, the output a file of rows as wide as the model's, with its
//! table of records and its parts: all that `virpack embed` does but the model. A card is a sleep
//! (`card.rs`). Each number of cards gets as much work as takes it `--seconds`, or all get the same
//! `--tokens`; their outputs must then have the same bytes. DIR (a folder for temporary files) should lie
//! in memory, or the disk is measured: it takes input, rows and parts.
//!
//! With `--predict` it is all that `virpack predict` does with the built-in model but the models' arithmetic
//! (`prediction.rs`).
//!
//! Prints a row for each number of cards: tokens a second from the first record to the last row, the ratio
//! to the first number, the cards' busy share, and each stage's busiest thread. What is close to 100 % is
//! full.

mod card;
mod model;
mod prediction;
mod stages;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use virpack_core::output::OutputDtype;
use virpack_core::seq::reader::hex;
use virpack_core::synthetic::{Load, SyntheticFasta};
use virpack_core::{CancelToken, EmbedOptions, EmbedSummary, Event, embed_on};

use card::Card;
use stages::{Stage, Watch};

/// A model that is simulated: its name, tokens a second on one H200 in float16 (BENCHMARKS.md, orf), its
/// width, and the tokens of its batches there.
const MODELS: [(&str, f64, usize, usize); 3] =
    [("8M", 20e6, 320, 135_168), ("650M", 440e3, 1_280, 50_688), ("3B", 110e3, 2_560, 50_688)];

/// What is run.
struct Task {
    model: (&'static str, f64, usize, usize),
    cards: Vec<usize>,
    seconds: f64,
    /// Tokens of all inputs, where they are alike.
    tokens: Option<u64>,
    load: Load,
    folder: PathBuf,
    format: String,
    dtype_out: OutputDtype,
    gzip: bool,
    checkpoint: bool,
    /// The input of `virpack predict`, which is then what is run.
    predict: Option<PathBuf>,
}

/// What a number of cards did.
struct Run {
    cards: usize,
    tokens: u64,
    /// From the first record to the last row.
    elapsed: Duration,
    /// From the last row to the file's name.
    ending: Duration,
    busy: f64,
    stages: Vec<Stage>,
    sha256: Option<String>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let task = Task::parse(std::env::args().skip(1))?;
    fs::create_dir_all(&task.folder)?;
    let scratch = tempfile::tempdir_in(&task.folder)?;
    if let Some(input) = &task.predict {
        prediction::run(input, task.model.1, task.checkpoint, scratch.path())?;
        return Ok(ExitCode::SUCCESS);
    }
    let model = model::create(scratch.path(), task.model.2)?;
    let cores = std::thread::available_parallelism()?;
    let (name, rate, hidden, budget) = task.model;
    let folder = scratch.path().display();
    println!("{name}: {:.2} M tokens/s a card, {} records, rows of {hidden} values,", rate / 1e6, task.load);
    println!("batches of {budget} tokens, {cores} cores, {folder}");
    println!("cards\tM tokens/s\tratio\tbusy\tseconds\tending\tbusiest thread of each stage (cores of all)");
    let mut runs: Vec<Run> = Vec::new();
    for &cards in &task.cards {
        let run = task.run(cards, &model, scratch.path())?;
        let first = runs.first().map_or(run.rate(), Run::rate);
        println!("{}", run.line(first));
        runs.push(run);
    }
    let alike = runs.windows(2).all(|pair| pair[0].sha256 == pair[1].sha256);
    if let (Some(sha256), true) = (&runs[0].sha256, alike) {
        println!("the same bytes at every number of cards: {sha256}");
    }
    if !alike {
        println!("the bytes DIFFER");
    }
    Ok(if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Run {
    fn rate(&self) -> f64 {
        self.tokens as f64 / self.elapsed.as_secs_f64()
    }

    fn line(&self, first: f64) -> String {
        let stages: Vec<String> = self.stages.iter().map(ToString::to_string).collect();
        format!(
            "{}\t{:.2}\t{:.2} x\t{:.1} %\t{:.2}\t{:.2}\t{}",
            self.cards,
            self.rate() / 1e6,
            self.rate() / first,
            100.0 * self.busy,
            self.elapsed.as_secs_f64(),
            self.ending.as_secs_f64(),
            stages.join(", ")
        )
    }
}

impl Task {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task, Box<dyn Error>> {
        let mut task = Task {
            model: MODELS[0],
            cards: vec![1, 2, 4, 8],
            seconds: 5.0,
            tokens: None,
            load: Load::Orf,
            folder: std::env::temp_dir(),
            format: "npy".to_owned(),
            dtype_out: OutputDtype::F32,
            gzip: false,
            checkpoint: true,
            predict: None,
        };
        let mut rate = None;
        while let Some(option) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{option} has no value"));
            match &*option {
                "--model" => {
                    let name = value()?;
                    let model = MODELS.into_iter().find(|model| model.0 == name);
                    task.model = model.ok_or(format!("{name} is not 8M, 650M or 3B"))?;
                }
                "--cards" => task.cards = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--seconds" => task.seconds = value()?.parse()?,
                "--tokens" => task.tokens = Some(number(&value()?)? as u64),
                "--rate" => rate = Some(number(&value()?)?),
                "--load" => task.load = value()?.parse()?,
                "--folder" => task.folder = value()?.into(),
                "--format" => task.format = value()?,
                "--dtype-out" => {
                    task.dtype_out = match &*value()? {
                        "f32" => OutputDtype::F32,
                        "f16" => OutputDtype::F16,
                        other => return Err(format!("{other} is not f32 or f16").into()),
                    }
                }
                "--predict" => task.predict = Some(value()?.into()),
                "--gzip" => task.gzip = true,
                "--no-checkpoint" => task.checkpoint = false,
                other => {
                    return Err(format!("unknown option {other}; simulated_cards/main.rs lists them").into());
                }
            }
        }
        let usual = if task.predict.is_some() { prediction::RATE } else { task.model.1 };
        task.model.1 = rate.unwrap_or(usual);
        if task.cards.is_empty() || task.cards.contains(&0) {
            return Err("--cards takes numbers from 1 up".into());
        }
        Ok(task)
    }

    fn run(&self, cards: usize, model: &Path, scratch: &Path) -> Result<Run, Box<dyn Error>> {
        let (_, rate, hidden, budget) = self.model;
        let folder = scratch.join(format!("{cards}_cards"));
        fs::create_dir(&folder)?;
        let tokens = self.tokens.unwrap_or((rate * self.seconds) as u64 * cards as u64);
        let input = folder.join(if self.gzip { "in.fasta.gz" } else { "in.fasta" });
        write_input(&input, self.load, tokens, self.gzip)?;
        let output = folder.join(format!("out.{}", self.format));
        let mut options = EmbedOptions::new(vec![input.into()], model, &output).dtype_out(self.dtype_out);
        if !self.checkpoint {
            options = options.checkpoint(None);
        }
        let backends = (0..cards).map(|_| Arc::new(Card::new(rate, budget, hidden))).collect();
        let watch = Watch::start()?;
        let mut moments: Option<(Instant, Instant)> = None;
        let summary = embed_on(backends, &options, &CancelToken::new(), |event| {
            if let Event::Progress(_) = event {
                let now = Instant::now();
                moments = Some(moments.map_or((now, now), |(first, _)| (first, now)));
            }
        })?;
        let ended = Instant::now();
        let (first, last) = moments.ok_or("the input has no records")?;
        let stages = watch.stages(first, last);
        let sha256 = self.tokens.map(|_| digest(&summary)).transpose()?;
        fs::remove_dir_all(&folder)?;
        let EmbedSummary { tokens, elapsed, .. } = summary;
        Ok(Run {
            cards,
            tokens,
            elapsed,
            ending: ended.saturating_duration_since(last),
            busy: summary.busy(),
            stages,
            sha256,
        })
    }
}

/// Writes made-up records of so many tokens to a file.
fn write_input(path: &Path, load: Load, tokens: u64, gzip: bool) -> io::Result<()> {
    let mut records = SyntheticFasta::new(load, tokens, 7);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    if gzip {
        let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
        io::copy(&mut records, &mut encoder)?;
        encoder.finish()?;
    } else {
        io::copy(&mut records, &mut out)?;
    }
    out.flush()
}

/// The SHA-256 of the output and of its table of records.
fn digest(summary: &EmbedSummary) -> io::Result<String> {
    let mut sum = Sha256::new();
    // `run.json` says when the run was.
    for file in summary.written.files.iter().filter(|file| !file.to_string_lossy().ends_with(".run.json")) {
        io::copy(&mut File::open(file)?, &mut sum)?;
    }
    Ok(hex(&sum.finalize()))
}

/// A number that may end with k or M.
fn number(text: &str) -> Result<f64, Box<dyn Error>> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |digits| (digits, 1e6)),
    };
    Ok(digits.parse::<f64>()? * factor)
}
