//! Common mistakes of users: each gives a message with the place and a remedy, and exit code 1, and leaves
//! nothing behind.

mod changing;
mod compression;
mod damaged;
#[cfg(unix)]
mod disks;
mod inputs;
mod limits;
#[cfg(unix)]
mod links;
mod models;
mod options;
mod outputs;
mod predict;
mod printed;
#[cfg(unix)]
mod signals;

#[cfg(target_os = "linux")]
mod threads;

use crate::support::Place;

const TWO: &[u8] = b">a first\nMKTAYIAKQR\n>b second\nMKV\n";

/// `virpack embed INPUT -o out/emb.npy` is refused and leaves nothing.
#[track_caller]
fn refused(place: &Place, arguments: &[&str], said: &[&str]) {
    for output in ["out/emb.npy", "out/emb.parquet"] {
        place.embed(&[&["-o", output], arguments].concat()).is_refused(said);
        assert_eq!(place.outputs(), [""; 0]);
    }
}
