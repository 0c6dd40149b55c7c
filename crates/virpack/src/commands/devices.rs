//! `virpack devices`.

use crate::failure::Failure;
use crate::messages::{self, Message};
use crate::stdout;
use crate::text;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use virpack_core::device::{Cpu, Cuda, CudaOptions, Device, Unavailable, available_memory};

/// The arguments of `virpack devices`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print a JSON array of objects instead of lines
    #[arg(long)]
    json: bool,
}

/// The description of a device: a line for people, and the same as an object.
struct Found {
    name: String,
    line: String,
    json: Value,
}

/// Lists the devices on stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = stdout::open()?;
    let mut devices = vec![Found::cpu()?];
    match Cuda::count() {
        Ok(0) => devices.push(Found::missing("cuda", "none", &"the driver shows no card".into())),
        Ok(count) => {
            for ordinal in 0..count {
                devices.push(Found::card(ordinal)?);
            }
        }
        Err(why) => devices.push(Found::unavailable("cuda", "none", &why)),
    }
    if arguments.json {
        let devices = devices.into_iter().map(|device| device.json).collect();
        return Ok(writeln!(out, "{:#}", Value::Array(devices))?);
    }
    for Found { name, line, .. } in devices {
        writeln!(out, "{name:7} {line}")?;
    }
    Ok(())
}

impl Found {
    fn cpu() -> Result<Found, Failure> {
        let cpu = Cpu::new(None).map_err(virpack_core::Error::from)?;
        let (memory, faster) = (available_memory(), cpu.faster_dtype());
        let line = format!(
            "{}, {} in float32{}, {} free",
            text::count(cpu.threads() as u64, "thread", "threads"),
            cpu.instructions(),
            faster.map_or_else(String::new, |dtype| format!(" (faster in {dtype})")),
            memory.map_or_else(|| "unknown memory".to_owned(), text::bytes),
        );
        let json = json!({
            "device": "cpu",
            "usable": true,
            "threads": cpu.threads(),
            "instructions": cpu.instructions().to_string(),
            "faster_dtype": faster.map(|dtype| dtype.to_string()),
            "free_bytes": memory,
        });
        Ok(Found { name: "cpu".to_owned(), line, json })
    }

    fn card(ordinal: usize) -> Result<Found, Failure> {
        let name = format!("cuda:{ordinal}");
        let cuda = match Cuda::new(ordinal, CudaOptions::default()) {
            Ok(cuda) => cuda,
            Err(why) => return Ok(Found::unavailable(&name, "not usable", &why)),
        };
        let (free, total) = cuda.memory().map_err(virpack_core::Error::from)?;
        let (free, total) = (free as u64, total as u64);
        let capability = format!("{}.{}", cuda.capability() / 10, cuda.capability() % 10);
        let card = cuda.name();
        let [shown_free, shown_total] = [free, total].map(text::bytes);
        let line = format!("{card}, compute capability {capability}, {shown_free} of {shown_total} free");
        let json = json!({
            "device": name,
            "usable": true,
            "card": card,
            "compute_capability": capability,
            "free_bytes": free,
            "total_bytes": total,
        });
        Ok(Found { name, line, json })
    }

    fn unavailable(name: &str, state: &str, why: &Unavailable) -> Found {
        Found::missing(name, state, &messages::of_unavailable(why))
    }

    /// Describes a device that cannot be used: the reason, and each hint on a line under it.
    fn missing(name: &str, state: &str, why: &Message) -> Found {
        let hints = why.hints.iter().map(|hint| format!("\n        hint: {hint}"));
        let line = [format!("{state}: {}", why.what)].into_iter().chain(hints).collect();
        let json = json!({ "device": name, "usable": false, "reason": why.what, "hints": why.hints });
        Found { name: name.to_owned(), line, json }
    }
}
