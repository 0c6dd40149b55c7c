//! The file that MultiQC reads: a bar of calls for each run.

use serde_json::json;

use super::HtmlError;
use super::facts::{RunFacts, file_name};
use super::page::PageOptions;
use super::record::CALLS;
use super::summary::Summary;

/// The colours of the page for a light background.
const COLOURS: [&str; 4] = ["#c4491a", "#dfa21b", "#2d6ca6", "#b3b7bc"];

/// Returns custom content for MultiQC 1.35. It joins the maps of files with one id, so that `data` is not a
/// list.
pub(super) fn file(
    facts: RunFacts<'_>,
    options: &PageOptions,
    summary: &Summary,
) -> Result<String, HtmlError> {
    let category = |(call, colour): (&str, &str)| {
        let name = if call == "unjudged" { "not judged" } else { call };
        (call.to_owned(), json!({"name": name, "color": colour}))
    };
    let categories: serde_json::Map<_, _> = CALLS.into_iter().zip(COLOURS).map(category).collect();
    let counts = CALLS.into_iter().zip(summary.calls);
    let counts: serde_json::Map<_, _> =
        counts.map(|(call, count)| (call.to_owned(), json!(count.records))).collect();
    let content = json!({
        "id": "virpack_calls",
        "section_name": "virpack",
        "section_href": "https://github.com/virpack/virpack",
        "description": format!(
            "Records by what virpack calls them: viral from a virus_score of {}, uncertain from {}.",
            options.viral, options.uncertain
        ),
        "plot_type": "bargraph",
        "pconfig": {
            "id": "virpack_calls_plot", "title": "virpack: calls", "ylab": "Records",
            "cpswitch_counts_label": "Records",
        },
        "categories": categories,
        "data": {sample(facts, options): counts},
    });
    Ok(serde_json::to_string_pretty(&content).map_err(HtmlError::Json)? + "\n")
}

/// Returns the input's file name without its extension, or with several inputs the name of the run
/// directory.
fn sample(facts: RunFacts<'_>, options: &PageOptions) -> String {
    let inputs = facts.inputs();
    let name = match inputs.as_slice() {
        [one] => {
            let plain =
                [".gz", ".bz2", ".xz", ".zst"].iter().find_map(|end| one.strip_suffix(end)).unwrap_or(one);
            plain.rsplit_once('.').map_or(plain, |(stem, _)| stem)
        }
        _ => file_name(options.directory.as_deref().or(facts.text("output")).unwrap_or("virpack")),
    };
    let is_kept = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    let name: String = name.chars().map(|c| if is_kept(c) { c } else { '_' }).collect();
    if name.is_empty() { "virpack".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::summary::Count;
    use serde_json::Value;

    #[test]
    fn a_sample_has_four_counts_and_a_plain_name() {
        let run = json!({"inputs": [{"path": "a/soil <1>.fasta.gz"}]});
        let calls = [4, 3, 2, 1].map(|records| Count { records, bases: 0 });
        let summary = Summary { calls, best: None };
        let text = file(RunFacts(run.as_object().unwrap()), &PageOptions::new(0.7, 0.5), &summary).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            file["data"],
            json!({"soil__1_": {"viral": 4, "uncertain": 3, "cellular": 2, "unjudged": 1}})
        );
        assert_eq!((&file["id"], &file["plot_type"]), (&json!("virpack_calls"), &json!("bargraph")));
        let categories: Vec<_> = file["categories"].as_object().unwrap().keys().collect();
        let counts: Vec<_> = file["data"]["soil__1_"].as_object().unwrap().keys().collect();
        assert_eq!(categories, counts);
        assert!(file["description"].as_str().unwrap().contains("0.7, uncertain from 0.5"));
    }

    #[test]
    fn several_inputs_have_the_name_of_the_run() {
        let run = json!({"inputs": [{"path": "a"}, {"path": "b"}], "output": "runs/soil/"});
        assert_eq!(sample(RunFacts(run.as_object().unwrap()), &PageOptions::new(0.7, 0.5)), "soil");
    }
}
