//! `virpack devices`.

use crate::failure::Failure;
use crate::text;
use std::io::Write;
use virpack::device::Cpu;

/// Lists the devices on stdout.
pub(crate) fn run() -> Result<(), Failure> {
    let cpu = Cpu::new(None).map_err(virpack::Error::from)?;
    let memory = virpack_seq::available_memory().map_or_else(|| "unknown".to_owned(), text::bytes);
    writeln!(
        std::io::stdout(),
        "cpu   {}, {} in float32, {memory} free",
        text::count(cpu.threads() as u64, "thread", "threads"),
        cpu.instructions()
    )?;
    Ok(())
}
