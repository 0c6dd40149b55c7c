//! The page that compares runs of `predict`.

use std::collections::BTreeSet;

use minijinja::{Value, context};
use serde_json::{Map, Value as Json};

use super::HtmlError;
use super::assets::{Data, render};
use super::facts::RunFacts;
use super::summary::Summary;

/// A run in a comparison.
#[derive(Clone, Debug)]
pub(crate) struct ComparedRun<'a> {
    /// The name of its directory.
    pub(crate) name: &'a str,
    /// The path of its `report.html` from the comparison, with `/`; None if there is no report.
    pub(crate) href: Option<&'a str>,
    /// Its `run.json`.
    pub(crate) run: &'a Map<String, Json>,
    /// The lowest score of a viral record.
    pub(crate) viral: f64,
    /// Its numbers.
    pub(crate) summary: &'a Summary,
}

/// Returns the page that compares runs, in the order given.
///
/// # Errors
/// If the `run.json` of one lacks a value that every run has.
pub(crate) fn compare_page(version: &str, runs: &[ComparedRun<'_>]) -> Result<String, HtmlError> {
    let (mut models, mut lines) = (BTreeSet::new(), BTreeSet::new());
    let mut values = Vec::new();
    for run in runs {
        let facts = RunFacts(run.run);
        let model = facts.model_name()?;
        models.insert(model);
        lines.insert(format!("{}", run.viral));
        let total = run.summary.total();
        let best = run.summary.best.as_ref();
        let best = best.map(|best| context! { id => &best.id, score => best.score, length => best.length });
        values.push(context! {
            name => run.name, href => run.href.map(relative), input => facts.title(), model => model,
            chunk_length => facts.needed_count("options.length")?, threshold => run.viral,
            virpack => facts.needed_text("virpack")?, records => total.records, bases => total.bases,
            summary => run.summary.stack(), best => best,
        });
    }
    let sum = |of: fn(&Summary) -> u64| runs.iter().map(|run| of(run.summary)).sum::<u64>();
    let context = context! {
        virpack => version, finished => (), runs => values, records => sum(|summary| summary.total().records),
        bases => sum(|summary| summary.total().bases), models => texts(models), lines => texts(lines),
    };
    render("compare.html", Data::NoScript, context)
}

/// Returns whether a page is one that [`compare_page`] has made, by its title.
pub(crate) fn is_comparison(head: &str) -> bool {
    head.contains(" runs: virpack comparison</title>")
}

fn texts<T: Into<Value>>(set: BTreeSet<T>) -> Vec<Value> {
    set.into_iter().map(Into::into).collect()
}

/// Returns a path as a relative link that no browser takes for an absolute address: characters with a
/// meaning in links are escaped, and the first name is not a scheme.
fn relative(path: &str) -> String {
    let mut link = String::from(if path.starts_with(['/', '.']) { "" } else { "./" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            link.push(char::from(byte));
        } else {
            link.push_str(&format!("%{byte:02X}"));
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::summary::{BestRecord, Count};
    use serde_json::json;

    #[test]
    fn a_link_stays_a_relative_path() {
        assert_eq!(relative("a b/report.html"), "./a%20b/report.html");
        assert_eq!(relative("javascript:alert(1)"), "./javascript%3Aalert%281%29");
        assert_eq!(relative("../é?#/report.html"), "../%C3%A9%3F%23/report.html");
    }

    #[test]
    fn runs_that_differ_are_reported() {
        let run = json!({
            "virpack": "0.1.0", "inputs": [{"path": "a/<b>.fa"}], "models": {"name": "virpack-mini"},
            "options": {"length": 500},
        });
        let best = Some(BestRecord { id: "<i>best</i>".into(), score: 0.98765, length: 1_500 });
        let summary = Summary { calls: [Count { records: 1, bases: 1_500 }; 4], best };
        let compared = |viral| ComparedRun {
            name: "<script>",
            href: Some("one/report.html"),
            run: run.as_object().unwrap(),
            viral,
            summary: &summary,
        };
        let page = compare_page("0.1.0", &[compared(0.7), compared(0.7)]).unwrap();
        assert!(page.contains("2 runs compared") && !page.contains("Not all runs are alike"), "{page}");
        assert!(
            page.contains("&lt;i&gt;best&lt;&#x2f;i&gt;") && page.contains("score 0.988, 1.5 kb"),
            "{page}"
        );
        assert!(!page.contains("<script") && page.contains("script-src 'none'"));
        let page = compare_page("0.1.0", &[compared(0.7), compared(0.8)]).unwrap();
        assert!(page.contains("The least score of a viral record differs."));
    }
}
