//! The templates, the style and the script of all pages, and how they are rendered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};

use super::{HtmlError, filters};

const STYLE: &str = concat!("\n", include_str!("style.css"));

/// In strict mode, and without names in the page's own scope.
const SCRIPT: &str = concat!(
    "\n(() => {\n\"use strict\";\n",
    include_str!("js/data.js"),
    include_str!("js/line.js"),
    include_str!("js/scatter.js"),
    include_str!("js/table.js"),
    include_str!("js/main.js"),
    "})();\n"
);

macro_rules! templates {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!($name))),*] };
}

const TEMPLATES: [(&str, &str); 16] = templates![
    "base.html",
    "compare.html",
    "embed.html",
    "report.html",
    "partials/expectation.html",
    "partials/glossary.html",
    "partials/header.html",
    "partials/macros.html",
    "partials/methods.html",
    "partials/proviruses.html",
    "partials/records.html",
    "partials/run.html",
    "partials/scores.html",
    "partials/summary.html",
    "partials/tracks.html",
    "partials/unjudged.html",
];

/// The data of a page's script.
pub(super) enum Data<'a> {
    /// A page without script.
    NoScript,
    /// The packed data block.
    Block(&'a str),
}

/// Fills the template `name`. An undefined name is an error, and every value is escaped.
pub(super) fn render(name: &str, data: Data<'_>, context: Value) -> Result<String, HtmlError> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(syntax);
    filters::add(&mut env);
    for (name, source) in TEMPLATES {
        env.add_template(name, source)?;
    }
    let assets = assets(data);
    Ok(env.get_template(name)?.render(context! { assets, ..context })?)
}

/// Returns the style and the script with the hashes that the page's Content-Security-Policy allows, and the
/// data.
fn assets(data: Data<'_>) -> Value {
    let (script, data) = match data {
        Data::NoScript => (None, None),
        Data::Block(data) => (Some(SCRIPT), Some(data)),
    };
    context! {
        style => STYLE, style_hash => hash(STYLE), script => script, script_hash => script.map(hash),
        data => data,
    }
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_file_is_part_of_the_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/html");
        let mut files = Vec::new();
        for (prefix, folder) in [("", folder.clone()), ("partials/", folder.join("partials"))] {
            let names = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap());
            files.extend(names.filter(|name| name.ends_with(".html")).map(|name| format!("{prefix}{name}")));
        }
        files.sort();
        let mut known: Vec<_> = TEMPLATES.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort();
        assert_eq!(known, files);
    }

    #[test]
    fn a_name_that_is_missing_is_an_error() {
        let error = render("report.html", Data::NoScript, context! {}).unwrap_err();
        assert!(error.to_string().contains("undefined"), "{error}");
    }
}
