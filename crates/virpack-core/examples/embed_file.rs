//! Embeds a file of sequences into a file of embeddings, and shows the progress.
//!
//! `cargo run --release -p virpack-core --example embed_file -- INPUT OUTPUT [MODEL]`, such as
//! `examples/proteins.fasta emb.parquet`. Without MODEL the built-in one reads what the first records hold.

use virpack_core::{CancelToken, EmbedOptions, Event, Hint, embed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, model @ ..] = &arguments[..] else {
        return Err("usage: embed_file INPUT OUTPUT [MODEL]".into());
    };
    let model = model.first().map_or("virpack-mini", String::as_str);
    let options = EmbedOptions::new(vec![input.as_str().into()], model, output);
    let summary = embed(&options, &CancelToken::new(), |event| match event {
        Event::Ready { device, .. } => eprintln!("on {device}"),
        Event::Progress(progress) => eprintln!("{} records", progress.records),
        _ => (),
    });
    let summary = summary.inspect_err(|error| {
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
    })?;
    println!(
        "{} rows, {} tokens in {:.1} s",
        summary.written.rows,
        summary.tokens,
        summary.elapsed.as_secs_f64()
    );
    Ok(())
}
