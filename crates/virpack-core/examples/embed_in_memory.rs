//! Loads a model once and embeds sequences in memory, without a file, any number of times, as a server
//! does.
//!
//! `cargo run --release -p virpack-core --example embed_in_memory [MODEL]`

use std::num::NonZeroUsize;

use virpack_core::seq::{Record, Records};
use virpack_core::{CancelToken, Embedder, EmbedderOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or("virpack-mini/peptide".to_owned());
    let embedder = Embedder::new(EmbedderOptions::new(model), |_event| ())?;
    println!("{} on {}: {} values", embedder.model(), embedder.devices().join(", "), embedder.hidden_size());

    // One call with all records.
    let proteins = [
        ("ubiquitin", "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"),
        ("short", "MKTLLV"),
    ];
    let records = proteins.map(|(id, letters)| Record::new(id, letters));
    for (row, values) in embedder.embed(Records::from_records("proteins", records))?.iter() {
        println!("{}\t{} residues\t{:?} ...", row.id, row.length, &values[..3]);
    }

    // Any number of records, in bounded memory: they are made while they are read.
    let repeats = (1..=5_000).map(|n| Record::new(format!("repeat_{n}"), "MK".repeat(1 + n % 200)));
    let thousand = NonZeroUsize::new(1_000).ok_or("1,000 is 0")?;
    let records = Records::from_records("repeats", repeats);
    for embeddings in embedder.stream(records, thousand, &CancelToken::new())? {
        let embeddings = embeddings?;
        println!("{} rows from {} on", embeddings.rows.len(), embeddings.rows[0].id);
    }
    Ok(())
}
