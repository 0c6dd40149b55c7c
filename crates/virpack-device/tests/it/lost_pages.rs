//! A mapped file that another process truncates.

use std::fs::File;
use std::process::Command;

use virpack_device::MappedFile;

/// Names the file in the process that is to end.
const FILE: &str = "VIRPACK_TEST_LOST_PAGES";

#[test]
fn a_truncated_file_ends_the_process_with_a_message_that_names_it() {
    if let Some(path) = std::env::var_os(FILE) {
        let path = path.as_ref();
        // One that is gone is not taken for this one.
        drop(MappedFile::open(path).unwrap());
        let mapped = MappedFile::open(path).unwrap();
        File::options().write(true).open(path).unwrap().set_len(10).unwrap();
        let sum: u32 = mapped.bytes(0..mapped.len()).unwrap().iter().map(|byte| u32::from(*byte)).sum();
        panic!("read pages that do not exist: {sum}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights\u{1b}[31m.safetensors");
    std::fs::write(&path, vec![1; 1 << 20]).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let this = "lost_pages::a_truncated_file_ends_the_process_with_a_message_that_names_it";
    let output = child.env(FILE, &path).args(["--exact", this, "--nocapture"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("safetensors: it became shorter while it was read\nhint: "), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}
