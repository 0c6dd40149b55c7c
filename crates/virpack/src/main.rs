//! `virpack` on the command line.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    virpack::run(std::env::args_os()).into()
}
