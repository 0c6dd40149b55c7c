//! Requests for objects on any web server.

use bytes::Bytes;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use ureq::Body;
use ureq::http::Response;

use crate::client::agent;
use crate::error::StoreError;
use crate::state::ObjectState;
use crate::trust::untrusted;
use crate::url::{ObjectUrl, Scheme};

/// The attempts of a request, and the time before the second. It doubles for each one after.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The most bytes of an answer that describes an error.
const LARGEST_ANSWER: u64 = 64 << 10;

/// Returns the state of an object. It requests one byte, because a link that is signed for reading refuses
/// `HEAD`.
pub(crate) fn state(url: &ObjectUrl) -> Result<ObjectState, StoreError> {
    again(|| {
        let mut response = get(url, Some(0..1), None)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = header("etag").map(str::to_owned);
        let modified = header("last-modified").and_then(time);
        let range = header("content-range").and_then(content_range);
        match response.status().as_u16() {
            206 => {
                let bytes = range.ok_or(StoreError::NoRanges)?.1;
                Ok(ObjectState { bytes, modified, etag })
            }
            // An empty object has no range; its size follows the star.
            416 if header("content-range").is_some_and(|range| range.ends_with("/0")) => {
                Ok(ObjectState { bytes: 0, modified, etag })
            }
            200 if header("content-length") == Some("0") => Ok(ObjectState { bytes: 0, modified, etag }),
            200 => Err(StoreError::NoRanges),
            status => Err(of_answer(status, response.body_mut())),
        }
    })
}

/// Returns bytes of an object, which must be in its earlier state.
pub(crate) fn range(url: &ObjectUrl, range: Range<u64>, begun: &ObjectState) -> Result<Bytes, StoreError> {
    let etag = begun.etag.as_deref();
    again(|| {
        let mut response = get(url, Some(range.clone()), etag)?;
        match response.status().as_u16() {
            206 => {}
            200 => return Err(StoreError::NoRanges),
            status => return Err(of_answer(status, response.body_mut())),
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        // Servers without support for `If-Match` send what they have.
        if etag.is_some() && header("etag").is_some_and(|now| Some(now) != etag) {
            return Err(StoreError::Changed);
        }
        let whole = header("content-range").and_then(content_range);
        let Some((_, bytes)) = whole.filter(|(first, _)| *first == range.start) else {
            return Err(StoreError::NoRanges);
        };
        let modified = header("last-modified").and_then(time);
        if bytes != begun.bytes
            || modified.is_some() && begun.modified.is_some() && modified != begun.modified
        {
            return Err(StoreError::Changed);
        }
        let wanted = range.end - range.start;
        let body = response.body_mut().with_config().limit(wanted + 1).read_to_vec().map_err(network)?;
        if body.len() as u64 != wanted {
            return Err(StoreError::Network { reason: format!("{} of {wanted} bytes came", body.len()) });
        }
        Ok(Bytes::from(body))
    })
}

fn get(url: &ObjectUrl, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Response<Body>, StoreError> {
    let mut request = agent()?.get(url.secret());
    if let Some(Range { start, end }) = range {
        request = request.header("Range", format!("bytes={start}-{}", end - 1));
    }
    if let Some(etag) = etag.filter(|etag| !etag.starts_with("W/")) {
        request = request.header("If-Match", etag);
    }
    // A redirect must not lead out of TLS.
    let is_secure = url.secret().starts_with("https://");
    let response = request.config().https_only(is_secure).build().call().map_err(network)?;
    match response.status().as_u16() {
        status @ (408 | 429 | 500..=599) => Err(StoreError::Network { reason: format!("status {status}") }),
        _ => Ok(response),
    }
}

/// Repeats a request as long as it may succeed.
fn again<T>(mut request: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match request() {
            Err(error) if error.may_pass() => {
                std::thread::sleep(wait);
                wait *= 2;
            }
            result => return result,
        }
    }
    request()
}

fn network(error: ureq::Error) -> StoreError {
    if let Some(reason) = untrusted(&error) {
        return StoreError::Certificate { reason };
    }
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => StoreError::Url { expected: "https://HOST/PATH" },
        // These name the target of a redirect, which may contain a signature.
        ureq::Error::RequireHttpsOnly(_) => {
            StoreError::Other { reason: "the server redirects to a URL without TLS".to_owned() }
        }
        ureq::Error::Protocol(_) | ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            StoreError::Other {
                reason: "the answer is not HTTP, or its redirect leads to nothing".to_owned(),
            }
        }
        // These contain nothing of the URL.
        other => StoreError::Network { reason: other.to_string() },
    }
}

fn of_answer(status: u16, body: &mut Body) -> StoreError {
    let text = body.with_config().limit(LARGEST_ANSWER).lossy_utf8(true).read_to_string().unwrap_or_default();
    StoreError::of_answer(status, &text, Scheme::Http, "")
}

/// Returns the first byte that was sent, and the size of the object, from `Content-Range: bytes 0-9/100`.
fn content_range(header: &str) -> Option<(u64, u64)> {
    let (range, whole) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, whole.trim().parse().ok()?))
}

/// Returns the time of `Last-Modified`.
fn time(header: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = header.split_once(", ")?.1.split([' ', ':']);
    let mut number = || words.next()?.parse::<u64>().ok();
    let day = number()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (year, hour, minute, second) = (number()?, number()?, number()?, number()?);
    if year > 9999 || day > 31 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days of the civil calendar, in years that begin in March.
    let year = if month < 3 { year.checked_sub(1)? } else { year };
    let months = (month + 9) % 12;
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * months + 2) / 5 + day.checked_sub(1)?;
    let days = days.checked_sub(719_468)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_headers_are_seconds() {
        let seconds =
            |text| time(text)?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs());
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        let far = "Thu, 01 Jan 18446744073709551615 00:00:00 GMT";
        for odd in ["", "now", "Sun, 06 Nov", "Sun, 00 Foo 1994 08:49:37 GMT", far] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }

    #[test]
    fn ranges_of_headers_have_a_first_byte_and_a_whole() {
        assert_eq!(content_range("bytes 5-9/100"), Some((5, 100)));
        assert_eq!(content_range("bytes */100"), None);
    }
}
