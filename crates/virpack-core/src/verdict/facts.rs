//! Reads the data file of a calibration, strictly.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The problem of a calibration file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CalibrationError {
    /// The text is not JSON.
    #[error("the calibration of records is not JSON: {0}")]
    NotJson(String),
    /// A value that is missing, or one that must not exist.
    #[error("the calibration of records, {place}: {what}")]
    Malformed {
        /// Names of members from the outermost, joined by dots.
        place: String,
        /// What was found and what was expected.
        what: String,
    },
}

impl virpack_seq::Hint for CalibrationError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some("make the file with training/verdicts.py, or take the one that came with the model".into())
    }
}

/// A JSON object from which members are removed one by one. Members that remain at the end are an error.
pub(super) struct JsonMembers {
    place: String,
    members: Map<String, Value>,
}

impl JsonMembers {
    pub(super) fn parse(text: &str) -> Result<Self, CalibrationError> {
        let value = serde_json::from_str(text).map_err(|e| CalibrationError::NotJson(e.to_string()))?;
        JsonMembers::of(value, "the file".to_owned())
    }

    fn of(value: Value, place: String) -> Result<Self, CalibrationError> {
        match value {
            Value::Object(members) => Ok(JsonMembers { place, members }),
            _ => Err(malformed(&place, "an object is expected")),
        }
    }

    /// Returns an error at this object.
    pub(super) fn error(&self, what: impl Into<String>) -> CalibrationError {
        malformed(&self.place, what)
    }

    fn within(&self, name: &str) -> String {
        if self.place == "the file" { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn value(&mut self, name: &str) -> Result<Value, CalibrationError> {
        self.members.remove(name).ok_or_else(|| malformed(&self.within(name), "it is missing"))
    }

    /// Removes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<JsonMembers, CalibrationError> {
        JsonMembers::of(self.value(name)?, self.within(name))
    }

    /// Removes text that only people read.
    pub(super) fn text(&mut self, name: &str) -> Result<String, CalibrationError> {
        let value = self.value(name)?;
        value.as_str().map(str::to_owned).ok_or_else(|| malformed(&self.within(name), "a text is expected"))
    }

    /// Removes a finite number.
    pub(super) fn number(&mut self, name: &str) -> Result<f64, CalibrationError> {
        let value = self.value(name)?;
        value.as_f64().ok_or_else(|| malformed(&self.within(name), "a number is expected"))
    }

    /// Removes a list of numbers.
    pub(super) fn numbers(&mut self, name: &str) -> Result<Vec<f64>, CalibrationError> {
        let (value, place) = (self.value(name)?, self.within(name));
        numbers(&value).ok_or_else(|| malformed(&place, "a list of numbers is expected"))
    }

    /// Removes a list of lists of numbers.
    pub(super) fn rows(&mut self, name: &str) -> Result<Vec<Vec<f64>>, CalibrationError> {
        let (value, place) = (self.value(name)?, self.within(name));
        let rows = value.as_array().and_then(|rows| rows.iter().map(numbers).collect());
        rows.ok_or_else(|| malformed(&place, "a list of lists of numbers is expected"))
    }

    /// Returns the names of the remaining members, in alphabetical order.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Ends the object: every member must have been removed.
    pub(super) fn finish(self) -> Result<(), CalibrationError> {
        match self.members.keys().next() {
            Some(name) => Err(malformed(&self.within(name), "it is not known")),
            None => Ok(()),
        }
    }
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}

fn malformed(place: &str, what: impl Into<String>) -> CalibrationError {
    CalibrationError::Malformed { place: place.to_owned(), what: what.into() }
}
