//! Reads the card's clock and power during the benchmark, from `nvidia-smi`.

use parking_lot::Mutex;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Means over a phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Clock of the processors, MHz.
    pub(super) megahertz: f64,
    /// Power, watts.
    pub(super) watts: f64,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} MHz at {:.0} W", self.megahertz, self.watts)
    }
}

/// Sums over two phases, and the current phase.
#[derive(Debug, Default)]
struct Sums {
    phase: Option<usize>,
    sums: [(u32, Reading); 2],
}

/// Readings, five per second; none without `nvidia-smi`.
#[derive(Debug)]
pub(super) struct Clocks {
    reader: Option<(Child, JoinHandle<()>)>,
    sums: Arc<Mutex<Sums>>,
}

impl Clocks {
    /// Starts to read the card of this number.
    pub(super) fn start(ordinal: usize) -> Clocks {
        let sums: Arc<Mutex<Sums>> = Arc::default();
        let child = Command::new("nvidia-smi")
            .args(["--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits", "-lms", "200", "-i"])
            .arg(ordinal.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let reader = child.ok().and_then(|mut child| {
            let lines = BufReader::new(child.stdout.take()?).lines();
            let to = Arc::clone(&sums);
            let read = move || lines.map_while(Result::ok).for_each(|l| add(&to, &l));
            match std::thread::Builder::new().spawn(read) {
                Ok(thread) => Some((child, thread)),
                // If the system starts no thread, there are no readings.
                Err(_) => {
                    let _ = child.kill().and_then(|()| child.wait());
                    None
                }
            }
        });
        Clocks { reader, sums }
    }

    /// Assigns the following readings to this phase, or to none.
    pub(super) fn mark(&mut self, phase: Option<usize>) {
        self.sums.lock().phase = phase;
    }

    /// Returns the means of both phases, if there were readings.
    pub(super) fn finish(mut self) -> Option<[Reading; 2]> {
        let (mut child, thread) = self.reader.take()?;
        let _ = child.kill();
        let _ = child.wait();
        let _ = thread.join();
        let sums = self.sums.lock();
        let mean = |(count, sum): (u32, Reading)| {
            let by = f64::from(count);
            (count > 0).then(|| Reading { megahertz: sum.megahertz / by, watts: sum.watts / by })
        };
        Some([mean(sums.sums[0])?, mean(sums.sums[1])?])
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.reader {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Adds a line, `1980, 693.21`.
fn add(sums: &Mutex<Sums>, line: &str) {
    let mut numbers = line.split(',').map_while(|n| n.trim().parse::<f64>().ok());
    let (Some(megahertz), Some(watts)) = (numbers.next(), numbers.next()) else { return };
    let mut sums = sums.lock();
    if let Some(phase) = sums.phase {
        let (count, sum) = &mut sums.sums[phase];
        *count += 1;
        sum.megahertz += megahertz;
        sum.watts += watts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_belong_to_their_phase() {
        let sums: Arc<Mutex<Sums>> = Arc::default();
        let mut clocks = Clocks { reader: None, sums: Arc::clone(&sums) };
        add(&sums, "345, 80.0");
        clocks.mark(Some(1));
        for line in ["1980, 600.0", "[N/A], 5", "1780, 700.5"] {
            add(&sums, line);
        }
        clocks.mark(None);
        add(&sums, "345, 80.0");
        let sums = sums.lock();
        assert_eq!((sums.sums[0].0, sums.sums[1].0), (0, 2));
        assert_eq!((sums.sums[1].1.megahertz, sums.sums[1].1.watts), (3760.0, 1300.5));
    }
}
