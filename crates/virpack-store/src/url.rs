//! The URL of an object.

use std::fmt;
use std::path::{Path, PathBuf};

/// The schemes of objects, each with what its URL names.
const SCHEMES: [(&str, Scheme); 5] = [
    ("s3://", Scheme::S3),
    ("gs://", Scheme::Gcs),
    ("az://", Scheme::Azure),
    ("https://", Scheme::Http),
    ("http://", Scheme::Http),
];

/// Who is asked for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    S3,
    Gcs,
    Azure,
    Http,
}

/// The URL of an object: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`, `https://HOST/PATH`.
///
/// It is shown without user, password and query, which may let their reader in.
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
    /// The URL that a text is; None for what does not begin with a scheme of objects.
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
            // Every letter of a key may be part of its name; what goes before an `@` is none of a bucket's.
            _ => {
                let (bucket, key) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let bucket = bucket.rsplit_once('@').map_or(bucket, |(_, bucket)| bucket);
                format!("{name}{bucket}{key}")
            }
        };
        Some(ObjectUrl { text, shown: shown.into(), scheme })
    }

    /// The URL as it is shown.
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Whether it has a part that is not shown.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.shown != Path::new(&self.text)
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The whole URL, which must not be shown.
    pub(crate) fn secret(&self) -> &str {
        &self.text
    }

    /// Bucket or container, and key; None where one is missing.
    pub(crate) fn bucket_and_key(&self) -> Option<(&str, &str)> {
        let (bucket, key) = self.text.split_once("://")?.1.split_once('/')?;
        // Names of buckets have neither `@` nor `:`; keys of access before a name do.
        (!bucket.is_empty() && !key.is_empty() && !bucket.contains(['@', ':'])).then_some((bucket, key))
    }
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
    fn buckets_and_keys_are_told_apart() {
        let parts = |text| ObjectUrl::parse(text).unwrap().bucket_and_key().map(|(a, b)| format!("{a} {b}"));
        assert_eq!(parts("s3://b/a/b.fa?x").as_deref(), Some("b a/b.fa?x"));
        assert_eq!(parts("GS://b/k").as_deref(), Some("b k"));
        for wrong in ["s3://b", "s3://b/", "az:///k"] {
            assert_eq!(parts(wrong), None, "{wrong}");
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
    }
}
