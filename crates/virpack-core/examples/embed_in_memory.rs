//! Embeds sequences that are in memory, on the CPU, without a file.
//!
//! `cargo run --release -p virpack-core --example embed_in_memory`

use virpack_core::seq::Records;
use virpack_core::{EmbedOptions, embed_records};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proteins = [
        ("ubiquitin", "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"),
        ("short", "MKTLLV"),
    ];
    let fasta: String = proteins.iter().map(|(id, letters)| format!(">{id}\n{letters}\n")).collect();
    let records = Records::from_reader("proteins", std::io::Cursor::new(fasta))?;
    // Nothing is read and nothing is written, so that there are no inputs and no output to name.
    let options = EmbedOptions::new(Vec::new(), "virpack-mini/peptide", "");
    for (row, embedding) in embed_records(records, &options)? {
        println!(
            "{}\t{} residues\t{} values\t{:?} ...",
            row.id,
            row.length,
            embedding.len(),
            &embedding[..3]
        );
    }
    Ok(())
}
