//! Pages of synthetic runs.

mod browser;
mod sample;

use std::io::Read as _;

use crate::verdict::{Call, RegionKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use sample::{Ids, page, records, run};

/// Returns the text between two others, after which nothing of the input can occur unescaped.
fn between<'a>(html: &'a str, before: &str, after: &str) -> &'a str {
    html.split_once(before).unwrap_or_else(|| panic!("no {before}")).1.split_once(after).unwrap().0
}

/// The data block of a page.
fn data(html: &str) -> Value {
    let block = between(html, r#"<script type="application/gzip" id="data">"#, "</script>");
    let mut json = String::new();
    let bytes = STANDARD.decode(block).unwrap();
    flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn lines(value: &Value) -> Vec<&str> {
    value.as_str().unwrap().split('\n').collect()
}

#[test]
fn ids_and_descriptions_that_look_like_markup_stay_text() {
    let html = page(7, Ids::Plain).html;
    assert_eq!(html.matches("<script").count(), 2, "the data and the script");
    for markup in
        ["<img", "<svg/onload", "\"onmouseover=", "<i>made up", "<!-- <script", "href=\"javascript:"]
    {
        assert!(!html.contains(markup), "{markup} is in the page");
    }
    let shown =
        ["&lt;&#x2f;script&gt;&lt;img&#x2f;src=x", "{{7*7}}{%raw%}${7*7}", "&amp;lt;b&amp;gt; &amp;amp;amp;"];
    for text in shown {
        assert!(html.contains(text), "{text} is not in the page");
    }
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else() {
    let html = page(7, Ids::Plain).html;
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let style = hash(between(&html, "<style>", "</style>"));
    let script = hash(between(&html, "<script>", "</script>"));
    let policy = between(&html, "Content-Security-Policy\" content=\"", "\"").replace("&#x2f;", "/");
    assert!(
        policy.starts_with(&format!("default-src 'none'; style-src {style}; script-src {script}; ")),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
}

#[test]
fn the_data_block_has_every_record_and_the_histogram_of_all() {
    let count = 1_500;
    let data = data(&page(count, Ids::Plain).html);
    let all: Vec<_> = records(count, Ids::Plain).collect();
    let rows = &data["rows"];
    assert_eq!(lines(&rows["ids"]), all.iter().map(|record| &*record.id).collect::<Vec<_>>());
    let cut: Vec<String> = all.iter().map(|record| record.description.chars().take(80).collect()).collect();
    assert_eq!(lines(&rows["descriptions"]), cut);
    let scores: Vec<_> =
        all.iter().map(|r| r.score.map_or(-1, |score| (score * 10_000.0).round() as i64)).collect();
    assert_eq!(rows["score"], json!(scores));
    assert_eq!(rows["length"], json!(all.iter().map(|record| record.length).collect::<Vec<_>>()));
    assert_eq!(rows["record"], Value::Null);
    let calls: String =
        all.iter().map(|r| r.call.map_or('-', |call| ['v', 'u', 'c'][call as usize])).collect();
    assert_eq!(rows["call"], json!(calls));
    let histogram = data["histogram"]["records"].as_array().unwrap();
    for line in [0usize, 1, 500, 700, 1_000] {
        let above: u64 = histogram[line..].iter().map(|count| count.as_u64().unwrap()).sum();
        let reached =
            |record: &&sample::Sample| record.score.is_some_and(|score| score >= line as f64 / 1_000.0);
        assert_eq!(above, all.iter().filter(reached).count() as u64, "at {line}");
    }
    assert_eq!(data["totals"]["records"], count);
    let viral: Vec<u64> = all.iter().filter(|r| r.call == Some(Call::Viral)).map(|r| r.length).collect();
    assert_eq!(data["viral"], json!({"records": viral.len(), "bases": viral.iter().sum::<u64>()}));
    assert_eq!(data["rates"]["recall"].as_array().unwrap().len(), 1_001);
}

#[test]
fn a_page_of_100_000_records_of_random_ids_stays_below_its_limit() {
    let count = 100_000;
    let began = std::time::Instant::now();
    let html = page(count, Ids::Random).html;
    eprintln!("{} bytes in {:.1} s", html.len(), began.elapsed().as_secs_f64());
    assert!(html.len() < 5_000_000, "{} bytes", html.len());
    let data = data(&html);
    assert_eq!(data["totals"]["records"], count);
    let kept = data["rows"]["score"].as_array().unwrap();
    assert!((60_000..count as usize).contains(&kept.len()), "{} rows", kept.len());
    // The best records are kept.
    let best = |scores: &mut dyn Iterator<Item = Option<i64>>| {
        let mut scores: Vec<_> = scores.flatten().collect();
        scores.sort_unstable();
        scores.split_off(scores.len() - kept.len())
    };
    let all = best(
        &mut records(count, Ids::Random).map(|r| r.score.map(|score| (score * 10_000.0).round() as i64)),
    );
    assert_eq!(best(&mut kept.iter().map(Value::as_i64)), all);
    let rows = data["rows"]["record"].as_array().unwrap();
    assert!(rows.windows(2).all(|pair| pair[0].as_u64() < pair[1].as_u64()), "the order of the input");
    assert_eq!(lines(&data["rows"]["ids"]).len(), kept.len());
}

#[test]
fn headers_of_a_megabyte_do_not_make_the_page_long() {
    let long = "<&\"".repeat(300_000);
    let chunk = PageChunk { bases: 0..500, scores: Some([0.1, 0.9]), posterior: Some(0.9), frames: &[] };
    let chunks = [chunk.clone(), chunk];
    let regions: Vec<_> =
        (0..30).map(|_| PageRegion { bases: 0..500, kind: RegionKind::Viral, score: 9.0 }).collect();
    let mut builder = PageBuilder::new(PageOptions::new(0.7, 0.5));
    for _ in 0..300 {
        builder.add(&PageRecord {
            id: &long,
            description: &long,
            length: 1_000,
            call: Some(Call::Viral),
            status: "classified",
            score: Some(0.9),
            chunks: &chunks,
            chunks_classified: 2,
            chunks_viral: 2,
            regions: &regions,
            ..PageRecord::default()
        });
    }
    let html = builder.finish(run().as_object().unwrap(), None).unwrap().html;
    assert!(html.len() < 5_000_000, "{} bytes", html.len());
    assert_eq!(data(&html)["rows"]["score"].as_array().unwrap().len(), 300);
    let tracks = html.matches("id=\"track-").count();
    assert!((1..200).contains(&tracks), "{tracks} tracks");
    assert_eq!(html.matches("href=\"#track-").count(), tracks, "links lead to tracks that exist");
}

#[test]
fn a_run_without_records_or_rates_has_a_page() {
    let builder = PageBuilder::new(PageOptions::new(0.7, 0.5));
    assert_eq!(builder.summary(), Summary::default());
    let page = builder.finish(run().as_object().unwrap(), None).unwrap();
    assert!(
        page.html.contains("virpack has no rates measured")
            && page.html.contains("Every record has a verdict.")
    );
    assert_eq!(data(&page.html)["rates"], Value::Null);
    assert!(serde_json::from_str::<Value>(&page.multiqc).unwrap()["data"].is_object());
}

#[test]
fn a_score_that_is_not_a_number_is_missing() {
    let mut builder = PageBuilder::new(PageOptions::new(0.7, 0.5));
    let chunk =
        PageChunk { bases: 0..500, scores: Some([f32::NAN; 2]), posterior: Some(f32::NAN), frames: &[] };
    builder.add(&PageRecord {
        id: "a",
        score: Some(f64::NAN),
        fdr: Some(f64::INFINITY),
        call: Some(Call::Viral),
        chunks: &[chunk.clone(), chunk],
        ..PageRecord::default()
    });
    let data = data(&builder.finish(run().as_object().unwrap(), None).unwrap().html);
    assert_eq!(data["rows"]["score"], json!([-1]));
}

#[test]
fn numbers_read_as_people_write_them() {
    let mut builder = PageBuilder::new(PageOptions::new(0.7, 0.5));
    let record = PageRecord {
        id: "a",
        length: 1_234_567,
        call: Some(Call::Viral),
        status: "classified",
        score: Some(0.91),
        ..PageRecord::default()
    };
    builder.add(&record);
    builder.add(&PageRecord { id: "b", length: 0, status: "empty", ..PageRecord::default() });
    let html = builder.finish(run().as_object().unwrap(), None).unwrap().html;
    let texts = [
        "1,234,567",
        "1.2 Mb, 100 % of bases",
        "50 % of records",
        "0.910",
        "31 min 31 s",
        "119 kb a second",
        "123 MB",
    ];
    for text in texts {
        assert!(html.contains(text), "no {text}");
    }
    assert!(html.contains("A header without bases"));
}

#[test]
fn inputs_are_named_where_there_are_several() {
    let mut builder = PageBuilder::new(PageOptions::new(0.7, 0.5));
    for source in ["a.fa", "b.fa", "a.fa"] {
        builder.add(&PageRecord { id: "x", source: Some(source), ..PageRecord::default() });
    }
    let data = data(&builder.finish(run().as_object().unwrap(), None).unwrap().html);
    assert_eq!(
        (&data["rows"]["sources"], &data["rows"]["source"]),
        (&json!(["a.fa", "b.fa"]), &json!([0, 1, 0]))
    );
}

#[test]
fn a_run_json_of_something_else_is_an_error_with_a_hint() {
    let builder = PageBuilder::new(PageOptions::new(0.7, 0.5));
    let error = builder.finish(json!({"virpack": "0.1.0"}).as_object().unwrap(), None).unwrap_err();
    assert!(matches!(error, HtmlError::Fact { .. }), "{error}");
    assert!(error.hint().is_some());
}
