//! The program of `examples/embed_sequences.rs`.

use std::path::Path;

#[allow(dead_code, reason = "the example's `main` is not called")]
#[path = "../../examples/embed_sequences.rs"]
mod example;

#[test]
fn sequences_have_the_rows_that_each_has_alone() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights/safetensors");
    let model = model.to_str().unwrap();
    let both = example::embed(model, &["MKTLLVAGGX", "MKAL"]).unwrap();
    assert_eq!(both.len(), 2);
    assert!(both[0] != both[1] && both.iter().flatten().all(|value| value.is_finite()));
    for (row, sequence) in both.iter().zip(["MKTLLVAGGX", "MKAL"]) {
        assert_eq!(example::embed(model, &[sequence]).unwrap(), [row.as_slice()]);
    }
}
