//! Checks whether a licence expression can be met.

use std::collections::BTreeSet;

/// Returns whether the allowed licences meet an SPDX expression of `OR`, `AND`, `WITH` and parentheses (and
/// the old `/` for `OR`).
pub(crate) fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let result = any(&mut words, allowed);
    result && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        result |= all(words, allowed);
    }
    result
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    match words.next() {
        Some("(") => {
            let result = any(words, allowed);
            result && words.next() == Some(")")
        }
        Some(licence) => match words.next_if_eq(&"WITH") {
            // A licence with an exception is listed separately.
            Some(_) => {
                words.next().is_some_and(|exception| allowed.contains(&format!("{licence} WITH {exception}")))
            }
            None => allowed.contains(licence),
        },
        None => false,
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    let met = |expression: &str| is_allowed(expression, &allowed);
    for good in
        ["MIT", "MIT/Apache-2.0", "GPL-2.0 OR MIT", "(MIT OR GPL-2.0) AND ISC", "GPL-2.0 AND ISC OR MIT"]
    {
        assert!(met(good), "{good}");
    }
    for bad in ["", "GPL-2.0", "MIT AND GPL-2.0", "(MIT OR ISC) AND GPL-2.0", "MIT WITH x", "MIT ISC", "(MIT"]
    {
        assert!(!met(bad), "{bad}");
    }
}
