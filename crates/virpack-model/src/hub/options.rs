//! Where models are cached and fetched from: Hugging Face's own environment variables.

use std::path::PathBuf;
use std::time::Duration;

use virpack_seq::read_small;

/// Most bytes of a file that holds a token.
const LARGEST_TOKEN: u64 = 4096;

/// Where models are cached and fetched from.
///
/// ```
/// use virpack_model::hub::HubOptions;
///
/// let options = HubOptions::new("/data/models").endpoint("https://mirror.example.org").offline(true);
/// assert!(options.offline && options.endpoint == "https://mirror.example.org");
/// assert_eq!(options.token, None); // the environment is not read
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// The cache's directory of repositories, by default `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The Hub or a mirror of it, without a slash at the end.
    pub endpoint: String,
    /// What opens private and gated repositories.
    pub token: Option<String>,
    /// Whether the network is left alone.
    pub offline: bool,
    /// How often a broken download is taken up again before it is an error.
    pub retries: usize,
    /// How long a connection, an answer and each piece of a file may keep one waiting.
    pub timeout: Duration,
}

/// The token and a password stay out of logs and messages.
impl std::fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cache, token, offline, retries, timeout, .. } = self;
        f.debug_struct("HubOptions")
            .field("cache", cache)
            .field("endpoint", &self.shown_endpoint())
            .field("token", &token.as_ref().map(|_| "…"))
            .field("offline", offline)
            .field("retries", retries)
            .field("timeout", timeout)
            .finish()
    }
}

/// The Hub itself.
const HUB: &str = "https://huggingface.co";

/// How often a broken download is taken up again, and seconds that a server may keep one waiting, by default.
const RETRIES: usize = 5;
const SECONDS: u64 = 60;

impl HubOptions {
    /// Returns options for the Hub and a cache, without the environment's settings: without a token, on the
    /// network.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        HubOptions {
            cache: cache.into(),
            endpoint: HUB.to_owned(),
            token: None,
            offline: false,
            retries: RETRIES,
            timeout: Duration::from_secs(SECONDS),
        }
    }

    /// Fetches from a mirror of the Hub; a slash at the end is dropped.
    #[must_use]
    pub fn endpoint(self, url: impl AsRef<str>) -> Self {
        HubOptions { endpoint: url.as_ref().trim_end_matches('/').to_owned(), ..self }
    }

    /// Opens private and gated repositories by a token; None sends none.
    #[must_use]
    pub fn token(self, token: Option<String>) -> Self {
        HubOptions { token, ..self }
    }

    /// Returns whether the network is left alone.
    #[must_use]
    pub fn offline(self, offline: bool) -> Self {
        HubOptions { offline, ..self }
    }

    /// How often a broken download is taken up again before it is an error; by default 5 times.
    #[must_use]
    pub fn retries(self, retries: usize) -> Self {
        HubOptions { retries, ..self }
    }

    /// How long a connection, an answer and each piece of a file may keep one waiting; by default 60 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        HubOptions { timeout, ..self }
    }

    /// Reads the environment as `huggingface_hub` does.
    ///
    /// `HF_HUB_CACHE` is the cache, else `HF_HOME/hub`, else `XDG_CACHE_HOME/huggingface/hub`, else
    /// `~/.cache/huggingface/hub`. `HF_TOKEN` is the token, else the file at `HF_TOKEN_PATH`, else `HF_HOME/token`.
    /// `HF_ENDPOINT` is the Hub. `HF_HUB_OFFLINE` (or `TRANSFORMERS_OFFLINE`) set to `1`, `true`, `yes` or `on`
    /// keeps off the network. `HF_HUB_DOWNLOAD_TIMEOUT` are the seconds that a server may keep one waiting, by default 60.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(&|name| std::env::var_os(name).and_then(|value| value.into_string().ok()))
    }

    /// As [`Self::from_env`], with another source of variables.
    ///
    /// ```
    /// use virpack_model::hub::HubOptions;
    ///
    /// let variables = [("HF_HOME", "/data/hf"), ("HF_HUB_OFFLINE", "1"), ("HF_TOKEN", "hf_abc")];
    /// let lookup = |name: &str| {
    ///     variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    /// };
    /// let options = HubOptions::from_lookup(&lookup);
    /// assert_eq!(options.cache.to_str(), Some("/data/hf/hub"));
    /// assert!(options.offline && options.token.as_deref() == Some("hf_abc"));
    /// ```
    #[must_use]
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let home = get("HF_HOME").map(PathBuf::from).unwrap_or_else(|| {
            let cache = get("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
            // A machine without a home keeps its models where the work is.
            cache.unwrap_or_else(|| PathBuf::from(".cache")).join("huggingface")
        });
        let cache = get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE")).map(PathBuf::from);
        let token_file = get("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let token = get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN"));
        let token = token.or_else(|| String::from_utf8(read_small(&token_file, LARGEST_TOKEN).ok()?).ok());
        let is_on =
            |value: String| matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on");
        let seconds = get("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|text| text.trim().parse().ok());
        let timeout = seconds.filter(|seconds| *seconds > 0).unwrap_or(SECONDS);
        Self::new(cache.unwrap_or_else(|| home.join("hub")))
            .endpoint(get("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned()))
            .token(token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()))
            .offline(["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().filter_map(get).any(is_on))
            .timeout(Duration::from_secs(timeout))
    }
}

impl HubOptions {
    /// Returns the Hub's address as it may be printed, without a name and password in it.
    pub(crate) fn shown_endpoint(&self) -> String {
        match self.credentials() {
            None => self.endpoint.clone(),
            Some(credentials) => self.endpoint.replacen(&format!("{credentials}@"), "", 1),
        }
    }

    /// Returns a message, which may contain the address, without them.
    pub(super) fn without_password(&self, message: &str) -> String {
        match self.credentials() {
            None => message.to_owned(),
            Some(credentials) => message.replace(&format!("{credentials}@"), "").replace(credentials, "…"),
        }
    }

    /// `name:password` of the address.
    fn credentials(&self) -> Option<&str> {
        let (_, rest) = self.endpoint.split_once("://")?;
        let authority = rest.split('/').next()?;
        authority.rsplit_once('@').map(|(credentials, _)| credentials).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_lookup(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_are_those_of_hugging_face() {
        let options = from(&[("HF_TOKEN_PATH", "/absent")]);
        assert!(options.cache.ends_with(".cache/huggingface/hub"), "{options:?}");
        assert_eq!(options.endpoint, "https://huggingface.co");
        assert_eq!((options.token, options.offline), (None, false));
    }

    #[test]
    fn every_variable_is_heard() {
        let options = from(&[
            ("HF_HOME", "/hf"),
            ("HF_ENDPOINT", "http://mirror:8080/"),
            ("HF_TOKEN", " secret\n"),
            ("HF_HUB_OFFLINE", "YES"),
        ]);
        assert_eq!(options.cache, PathBuf::from("/hf/hub"));
        assert_eq!(options.endpoint, "http://mirror:8080");
        assert_eq!(options.token.as_deref(), Some("secret"));
        assert!(options.offline);
        assert!(!format!("{options:?}").contains("secret"));
        assert_eq!(from(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]).cache, PathBuf::from("/c"));
        assert_eq!(from(&[("XDG_CACHE_HOME", "/x")]).cache, PathBuf::from("/x/huggingface/hub"));
        assert!(!from(&[("HF_HUB_OFFLINE", "0")]).offline);
        assert!(!from(&[("HF_HUB_OFFLINE", "")]).offline);
    }

    #[test]
    fn a_password_in_the_address_is_not_printed() {
        let options =
            from(&[("HF_ENDPOINT", "https://me:p@ss@mirror:8080/hf"), ("HF_TOKEN_PATH", "/absent")]);
        assert_eq!(options.shown_endpoint(), "https://mirror:8080/hf");
        assert!(!format!("{options:?}").contains("p@ss"));
        assert_eq!(
            options.without_password("GET https://me:p@ss@mirror:8080/hf"),
            "GET https://mirror:8080/hf"
        );
    }

    #[test]
    fn the_token_file_is_read_where_no_variable_is_set() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "filed\n").unwrap();
        let home = home.path().to_str().unwrap().to_owned();
        assert_eq!(from(&[("HF_HOME", &home)]).token.as_deref(), Some("filed"));
        assert_eq!(from(&[("HF_HOME", &home), ("HF_TOKEN", "t")]).token.as_deref(), Some("t"));
    }
}
