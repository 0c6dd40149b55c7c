//! Writes pages for the browser test, with the expected contents: `tests/browser/run.sh` calls this.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::sample::{Ids, VIRAL, page, records, run};
use crate::html::*;
use crate::verdict::Call;

/// The folder that the pages are written to.
const FOLDER: &str = "VIRPACK_BROWSER_PAGES";

#[test]
#[ignore = "writes pages into the folder that VIRPACK_BROWSER_PAGES names, for tests/browser/run.sh"]
fn write_pages_for_the_browser() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("VIRPACK_BROWSER_PAGES names a folder"));
    fs::create_dir_all(&folder).unwrap();
    for (name, count, ids) in
        [("few", 7, Ids::Plain), ("many", 100_000, Ids::Plain), ("abridged", 100_000, Ids::Random)]
    {
        fs::write(folder.join(format!("{name}.html")), page(count, ids).html).unwrap();
        write_expected(&folder.join(format!("{name}.json")), count, ids);
    }
    fs::write(folder.join("compare.html"), comparison()).unwrap();
    fs::write(folder.join("embed.html"), embeddings()).unwrap();
}

/// Writes what the page must show, derived from the records alone.
fn write_expected(path: &Path, count: u64, ids: Ids) {
    let all: Vec<_> = records(count, ids).collect();
    let descriptions = all.iter().map(|record| record.description.chars().take(80).collect::<String>());
    let called = |call| all.iter().filter(|record| record.call == call).count();
    let expected = json!({
        "records": count,
        "ids": all.iter().map(|record| &record.id).collect::<Vec<_>>(),
        "descriptions": descriptions.collect::<Vec<_>>(),
        "scores": all.iter().map(|record| record.score).collect::<Vec<_>>(),
        "lengths": all.iter().map(|record| record.length).collect::<Vec<_>>(),
        "calls": {
            "viral": called(Some(Call::Viral)),
            "uncertain": called(Some(Call::Uncertain)),
            "cellular": called(Some(Call::Cellular)),
            "unjudged": called(None),
        },
    });
    fs::write(path, expected.to_string()).unwrap();
}

fn comparison() -> String {
    let run = run();
    let mut builder = PageBuilder::new(PageOptions::new(VIRAL, 0.5));
    for record in records(50, Ids::Plain) {
        record.with(|record| builder.add(record));
    }
    let summary = builder.summary();
    let one = |name, href| ComparedRun {
        name,
        href,
        run: run.as_object().unwrap(),
        viral: VIRAL,
        summary: &summary,
    };
    let runs = [
        one("<b>one</b>", Some("a run/report.html")),
        one("two", None),
        one("three", Some("../report.html")),
    ];
    compare_page("0.1.0", &runs).unwrap()
}

/// Returns the page of 5,000 rows whose ids are those of records, some of them hostile, some duplicate.
fn embeddings() -> String {
    let mut builder = EmbedPageBuilder::new(8);
    for (i, record) in (0u32..).zip(records(5_000, Ids::Plain)) {
        let value =
            |j: u16| (i as f32 * 0.7 + f32::from(j)).sin() * f32::from(8 - j) + record.length as f32 * 1e-4;
        builder.add(&record.id, record.length, i % 1_667 == 0, &(0..8).map(value).collect::<Vec<_>>());
    }
    let run = json!({
        "virpack": "0.1.0", "output": "out/<b>proteins</b>.npy",
        "model": {"name": "virpack-mini/peptide", "sha256": "0f".repeat(32)}, "seconds": {"all": 3.2},
        "devices": [{"device": "CPU, 2 threads, AVX-512"}],
        "options": {"pool": "mean", "layer": 4, "long_records": "truncate", "max_length": 20_000},
    });
    builder.finish(run.as_object().unwrap()).unwrap()
}
