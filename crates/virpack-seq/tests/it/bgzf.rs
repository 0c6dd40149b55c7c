//! BGZF (bgzip) marks its end: a file that ends before it is truncated, even between two blocks.

use std::io::{Cursor, Write};

use virpack_seq::reader::Remark;
use virpack_seq::{Hint, Record, Records, SeqError};

/// A member of gzip, with or without an extra field.
fn member(text: &[u8], extra: Option<&[u8]>) -> Vec<u8> {
    let builder = flate2::GzBuilder::new();
    let builder = extra.into_iter().fold(builder, |builder, extra| builder.extra(extra));
    let mut out = builder.write(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

/// A block of BGZF. Its size is not checked: other readers find blocks by it, and this one by their ends.
fn block(text: &str) -> Vec<u8> {
    member(text.as_bytes(), Some(&[b'B', b'C', 2, 0, 0xFF, 0]))
}

fn plain(text: &str) -> Vec<u8> {
    member(text.as_bytes(), None)
}

/// Returns ids, remarks, and the error at the end.
fn read(members: &[Vec<u8>]) -> (Vec<String>, Vec<Remark>, Option<SeqError>) {
    let mut records = Records::from_reader("in.gz", Cursor::new(members.concat())).unwrap();
    let (mut record, mut ids) = (Record::default(), Vec::new());
    let error = loop {
        match records.read(&mut record) {
            Ok(true) => ids.push(record.id.to_string()),
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    (ids, records.remarks().into_iter().map(|remark| remark.remark).collect(), error)
}

#[test]
fn bgzf_without_its_last_block_is_truncated() {
    for text in [[">a\nAC\n", ">b\nGT\n"], ["@a\nAC\n+\nII\n", "@b\nGT\n+\nII\n"]] {
        let blocks = text.map(block);
        let (ids, remarks, error) = read(&[&blocks[..], &[block("")]].concat());
        assert!(error.is_none() && remarks.is_empty(), "{error:?} {remarks:?}");
        assert_eq!(ids, ["a", "b"]);
        let (ids, _, error) = read(&blocks);
        let error = error.unwrap();
        let message = error.to_string();
        // The last record of FASTA may continue.
        assert!(ids.len() <= 2 && ids[0] == "a", "{ids:?}");
        assert!(message.contains("the gzip data end too early, after "), "{message}");
        assert!(message.contains("the empty block is missing that ends every BGZF file"), "{message}");
        assert!(error.hint().unwrap().contains("the file is incomplete"), "{error:?}");
    }
    // Only the end block, and other extra fields beside it.
    assert!(read(&[block("")]).2.is_none());
    let other = member(b">a\nAC\n", Some(&[b'X', b'Y', 1, 0, 7, b'B', b'C', 2, 0, 9, 0]));
    assert!(read(std::slice::from_ref(&other)).2.is_some());
    assert!(read(&[other, block("")]).2.is_none());
}

#[test]
fn joined_bgzf_files_end_as_the_last_one_does() {
    let [a, b] = [">a\nAC\n", ">b\nGT\n"].map(block);
    let end = block("");
    let (ids, remarks, error) = read(&[a.clone(), end.clone(), b.clone(), end.clone()]);
    assert!(error.is_none() && remarks.is_empty() && ids == ["a", "b"], "{error:?} {remarks:?}");
    assert!(read(&[a, end.clone(), b]).2.is_some());
    // `samtools cat` leaves out the end block of the first file.
    let [a, b] = [">a\nAC\n", ">b\nGT\n"].map(block);
    assert!(read(&[a, b, end]).2.is_none());
}

#[test]
fn gzip_without_blocks_needs_no_end() {
    let [a, b] = [">a\nAC\n", ">b\nGT\n"].map(plain);
    assert!(read(&[a, b]).2.is_none());
    // Another extra field, a truncated one, and one of another length.
    for extra in
        [&b"XY\x02\0\0\0"[..], b"BC", b"BC\x02\0\x01", b"BC\x04\0\0\0\0\0", b"XY\xFF\xFFBC\x02\0\0\0"]
    {
        let (ids, remarks, error) = read(&[member(b">a\nAC\n", Some(extra))]);
        assert!(error.is_none() && remarks.is_empty() && ids == ["a"], "{extra:?} {error:?}");
    }
}

#[test]
fn plain_gzip_after_bgzf_is_read_and_a_missing_block_between_them_reported() {
    let [a, b] = [">a\nAC\n", ">b\nGT\n"];
    let (ids, remarks, error) = read(&[block(a), block(""), plain(b)]);
    assert!(error.is_none() && remarks.is_empty() && ids == ["a", "b"], "{error:?} {remarks:?}");
    let (ids, remarks, error) = read(&[block(a), plain(b)]);
    assert!(error.is_none() && ids == ["a", "b"], "{error:?}");
    assert_eq!(remarks, [Remark::NoBgzfEnd]);
    let (ids, remarks, error) = read(&[plain(a), block(b), block("")]);
    assert!(error.is_none() && remarks.is_empty() && ids == ["a", "b"], "{error:?} {remarks:?}");
    assert!(read(&[plain(a), block(b)]).2.is_some());
}
