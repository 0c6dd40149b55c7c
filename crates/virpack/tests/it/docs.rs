//! README and `docs/`: every command runs and prints what the page shows, every Python block runs, every link
//! leads somewhere. `docs/style.md` has the rules for writing blocks. `DOCS=overwrite` writes what commands
//! print into the pages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::program;

/// The line above a block that is parsed and not run.
const NOT_RUN: &str = "<!-- not run: ";
/// The line above a block of text that the block before it prints.
const PRINTED: &str = "<!-- printed by the block above -->";
/// clap's last line where a command line cannot be parsed.
const UNPARSED: &str = "For more information, try '--help'";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// README and the pages of `docs/`, from the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn text(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

/// A fenced block of a page.
struct Block {
    language: String,
    /// Of its fence, from 1.
    line: usize,
    runs: bool,
    /// The block before it prints this.
    printed: bool,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut inside, mut above) = (false, "");
    let text = text(page);
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => {
                let runs = !above.starts_with(NOT_RUN);
                let language = language.trim().to_owned();
                let printed = above == PRINTED;
                blocks.push(Block { language, line: number + 1, runs, printed, text: String::new() });
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => {
                let is_indented = line.trim_start().starts_with("```");
                assert!(!is_indented, "{page}:{}: an indented block, which nothing runs", number + 1);
                above = line;
            }
        }
        if line.starts_with("```") {
            above = "";
        }
    }
    assert!(!inside, "{page}: a block does not end");
    blocks
}

/// A directory with the examples, in which `virpack` and `cargo run` are the program under test.
struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Shell {
        let folder = tempfile::tempdir().unwrap();
        let shell = Shell { folder };
        fs::create_dir(shell.path("bin")).unwrap();
        fs::create_dir(shell.path("work")).unwrap();
        let program = program();
        shell.script("virpack", &format!("exec '{program}' \"$@\""));
        // `.ci/run` builds, installs nothing, and runs README's own cargo commands.
        let cargo = format!(
            "case \"$1\" in run) while [ \"$1\" != -- ]; do shift; done; shift; exec '{program}' \"$@\";; \
             test) ;; *) echo \"cargo $1 is not known to this test\" >&2; exit 1;; esac"
        );
        shell.script("cargo", &cargo);
        let copied = Command::new("cp")
            .args(["-r", root().join("examples").to_str().unwrap(), "."])
            .current_dir(shell.path("work"))
            .status();
        assert!(copied.unwrap().success());
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a program in the directory, off the network and without cards; `path` is where its commands are found.
    fn run(&self, program: &str, arguments: &[&str], path: &str) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.path("work"))
            .env("PATH", path)
            .env("HF_HOME", self.path("cache"))
            .env("HF_HUB_OFFLINE", "1")
            .env("CUDA_VISIBLE_DEVICES", "")
            .env_remove("HF_HUB_CACHE")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn with_all_commands(&self) -> String {
        format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap())
    }
}

fn shown(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_command_of_the_documentation_runs() {
    for page in pages() {
        let shell = Shell::new();
        let (mut printed, mut renewed) = (None, Vec::new());
        for block in blocks(&page).iter().filter(|block| block.runs) {
            let place = format!("{page}:{}", block.line);
            match &*block.language {
                "sh" => {
                    let path = shell.with_all_commands();
                    let ran = shell.run("bash", &["-euo", "pipefail", "-c", &block.text], &path);
                    assert!(ran.status.success(), "{place}: {}", shown(&ran));
                    printed = Some(String::from_utf8(ran.stdout).unwrap());
                }
                "python" => {
                    printed = python(&shell, block, &place);
                    // What follows may read what the block would have written.
                    if printed.is_none() && std::env::var_os("DOCS_PYTHON").is_none() {
                        eprintln!("{place}: and the blocks after it");
                        break;
                    }
                }
                "text" if block.printed => {
                    // What a skipped block would have printed is not known.
                    let Some(printed) = printed.as_deref() else { continue };
                    if std::env::var("DOCS").is_ok_and(|word| word == "overwrite") {
                        renewed.push((block.line, block.text.lines().count(), aligned(printed)));
                    } else {
                        assert_eq!(words(&block.text), words(printed), "{place}: DOCS=overwrite renews it");
                    }
                }
                // The doctests of the library's crate.
                "rust" => assert_eq!(page, "docs/reference/library.md", "{place}: no doctest reads this"),
                "text" => (),
                other => panic!("{place}: a block of {other:?}, which nothing runs"),
            }
        }
        rewrite(&page, &renewed);
    }
}

/// The words of each line: columns are compared, not the blanks between them.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// A text whose lines have TABs, with columns of one width each.
fn aligned(text: &str) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max();
    let mut aligned = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(i, cell)| format!("{cell:0$}", width(i).unwrap_or(0)));
        aligned.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        aligned.push('\n');
    }
    aligned
}

/// Puts texts into blocks of a page: each has the line of the block's fence, from 1, its lines so far, and
/// the new text.
fn rewrite(page: &str, renewed: &[(usize, usize, String)]) {
    let text = text(page);
    let mut lines: Vec<&str> = text.lines().collect();
    for (fence, count, new) in renewed.iter().rev() {
        lines.splice(*fence..fence + count, new.lines());
    }
    if !renewed.is_empty() {
        fs::write(root().join(page), lines.join("\n") + "\n").unwrap();
    }
}

/// Runs a block that needs packages, where these are installed, and returns what it prints.
fn python(shell: &Shell, block: &Block, place: &str) -> Option<String> {
    let path = shell.with_all_commands();
    let python = std::env::var("DOCS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports: Vec<_> =
        block.text.lines().filter(|line| line.starts_with("import ") || line.starts_with("from ")).collect();
    // pandas reads Parquet by pyarrow.
    let parquet = if block.text.contains("read_parquet") { "\nimport pyarrow" } else { "" };
    let probe = Command::new(&python).args(["-c", &format!("{}{parquet}", imports.join("\n"))]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        // PyTorch is 6 GB; where it or Ray is installed, `python/tests` runs such a block.
        let is_optional = ["virpack.torch", "virpack.ray"].iter().any(|name| block.text.contains(name));
        let is_optional = is_optional || std::env::var_os("DOCS_PYTHON").is_none();
        assert!(is_optional, "{place}: {python} lacks a package");
        eprintln!("{place}: skipped, {python} lacks one of: {}", imports.join("; "));
        return None;
    }
    let ran = shell.run(&python, &["-c", &block.text], &path);
    assert!(ran.status.success(), "{place}: {}", shown(&ran));
    Some(String::from_utf8(ran.stdout).unwrap())
}

/// Blocks that need a download, a card or another machine: no option in them is unknown. Only `virpack` can be run there.
#[test]
fn every_command_that_is_not_run_is_parsed() {
    let mut parsed = 0;
    for page in pages() {
        let shell = Shell::new();
        fs::remove_file(shell.path("bin/cargo")).unwrap();
        // An input that is not there ends each run before it begins.
        fs::remove_dir_all(shell.path("work/examples")).unwrap();
        let program = program();
        let log = shell.path("log");
        let log = log.display();
        shell
            .script("virpack", &format!("echo \"virpack $*\" >>'{log}'; exec '{program}' \"$@\" 2>>'{log}'"));
        for block in blocks(&page).iter().filter(|block| !block.runs) {
            let place = format!("{page}:{}", block.line);
            let text = match &*block.language {
                "sh" => block.text.replace("exec virpack", "virpack").replace("--wrap 'virpack", "; virpack"),
                // A script in a pipeline: its variables are the pipeline's.
                "groovy" => commands_of_groovy(&block.text),
                // No R in CI, and nothing that takes minutes.
                "r" | "python" => continue,
                other => panic!("{place}: a block of {other:?}, which nothing parses"),
            };
            let text = format!(
                "export SLURM_ARRAY_TASK_ID=1\n{}",
                text.replace("-o emb.parquet'", "-o emb.parquet")
            );
            let bash = Command::new("sh").args(["-c", "command -v bash"]).output().unwrap();
            let bash = String::from_utf8(bash.stdout).unwrap();
            let path = shell.path("bin");
            shell.run(bash.trim(), &["-c", &text], path.to_str().unwrap());
        }
        let said = fs::read_to_string(shell.path("log")).unwrap_or_default();
        assert!(!said.contains(UNPARSED) && !said.contains("panicked"), "{page}: {said}");
        let named = blocks(&page)
            .iter()
            .filter(|block| !block.runs && ["sh", "groovy"].contains(&&*block.language))
            .map(|b| count_of_commands(&b.text))
            .sum::<usize>();
        let ran = said.lines().filter(|line| line.starts_with("virpack ")).count();
        assert_eq!(ran, named, "{page}: {said}");
        parsed += ran;
    }
    assert!(parsed >= 10, "{parsed}");
}

/// The lines of a Nextflow script that run `virpack`, with 1 for each of its variables.
fn commands_of_groovy(text: &str) -> String {
    let mut commands = String::new();
    for line in text.lines().map(str::trim).filter(|line| line.starts_with("virpack ")) {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('$') {
            let end = match after.strip_prefix('{') {
                Some(name) => name.find('}').unwrap() + 2,
                None => after.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(after.len()),
            };
            commands.push_str(before);
            commands.push('1');
            rest = &after[end..];
        }
        commands.push_str(rest);
        commands.push('\n');
    }
    commands
}

/// Commands of `virpack` in a block.
fn count_of_commands(text: &str) -> usize {
    let starts =
        |line: &&str| ["virpack ", "exec virpack "].iter().any(|start| line.trim().starts_with(start));
    text.lines().filter(starts).count() + text.matches("--wrap 'virpack ").count()
}

#[test]
fn every_link_leads_somewhere() {
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "BENCHMARKS.md", "CHANGELOG.md", "SECURITY.md"];
    let others =
        others.into_iter().chain(["crates/virpack-model/virpack-mini/README.md", "training/README.md"]);
    let pages = pages().into_iter().chain(others.map(str::to_owned));
    let mut checked = 0;
    for page in pages {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in links(&prose(&page)) {
            checked += 1;
            if link.starts_with("https://") {
                assert!(link.len() > 12 && !link.contains(' '), "{page}: {link}");
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { root().join(&page) } else { folder.join(path) };
            assert!(target.exists(), "{page}: {link} does not exist");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let anchors: Vec<_> = text.lines().filter(|line| line.starts_with('#')).map(slug).collect();
                assert!(anchors.iter().any(|known| known == anchor), "{page}: {link} among {anchors:?}");
            }
        }
    }
    assert!(checked > 40, "{checked}");
}

/// A page without its blocks and its code.
fn prose(page: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text(page).lines() {
        inside ^= line.starts_with("```");
        if !inside {
            // Code between backticks holds no links.
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// The targets of `[text](target)` and `![text](target)`.
fn links(text: &str) -> Vec<String> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let name: String = heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
    name.replace(' ', "-")
}

#[test]
fn readme_is_short_and_its_two_commands_come_first() {
    let readme = text("README.md");
    let words = readme.split_whitespace().count();
    assert!(words <= 750, "README has {words} words");
    let first = |section: &str| {
        let section = readme.split_once(&format!("\n## {section}\n")).unwrap().1;
        section.split_once("```sh\n").unwrap().1.lines().next().unwrap().to_owned()
    };
    assert!(first("Try it").starts_with("cargo run --release --locked -- predict "));
    assert_eq!(first("Test it"), "cargo test --workspace --locked");
}

#[test]
fn a_report_names_the_weakness_of_the_built_in_model_as_readme_does() {
    let readme = text("README.md");
    let row = readme.lines().find(|line| line.starts_with("| AUROC, phages against bacteria |")).unwrap();
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    let (long, short) = (cells[2], cells[3]);
    let stated = format!("AUROC {{{{ \"{long}\" if model.chunk_length == 500 else \"{short}\" }}}}");
    let header = text("crates/virpack-core/src/html/partials/header.html");
    assert!(header.contains(&stated), "crates/virpack-core/src/html/partials/header.html lacks {stated}");
}

#[test]
fn the_picture_is_drawn_by_its_script_and_small() {
    let picture = fs::read(root().join("docs/track.svg")).unwrap();
    assert!(picture.starts_with(b"<svg") && picture.len() < 200_000);
    let shell = Shell::new();
    let drawn = shell.run(
        "bash",
        &[
            "-euc",
            "virpack predict examples/metagenome.fasta -o v --plot --device cpu -q; cat v/plots/000004_*.svg",
        ],
        &shell.with_all_commands(),
    );
    assert!(drawn.status.success(), "{}", shown(&drawn));
    assert!(drawn.stdout == picture, "docs/track.svg is not what dev/track.sh draws: run it again");
}
