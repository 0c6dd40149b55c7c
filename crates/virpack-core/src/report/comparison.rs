//! A page that compares finished runs.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::{FinishedRun, ReportProblem, ReportSummary};
use crate::Error;
use crate::files::{FileProblem, PendingFile, absent};
use crate::html::{ComparedRun, compare_page, is_comparison};
use crate::output::{OutputError, TextFile, check_apart, check_free, check_stdout_apart, is_stdout};

/// The bytes of a page that hold its title.
const HEAD: u64 = 4096;

/// Checks that a page that compares runs can be written: on a disk, under a free name or that of an earlier
/// such page.
///
/// ```
/// use virpack_core::report::check_comparison;
///
/// # let folder = tempfile::tempdir()?;
/// let page = folder.path().join("compare.html");
/// assert!(check_comparison(&page, []).is_ok());
/// std::fs::write(&page, "another file")?;
/// assert!(check_comparison(&page, []).is_err());
/// assert!(check_comparison("s3://bucket/compare.html".as_ref(), []).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// For the URL of a store, for an input or a file of the runs, for another file of that name, and if the
/// directory cannot be written to.
pub fn check_comparison<'a>(
    page: &Path,
    runs: impl IntoIterator<Item = &'a FinishedRun>,
) -> Result<(), Error> {
    FileProblem::refuse_url(page).map_err(OutputError::from)?;
    let runs: Vec<_> = runs.into_iter().collect();
    let inputs: Vec<_> = runs.iter().flat_map(|run| run.inputs.iter().cloned()).collect();
    if is_stdout(page) {
        return Ok(check_stdout_apart(&inputs)?);
    }
    check_apart([page], &inputs)?;
    check_free(page, true)?;
    let path = page.to_path_buf();
    if let Some(run) = runs.iter().find(|run| run.has_file(page)) {
        return Err(ReportProblem::PageOfRun { page: path, directory: run.directory.clone() }.into());
    }
    if absent(page).is_err() && !is_page(page) {
        return Err(ReportProblem::NoPage { page: path }.into());
    }
    PendingFile::create(page).map_err(OutputError::from)?;
    Ok(())
}

/// Returns whether a file is a page that compares runs.
fn is_page(file: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && is_comparison(&String::from_utf8_lossy(&head))
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
    check_comparison(page, runs.iter().map(|(run, _)| run))?;
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
