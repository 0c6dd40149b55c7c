//! The signals that stop a run.

/// Calls `stop` for Ctrl-C and each signal to stop, on a separate thread, which may lock and print.
///
/// Schedulers send SIGTERM, SIGUSR1 (Slurm's `--signal`) and SIGXCPU before a job's time ends. SIGHUP,
/// SIGUSR1 and SIGXCPU stay ignored if they were ignored when the program started, as `nohup` requires.
/// SIGINT does not: shells ignore it in the background jobs of a script, and a user who presses Ctrl-C
/// wants them to end.
///
/// SIGXFSZ is caught without effect: the write that exceeds `ulimit -f` fails with an error of its own, as
/// on a full disk.
#[cfg(unix)]
pub(crate) fn on_stop(stop: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU, SIGXFSZ};
    use signal_hook::iterator::Signals;

    let ignored = ignored();
    let is_heeded = |signal: &i32| [SIGINT, SIGTERM].contains(signal) || (ignored >> (signal - 1)) & 1 == 0;
    let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
    let heeded = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU].into_iter().filter(is_heeded);
    let Ok(mut signals) = Signals::new(heeded) else { return };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    // Without the thread a signal still ends the run, but its temporary files remain.
    let _ = thread.spawn(move || signals.forever().for_each(|_| stop()));
}

/// Calls `stop` for Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn on_stop(stop: impl Fn() + Send + 'static) {
    let _ = ctrlc::set_handler(stop);
}

/// Returns the mask of the ignored signals, the first one in the lowest bit; 0 if the system does not
/// report it as Linux does.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
