//! The facts that a page takes from `run.json`.

use minijinja::{Value, context};
use serde_json::{Map, Value as Json};

use super::HtmlError;

/// A run's `run.json`.
#[derive(Clone, Copy)]
pub(super) struct RunFacts<'a>(pub(super) &'a Map<String, Json>);

impl<'a> RunFacts<'a> {
    /// Returns the value at a path of names, unless it is missing or null.
    pub(super) fn find(&self, path: &str) -> Option<&'a Json> {
        let mut names = path.split('.');
        let first = self.0.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name)).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        self.find(path)?.as_str()
    }

    pub(super) fn needed_text(&self, path: &'static str) -> Result<&'a str, HtmlError> {
        self.text(path).ok_or(HtmlError::Fact { path })
    }

    pub(super) fn needed_number(&self, path: &'static str) -> Result<f64, HtmlError> {
        self.find(path).and_then(Json::as_f64).ok_or(HtmlError::Fact { path })
    }

    pub(super) fn count(&self, path: &str) -> Option<u64> {
        self.find(path)?.as_u64()
    }

    pub(super) fn needed_count(&self, path: &'static str) -> Result<u64, HtmlError> {
        self.count(path).ok_or(HtmlError::Fact { path })
    }

    fn list(&self, path: &str) -> &'a [Json] {
        self.find(path).and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of the inputs.
    pub(super) fn inputs(&self) -> Vec<String> {
        let paths = self.list("inputs").iter().filter_map(|input| input["path"].as_str());
        paths
            .map(|path| if path == "-" { "standard input".to_owned() } else { file_name(path).to_owned() })
            .collect()
    }

    /// Returns the inputs in a few words.
    pub(super) fn title(&self) -> String {
        match self.inputs().as_slice() {
            [] => "no input".to_owned(),
            [one] => one.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        }
    }

    /// Returns the inputs, with size and hash if these are known.
    pub(super) fn input_files(&self) -> Vec<Value> {
        let file = |(name, input): (String, &Json)| {
            context! { name => name, bytes => input["bytes"].as_u64(), sha256 => input["sha256"].as_str() }
        };
        self.inputs().into_iter().zip(self.list("inputs")).map(file).collect()
    }

    /// Returns the name of the model, or of its classifier's file.
    pub(super) fn model_name(&self) -> Result<&'a str, HtmlError> {
        match self.text("models.name") {
            Some(name) => Ok(name),
            None => Ok(file_name(self.needed_text("models.classifier")?)),
        }
    }

    /// Returns the models of `predict`.
    pub(super) fn model(&self, is_calibrated: bool) -> Result<Value, HtmlError> {
        let name = self.model_name()?;
        let kind = match name.to_lowercase() {
            lower if lower.contains("virpack-mini") => "mini",
            lower if lower.contains("virnucpro") => "virnucpro",
            _ => "other",
        };
        let file = |file: &Json| {
            let text = |name: &str| file[name].as_str().unwrap_or("not known").to_owned();
            let bytes = file["bytes"].as_u64().unwrap_or(0);
            context! { name => text("path"), bytes => bytes, sha256 => text("sha256") }
        };
        let files: Vec<Value> = self.list("models.files").iter().map(file).collect();
        Ok(context! {
            name => name, kind => kind, calibrated => is_calibrated,
            chunk_length => self.needed_count("options.length")?,
            protein => self.needed_text("models.protein")?,
            nucleotide => self.needed_text("models.nucleotide")?,
            files => files,
        })
    }

    /// Returns time, rates, devices and options.
    pub(super) fn run(&self) -> Result<Value, HtmlError> {
        let device = |device: &Json| {
            let text = |name: &str| device[name].as_str().unwrap_or("not known").to_owned();
            let number = |name: &str| device[name].as_f64().unwrap_or(0.0);
            context! {
                name => text("device"), model => text("model"),
                tokens_per_second => number("tokens_per_second"),
                packing => number("packing_efficiency"),
            }
        };
        let devices: Vec<Value> = self.list("devices").iter().map(device).collect();
        let options = self.find("options").and_then(Json::as_object).into_iter().flatten();
        let options = options.filter(|(_, value)| !value.is_null()).map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            context! { name => name.replace('_', " "), value => value }
        });
        let options: Vec<Value> = options.collect();
        Ok(context! {
            seconds => self.needed_number("seconds.all")?,
            bases_per_second => self.find("rates.bases_per_second").and_then(Json::as_f64).unwrap_or(0.0),
            parts => self.count("plan.parts"), memory => self.count("memory"),
            genetic_code => self.needed_count("options.genetic_code")?,
            devices => devices, options => options,
        })
    }
}

/// Returns the last name of a Unix or Windows path.
pub(super) fn file_name(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_title_names_the_inputs() {
        let title = |paths: &[&str]| {
            let inputs: Vec<_> = paths.iter().map(|path| json!({"path": path})).collect();
            let run = json!({"inputs": inputs});
            RunFacts(run.as_object().unwrap()).title()
        };
        assert_eq!(title(&["-"]), "standard input");
        assert_eq!(title(&["a/b.fasta"]), "b.fasta");
        assert_eq!(title(&["a/b.fasta", r"C:\c.fa", "d"]), "b.fasta and 2 more");
    }

    #[test]
    fn a_fact_that_is_missing_is_named() {
        let run = json!({"models": {"name": null, "classifier": "x/virnucpro.pth"}, "options": {}});
        let facts = RunFacts(run.as_object().unwrap());
        assert_eq!(facts.model_name().unwrap(), "virnucpro.pth");
        assert_eq!(facts.model(false).unwrap_err().to_string(), "run.json lacks `options.length`");
    }
}
