//! Validation passes correct records and names incorrect ones.

use std::path::Path;

use virpack_core::device::Dtype;
use virpack_core::validate::{ComparedRecord, Difference, Limits, ValidateOptions, Validation, validate};
use virpack_core::{DeviceChoice, DeviceOptions};
use virpack_seq::LengthPolicy;

fn options(folder: &Path) -> ValidateOptions {
    let path = folder.join("records.fasta");
    let residues = |i: usize| "LAGVSERTIDPKQNFYMHWC".repeat(4)[i % 7..][..1 + i * 37 % 60].to_owned();
    let records: String = (0..300).map(|i| format!(">s{i} a record\n{}\n", residues(i))).collect();
    std::fs::write(&path, records + ">without letters\n").unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    ValidateOptions::new(vec![path.into()], &model)
        .device(DeviceOptions::default().device(DeviceChoice::Cpu))
        .lengths(LengthPolicy { min_length: 5, ..LengthPolicy::default() })
        .records(50)
}

#[test]
fn the_cpu_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let found = validate(&options(folder.path()), |_| ()).unwrap();
    assert_eq!(found.records, 300);
    assert_eq!(found.failed().count(), 0);
    assert_eq!(found.same_bits(), found.compared.len());
    // Records below --min-length are left out; records with letters have the names of the input.
    assert!((40..=50).contains(&found.compared.len()), "{}", found.compared.len());
    for compared in &found.compared {
        let number: usize = compared.id.strip_prefix('s').unwrap().parse().unwrap();
        assert_eq!(compared.length as usize, 1 + number * 37 % 60, "{}", compared.id);
        assert!(compared.float32.is_none());
        assert!(compared.packed.same_bits, "{}", compared.id);
    }
}

#[test]
fn the_cpu_is_valid_in_bfloat16() {
    let folder = tempfile::tempdir().unwrap();
    let device = DeviceOptions::default().device(DeviceChoice::Cpu).dtype(Dtype::Bf16);
    let found = validate(&options(folder.path()).device(device), |_| ()).unwrap();
    assert_eq!(found.limits, Limits::of(Dtype::Bf16));
    assert_eq!(found.failed().count(), 0);
    assert_eq!(found.same_bits(), found.compared.len(), "packed and alone");
    // A precision other than the reference's, with a small difference.
    let differences = found.compared.iter().map(|compared| compared.float32.unwrap().relative);
    let largest = differences.fold(0.0, f64::max);
    assert!((1e-5..2e-2).contains(&largest), "{largest}");
}

/// A record with differences of this size.
fn compared(id: &str, packed: f64, float32: Option<f64>) -> ComparedRecord {
    let difference =
        |relative| Difference { max_abs: relative, relative, cosine: 1.0, same_bits: relative == 0.0 };
    let (packed, float32) = (difference(packed), float32.map(difference));
    ComparedRecord { id: id.to_owned(), length: 9, packed, float32 }
}

fn found(compared: Vec<ComparedRecord>, limits: Limits) -> Validation {
    Validation { device: String::new(), token_budget: 1_024, records: 4, compared, limits }
}

fn ids(found: Vec<&ComparedRecord>) -> Vec<String> {
    found.iter().map(|c| c.id.clone()).collect()
}

#[test]
fn what_differs_too_much_is_named_the_worst_first() {
    let records = vec![
        compared("good", 1e-4, Some(3e-3)),
        compared("packed", 3e-3, Some(1e-3)),
        compared("precision", 1e-4, Some(3e-1)),
        compared("reference", 0.0, None),
    ];
    let found = found(records, Limits { packed: 2e-3, ..Limits::of(Dtype::F16) });
    assert_eq!(ids(found.failed().collect()), ["packed", "precision"]);
    assert_eq!(ids(found.worst()), ["precision", "packed", "good", "reference"]);
}

#[test]
fn a_single_bit_between_packed_and_alone_fails_in_every_precision() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::Int8] {
        let records = vec![compared("same", 0.0, None), compared("a bit", 1e-8, None)];
        let found = found(records, Limits::of(dtype));
        assert_eq!(ids(found.failed().collect()), ["a bit"], "{dtype}");
        assert_eq!((found.same_bits(), ids(found.worst())), (1, vec!["a bit".to_owned(), "same".to_owned()]));
    }
}
