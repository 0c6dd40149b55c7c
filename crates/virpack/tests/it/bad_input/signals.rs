//! Runs that are stopped by signals.

use super::TWO;
use super::predict::predict_command;
use crate::support::{MODEL, Place};

/// Waits for files in `out/`, and then runs.
pub(super) fn wait_for_outputs(place: &Place, files: usize) {
    for _ in 0..3_000 {
        if place.outputs().len() >= files {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{files} files were not begun: {:?}", place.outputs());
}

/// Ctrl-C, and the signals at the end of a job.
#[test]
fn an_interrupted_run_leaves_nothing() {
    use std::process::{Command, Stdio};
    for signal in ["-INT", "-TERM", "-USR1", "-XCPU"] {
        let place = Place::new();
        let mut command = place.command(&["embed", "--model", MODEL, "-", "-o", "out/emb.npy"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // It waits for input after beginning its files.
        wait_for_outputs(&place, 2);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(place.outputs(), [""; 0]);
    }
}

/// As `nohup` requires.
#[test]
fn a_run_outlives_its_terminal() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let plain = place.command(&["embed", "--model", MODEL, "-", "-o", "out/emb.npy"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap '' HUP; exec "$0" "$@""#]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().unwrap());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    wait_for_outputs(&place, 2);
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), TWO).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path("out/emb.npy").exists());
}

#[test]
fn an_interrupted_prediction_leaves_no_directory() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let mut child = predict_command(&place, &["-", "-o", "out/new/p"]).stdin(Stdio::piped()).spawn().unwrap();
    wait_for_outputs(&place, 1);
    // It waits for input after beginning its tables.
    while place.path("out/new/p").read_dir().map_or(0, Iterator::count) < 7 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.outputs(), [""; 0]);
}
