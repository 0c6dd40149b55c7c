//! Any bytes, read as a pickle: no panic, no unbounded memory, and every reference leads to a value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_model::fuzzing::Pickle;

fuzz_target!(|input: &[u8]| {
    let Ok(pickle) = Pickle::parse(input) else { return };
    assert!(!pickle.is_empty() && pickle.len() <= input.len());
    // Each instruction takes at least one byte and makes at most three values.
    assert!(pickle.ids().count() <= 3 * pickle.len());
    for id in std::iter::once(pickle.root()).chain(pickle.ids()) {
        for (key, value) in pickle.items(id) {
            let _ = (pickle.node(*key), pickle.node(*value));
        }
        for element in pickle.elements(id) {
            let _ = pickle.node(*element);
        }
        if let Some((_, _, args)) = pickle.call(id) {
            let _: Vec<_> = args.iter().map(|arg| pickle.node(*arg)).collect();
        }
        let _ = pickle.attribute(id, "encoder_layers");
    }
});
