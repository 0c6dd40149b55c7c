//! `bench` on a device whose batches take a known time.

use std::sync::Arc;
use std::time::Duration;

use super::faulty::{Fault, Faulty};
use virpack_core::bench::{BenchOptions, bench};
use virpack_core::model::Esm2Config;
use virpack_core::synthetic::Load;

#[test]
fn a_device_is_as_fast_as_it_is() {
    const BATCH: Duration = Duration::from_millis(100);
    const TOKENS: usize = 1_024;
    let device = Faulty::new(usize::MAX, |_, _| {
        std::thread::sleep(BATCH);
        Fault::None
    });
    let options = BenchOptions::new(Esm2Config::published(1, 32, 2), Load::Reads)
        .token_budget(TOKENS)
        .time(Duration::from_millis(300));
    let report = bench(Arc::new(device), &options, |_| ()).unwrap();
    let most = TOKENS as f64 / BATCH.as_secs_f64();
    for round in &report.rounds {
        // Each batch takes at least this time, and none holds more. With batches in flight counted, the
        // rate was half as high again.
        assert!(round.tokens_per_second <= most && round.tokens_per_second > 0.3 * most, "{round:?}, {most}");
        assert!(round.busy <= 1.01, "{round:?}");
    }
}
