//! The messages about cards that `--device auto` cannot use. The loader finds an imitation of the driver
//! first.

use crate::support::{Place, Ran};
use std::process::Command;

/// A library with the functions of the driver that are called before a card is opened.
fn driver(place: &Place, result_of_init: u32) {
    let code = format!(
        "int cuInit(unsigned flags) {{ return {result_of_init}; }}\n\
         int cuDeviceGetCount(int *count) {{ *count = 1; return 0; }}\n\
         int cuGetErrorString(int error, const char **text) {{ *text = \"made up\"; return 0; }}\n"
    );
    place.write("driver/cuda.c", code);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o", "libcuda.so.1", "cuda.c"]).current_dir(place.path("driver"));
    assert!(compiler.status().unwrap().success());
}

fn with_driver(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    command.env("LD_LIBRARY_PATH", place.path("driver"));
    // Without a Python environment, which may contain cuBLASLt.
    for variable in ["CUDA_HOME", "CONDA_PREFIX", "VIRTUAL_ENV", "PATH"] {
        command.env_remove(variable);
    }
    Ran::of(command)
}

fn commands() -> [Vec<&'static str>; 3] {
    use crate::support::{MODEL, PROTEINS};
    [
        vec!["embed", PROTEINS, "--model", MODEL, "-o", "out/e.npy"],
        vec!["validate", PROTEINS, "--model", MODEL],
        vec!["bench", "--model", MODEL, "--seconds", "0.1", "--rounds", "1"],
    ]
}

#[test]
fn a_driver_that_refuses_is_named_before_the_cpu_is_taken() {
    let place = Place::new();
    driver(&place, 999);
    for arguments in commands() {
        let ran = with_driver(&place, &arguments);
        ran.succeeds(&["warning: cuda is left out: the NVIDIA driver refused: ", "hint: see `nvidia-smi`"]);
        let asked = with_driver(&place, &[&arguments[..], &["--device", "cuda"]].concat());
        assert_eq!(asked.code, Some(1), "{asked:?}");
    }
}

#[test]
fn a_driver_without_cards_is_a_machine_without_cards() {
    let place = Place::new();
    driver(&place, 100);
    let ran = with_driver(&place, &commands()[0]);
    ran.succeeds(&[]);
    assert!(!ran.stderr.contains("left out"), "{ran:?}");
    let devices = with_driver(&place, &["devices"]);
    assert!(devices.stdout.contains("cuda    none: the driver shows no card"), "{devices:?}");
}

#[test]
fn a_library_that_is_missing_is_named_before_the_cpu_is_taken() {
    if std::path::Path::new("/usr/local/cuda").exists()
        || std::path::Path::new("/proc/driver/nvidia").exists()
    {
        return println!("SKIPPED, this machine may have cuBLASLt");
    }
    let place = Place::new();
    driver(&place, 0);
    let ran = with_driver(&place, &commands()[0]);
    ran.succeeds(&[
        "warning: cuda:0 is left out: cuBLASLt (libcublasLt.so) was not found",
        "hint: run inside",
    ]);
    let devices = with_driver(&place, &["devices"]);
    assert!(devices.stdout.contains("cuda:0  not usable: cuBLASLt"), "{devices:?}");
}
