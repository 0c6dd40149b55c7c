//! The URL of an object.

use std::fmt;
use std::path::{Path, PathBuf};

/// The schemes of objects, each with the kind of its store.
const SCHEMES: [(&str, Scheme); 5] = [
    ("s3://", Scheme::S3),
    ("gs://", Scheme::Gcs),
    ("az://", Scheme::Azure),
    ("https://", Scheme::Http),
    ("http://", Scheme::Http),
];

/// The kind of store that has an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    S3,
    Gcs,
    Azure,
    Http,
}

/// The URL of an object: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`, `https://HOST/PATH`.
///
/// It is displayed without user, password and query, which may grant access.
///
/// ```
/// use virpack_store::ObjectUrl;
///
/// let url = ObjectUrl::parse("https://me:secret@host/reads.fa?X-Amz-Signature=abc").unwrap();
/// assert_eq!(url.to_string(), "https://host/reads.fa");
/// assert!(url.has_secret());
/// assert!(ObjectUrl::parse("reads.fa").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ObjectUrl {
    text: String,
    shown: PathBuf,
    scheme: Scheme,
}

impl ObjectUrl {
    /// Parses a URL; None for text that does not begin with a scheme of objects.
    ///
    /// ```
    /// use virpack_store::ObjectUrl;
    ///
    /// assert!(ObjectUrl::parse("s3://bucket/reads.fasta.gz").is_some());
    /// assert!(ObjectUrl::parse("s3/reads.fasta.gz").is_none(), "it is the name of a file");
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<ObjectUrl> {
        let begins = |name: &str| text.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name));
        let (name, scheme) = SCHEMES.into_iter().find(|(name, _)| begins(name))?;
        let rest = &text[name.len()..];
        let text = format!("{name}{rest}");
        let shown = match scheme {
            Scheme::Http => {
                let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                format!("{name}{host}{path}")
            }
            // Every letter of a key may be part of its name, except in a query that signs it. The part before
            // an `@` does not belong to a bucket.
            _ => {
                let rest = without_signature(rest);
                let (bucket, key) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                if bucket.contains(':') {
                    // An access key, whose secret may contain slashes: it ends at the last `@`.
                    format!("{name}{}", rest.rsplit_once('@').map_or("", |(_, rest)| rest))
                } else {
                    let bucket = bucket.rsplit_once('@').map_or(bucket, |(_, bucket)| bucket);
                    format!("{name}{bucket}{key}")
                }
            }
        };
        Some(ObjectUrl { text, shown: shown.into(), scheme })
    }

    /// Returns the URL for display.
    ///
    /// ```
    /// use virpack_store::ObjectUrl;
    ///
    /// let signed = ObjectUrl::parse("https://host/reads.fa?X-Amz-Signature=1234").unwrap();
    /// assert_eq!(signed.shown().to_str(), Some("https://host/reads.fa"));
    /// ```
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Returns whether it has a part that is not displayed.
    ///
    /// ```
    /// use virpack_store::ObjectUrl;
    ///
    /// let has_secret = |url| ObjectUrl::parse(url).unwrap().has_secret();
    /// assert!(has_secret("https://user:word@host/reads.fa") && !has_secret("https://host/reads.fa"));
    /// ```
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.shown != Path::new(&self.text)
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the complete URL, which must not be displayed.
    pub(crate) fn secret(&self) -> &str {
        &self.text
    }

    /// Returns the URL of an object with this name below this one, as of a folder.
    ///
    /// ```
    /// use virpack_store::ObjectUrl;
    ///
    /// let plan = ObjectUrl::parse("s3://bucket/plan/").unwrap();
    /// assert_eq!(plan.join("plan.json").to_string(), "s3://bucket/plan/plan.json");
    /// ```
    #[must_use]
    pub fn join(&self, name: &str) -> ObjectUrl {
        let text = format!("{}/{name}", self.text.trim_end_matches('/'));
        ObjectUrl::parse(&text).unwrap_or_else(|| self.clone())
    }

    /// Returns whether it is that of an object in a store, which can be written; others are read only.
    ///
    /// ```
    /// use virpack_store::ObjectUrl;
    ///
    /// let is_of_store = |url| ObjectUrl::parse(url).unwrap().is_of_store();
    /// assert!(is_of_store("gs://bucket/emb.npy") && !is_of_store("https://host/emb.npy"));
    /// ```
    #[must_use]
    pub fn is_of_store(&self) -> bool {
        self.scheme != Scheme::Http
    }

    /// Returns bucket or container, and the beginning of keys, which may be empty; None without a bucket.
    pub(crate) fn bucket_and_folder(&self) -> Option<(&str, &str)> {
        let (_, rest) = self.text.split_once("://")?;
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        (!bucket.is_empty() && !bucket.contains(['@', ':'])).then_some((bucket, folder))
    }

    /// Returns bucket or container, and key; None if one is missing.
    pub(crate) fn bucket_and_key(&self) -> Option<(&str, &str)> {
        let (bucket, key) = self.text.split_once("://")?.1.split_once('/')?;
        // Names of buckets contain neither `@` nor `:`, which occur in access keys before a name.
        (!bucket.is_empty() && !key.is_empty() && !bucket.contains(['@', ':'])).then_some((bucket, key))
    }
}

/// Returns bucket and key without a query that holds a signature.
fn without_signature(rest: &str) -> &str {
    let Some((key, query)) = rest.split_once('?') else { return rest };
    let signs = |field: &str| {
        let field = field.to_ascii_lowercase();
        ["x-amz-", "x-goog-", "sig="].iter().any(|begin| field.starts_with(begin))
    };
    if query.split(['?', '&']).any(signs) { key } else { rest }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.display().fmt(f)
    }
}

impl fmt::Debug for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_keys_are_separated() {
        let parts = |text| ObjectUrl::parse(text).unwrap().bucket_and_key().map(|(a, b)| format!("{a} {b}"));
        assert_eq!(parts("s3://b/a/b.fa?x").as_deref(), Some("b a/b.fa?x"));
        assert_eq!(parts("GS://b/k").as_deref(), Some("b k"));
        for wrong in ["s3://b", "s3://b/", "az:///k"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
        for (folder, below) in
            [("s3://b", "s3://b/n"), ("s3://b/d/", "s3://b/d/n"), ("gs://b/d/e", "gs://b/d/e/n")]
        {
            assert_eq!(ObjectUrl::parse(folder).unwrap().join("n").to_string(), below);
        }
        for other in ["s3:/b/k", "ftp://b/k", "é", "-", "file:///x"] {
            assert!(ObjectUrl::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let url = ObjectUrl::parse("https://u:p@h:8/a/b@c.fa?X-Amz-Signature=s#f").unwrap();
        assert_eq!(
            (url.to_string(), format!("{url:?}")),
            ("https://h:8/a/b@c.fa".into(), "\"https://h:8/a/b@c.fa\"".into())
        );
        assert!(url.has_secret() && url.secret().contains("Signature"));
        assert!(!ObjectUrl::parse("s3://b/k@x?x").unwrap().has_secret());
        let url = ObjectUrl::parse("s3://key:secret@b/k").unwrap();
        assert_eq!((url.to_string(), url.bucket_and_key()), ("s3://b/k".into(), None));
        for (text, shown) in [
            ("s3://AKIA:ab/cd@bucket/plan", "s3://bucket/plan"),
            ("s3://AKIA:ab/c?d@bucket/plan", "s3://bucket/plan"),
            ("s3://AKIA:ab/cd", "s3://"),
            ("az://c/k.fa?sv=1&sig=abc", "az://c/k.fa"),
            ("s3://b/k.fa?X-Amz-Signature=abc", "s3://b/k.fa"),
            ("gs://b/k.fa?x-goog-signature=abc", "gs://b/k.fa"),
        ] {
            let url = ObjectUrl::parse(text).unwrap();
            assert_eq!((url.to_string(), url.has_secret()), (shown.into(), true));
        }
        assert!(!ObjectUrl::parse("az://c/k?design=a").unwrap().has_secret());
    }
}
