//! Any bytes as answers of the Hub, one line for each header, and as its list of files: no panic, and every
//! name in the cache is a plain one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_model::fuzzing::{hub_file, hub_list};

/// The headers that are read.
const NAMES: [&str; 5] = ["etag", "x-linked-etag", "x-linked-size", "content-range", "content-length"];

fuzz_target!(|data: &[u8]| {
    if let Some((commit, _)) = hub_list(data) {
        assert!(is_plain(&commit) && commit.len() <= 64, "{commit}");
    }
    let mut answers = [Vec::new(), Vec::new()];
    for line in data.split(|byte| *byte == b'\n') {
        // The first byte selects the header and the answer.
        if let [which, value @ ..] = line {
            let which = usize::from(*which);
            answers[which % 2].push((NAMES[which / 2 % NAMES.len()], value));
        }
    }
    if let Some((etag, _)) = hub_file([&answers[0], &answers[1]]) {
        assert!(is_plain(&etag) && !etag.starts_with('.') && etag.len() <= 128, "{etag}");
    }
});

/// Returns whether a text is the name of a file, on every system, and not a path.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
