//! A page that compares finished runs.

use std::path::{Component, Path, PathBuf};

use super::{FinishedRun, ReportSummary};
use crate::Error;
use crate::files::{FileProblem, PendingFile};
use crate::html::{ComparedRun, compare_page};
use crate::output::{OutputError, TextFile};

/// Checks that a page that compares runs is on a disk, as the directories are that its links lead to.
///
/// ```
/// use virpack_core::report::check_comparison;
///
/// assert!(check_comparison("compare.html".as_ref()).is_ok());
/// assert!(check_comparison("s3://bucket/compare.html".as_ref()).is_err());
/// ```
///
/// # Errors
///
/// For the URL of a store.
pub fn check_comparison(page: &Path) -> Result<(), Error> {
    Ok(FileProblem::refuse_url(page).map_err(OutputError::from)?)
}

/// Writes a page that compares runs, with links to their reports. It replaces an older page.
///
/// ```
/// use virpack_core::report::{FinishedRun, ReportOptions, compare, report};
///
/// # use virpack_core::CancelToken;
/// # use virpack_core::model::mini;
/// # use virpack_core::predict::{Bundle, PredictOptions, predict};
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path().join("verdicts");
/// # let built_in = Bundle::open(&mini::location())?;
/// # let inputs = vec!["../../examples/contigs.fasta".into()];
/// # let options = PredictOptions::with_bundle(inputs, &built_in, None, &directory);
/// # predict(&options, &CancelToken::new(), |_event| ())?;
/// let run = FinishedRun::open(&directory)?;
/// let judged = report(&run, &ReportOptions::of(&run))?;
/// let page = folder.path().join("compare.html");
/// compare(&page, &[(run, judged)])?;
/// assert!(std::fs::read_to_string(page)?.contains("report.html"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`check_comparison`], and if the page cannot be written.
pub fn compare(page: &Path, runs: &[(FinishedRun, ReportSummary)]) -> Result<(), Error> {
    check_comparison(page)?;
    let shown: Vec<_> = runs
        .iter()
        .map(|(run, _)| (run.directory.display().to_string(), link(page, &run.directory)))
        .collect();
    let compared = runs.iter().zip(&shown).map(|((_, judged), (name, href))| ComparedRun {
        name,
        href: href.as_deref(),
        run: &judged.run_json,
        viral: judged.run_json["options"]["min_score"].as_f64().unwrap_or_default(),
        summary: &judged.page,
    });
    let text = compare_page(env!("CARGO_PKG_VERSION"), &compared.collect::<Vec<_>>())?;
    let mut file = TextFile::create(page)?;
    file.write(&[text.as_bytes()])?;
    let mut pending: Option<PendingFile> = file.finish()?;
    let published = pending.as_mut().map_or(Ok(()), PendingFile::publish);
    Ok(published.map_err(OutputError::write(page))?)
}

/// Returns the path from a page to the report of a run in a directory; None if that is not UTF-8.
fn link(page: &Path, directory: &Path) -> Option<String> {
    let full = |path: &Path| std::path::absolute(path).and_then(|path| path.canonicalize().or(Ok(path))).ok();
    let from = full(page.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let to = full(directory)?;
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    way.join("report.html").to_str().map(|way| way.replace('\\', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_from_the_page_to_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let [page, one, deep] = ["a/page.html", "a/one", "b/c/two"].map(|name| folder.path().join(name));
        for directory in [&one, &deep] {
            std::fs::create_dir_all(directory).unwrap();
        }
        assert_eq!(link(&page, &one).unwrap(), "one/report.html");
        assert_eq!(link(&page, &deep).unwrap(), "../b/c/two/report.html");
        assert_eq!(link(Path::new("page.html"), Path::new(".")).unwrap(), "report.html");
    }
}
