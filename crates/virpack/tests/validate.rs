//! Validation passes what is right and names what is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;

use virpack::device::Dtype;
use virpack::devices::{DeviceChoice, DeviceOptions};
use virpack::validate::{Compared, Difference, Limits, ValidateOptions, Validation, validate};
use virpack_seq::LengthPolicy;

fn options(folder: &Path) -> ValidateOptions {
    let path = folder.join("records.fasta");
    let residues = |i: usize| "LAGVSERTIDPKQNFYMHWC".repeat(4)[i % 7..][..1 + i * 37 % 60].to_owned();
    let records: String = (0..300).map(|i| format!(">s{i} a record\n{}\n", residues(i))).collect();
    std::fs::write(&path, records + ">without letters\n").unwrap();
    ValidateOptions {
        inputs: vec![path.into()],
        model: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny").into(),
        device: DeviceOptions { device: DeviceChoice::Cpu, ..DeviceOptions::default() },
        lengths: LengthPolicy { min_length: 5, ..LengthPolicy::default() },
        token_budget: None,
        records: 50,
        packed_limit: None,
        float32_limit: None,
    }
}

#[test]
fn the_cpu_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let found = validate(&options(folder.path())).unwrap();
    assert_eq!(found.records, 300);
    assert_eq!(found.failed().count(), 0);
    // Records below --min-length are left out, those with letters are named as in the input.
    assert!((40..=50).contains(&found.compared.len()), "{}", found.compared.len());
    for compared in &found.compared {
        let number: usize = compared.id.strip_prefix('s').unwrap().parse().unwrap();
        assert_eq!(compared.length as usize, 1 + number * 37 % 60, "{}", compared.id);
        assert!(compared.float32.is_none());
    }
}

#[test]
fn what_differs_too_much_is_named_the_worst_first() {
    let compared = |id: &str, packed: f64, float32: Option<f64>| {
        let difference = |relative| Difference { max_abs: relative, relative, cosine: 1.0 };
        let (packed, float32) = (difference(packed), float32.map(difference));
        Compared { id: id.to_owned(), length: 9, packed, float32 }
    };
    let found = Validation {
        device: String::new(),
        token_budget: 1_024,
        records: 4,
        compared: vec![
            compared("good", 1e-4, Some(3e-3)),
            compared("packed", 3e-3, Some(1e-3)),
            compared("precision", 1e-4, Some(3e-1)),
            compared("reference", 0.0, None),
        ],
        limits: Limits::of(Dtype::F16),
    };
    let ids = |found: Vec<&Compared>| found.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(found.failed().collect()), ["packed", "precision"]);
    assert_eq!(ids(found.worst()), ["precision", "packed", "good", "reference"]);
}
