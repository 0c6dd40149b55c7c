//! Compressed inputs, complete and damaged.

use super::{TWO, refused};
use crate::support::Place;
use std::io::Write;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn truncated_and_damaged_compression() {
    let place = Place::new();
    let text = (0..2_000u32).fold(String::new(), |text, i| {
        text + &format!(
            ">r{i}\n{}\n",
            "MKTAYIAKQRLLV".repeat(1 + (i.wrapping_mul(2_654_435_761) % 9) as usize)
        )
    });
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    for (codec, whole) in [
        ("gzip", gzip(text.as_bytes())),
        ("zstd", zstd),
        ("bzip2", bzip2(text.as_bytes())),
        ("xz", xz(text.as_bytes())),
    ] {
        for (name, kept) in [("half", whole.len() / 2), ("tail", whole.len() - 3), ("head", 12)] {
            place.write("cut.fa", &whole[..kept]);
            let ran = place.embed(&["cut.fa", "-o", "out/emb.npy"]);
            ran.is_refused(&["cut.fa:", &format!("the {codec} data end too early"), "hint: "]);
            assert_eq!(place.outputs(), [""; 0], "{codec} {name}");
        }
        let mut wrong = whole.clone();
        let middle = wrong.len() / 2;
        wrong[middle..middle + 8].fill(0xAA);
        place.write("cut.fa", wrong);
        refused(&place, &["cut.fa"], &["cut.fa:"]);
    }
}

/// A decoder cannot distinguish damage from data appended to its own: the hint names both.
#[test]
fn text_behind_compressed_data() {
    let place = Place::new();
    for (codec, mut bytes) in
        [("zstd", zstd::encode_all(TWO, 3).unwrap()), ("bzip2", bzip2(TWO)), ("xz", xz(TWO))]
    {
        for behind in [&b"x"[..], b">c\nMKTAYIAKQRLLV\n"] {
            let whole = bytes.len();
            bytes.extend_from_slice(behind);
            place.write("two.fa", &bytes);
            refused(
                &place,
                &["two.fa"],
                &["hint: ", "fetch or compress it again", "joined to its end", codec],
            );
            bytes.truncate(whole);
        }
    }
}

#[test]
fn every_compression_by_content_from_files_and_stdin() {
    let place = Place::new();
    place.write("plain", TWO).embed(&["plain", "-o", "out/plain.npy"]).succeeds(&[]);
    let expected = std::fs::read(place.path("out/plain.npy")).unwrap();
    let members = [gzip(&TWO[..20]), gzip(&TWO[20..])].concat();
    let zstd = zstd::encode_all(TWO, 3).unwrap();
    for (i, bytes) in [gzip(TWO), members, zstd, bzip2(TWO), xz(TWO)].iter().enumerate() {
        // A wrong extension has no effect.
        place.write("input.txt", bytes);
        let output = format!("out/{i}.npy");
        place.embed(&["input.txt", "-o", &output]).succeeds(&["2 sequences"]);
        assert_eq!(std::fs::read(place.path(&output)).unwrap(), expected);
        place.embed_stdin(&["-", "-o", &output, "--force"], bytes).succeeds(&["2 sequences"]);
        assert_eq!(std::fs::read(place.path(&output)).unwrap(), expected);
    }
    refused(&Place::new(), &["-", "-"], &["standard input (-) is named 2 times", "hint: "]);
}
