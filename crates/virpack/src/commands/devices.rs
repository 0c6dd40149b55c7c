//! `virpack devices`.

use crate::failure::Failure;
use crate::{messages, text};
use std::io::Write;
use virpack_core::device::{Cpu, Cuda, CudaOptions, Device, Unavailable};

/// Lists the devices on stdout.
pub(crate) fn run() -> Result<(), Failure> {
    let cpu = Cpu::new(None).map_err(virpack_core::Error::from)?;
    let memory = virpack_core::device::available_memory().map_or_else(|| "unknown".to_owned(), text::bytes);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "cpu     {}, {} in float32{}, {memory} free",
        text::count(cpu.threads() as u64, "thread", "threads"),
        cpu.instructions(),
        cpu.faster_dtype().map_or_else(String::new, |dtype| format!(" (faster in {dtype})")),
    )?;
    match Cuda::count() {
        Ok(0) => Ok(writeln!(out, "cuda    none: the driver shows no card")?),
        Ok(count) => (0..count).try_for_each(|ordinal| card(&mut out, ordinal)),
        Err(why) => Ok(writeln!(out, "cuda    none: {}", indented(&why))?),
    }
}

fn card(out: &mut impl Write, ordinal: usize) -> Result<(), Failure> {
    let name = format!("cuda:{ordinal}");
    match Cuda::new(ordinal, CudaOptions::default()) {
        Ok(cuda) => {
            let (free, total) = cuda.memory().map_err(virpack_core::Error::from)?;
            let (major, minor) = (cuda.capability() / 10, cuda.capability() % 10);
            let (free, total) = (text::bytes(free as u64), text::bytes(total as u64));
            let card = cuda.name();
            writeln!(out, "{name:7} {card}, compute capability {major}.{minor}, {free} of {total} free")?;
        }
        Err(why) => writeln!(out, "{name:7} not usable: {}", indented(&why))?,
    }
    Ok(())
}

/// The reason, and each hint on a line under it.
fn indented(why: &Unavailable) -> String {
    let message = messages::of_unavailable(why);
    let hints = message.hints.iter().map(|hint| format!("\n        hint: {hint}"));
    [message.what.clone()].into_iter().chain(hints).collect()
}
