//! Classifiers of one model's embeddings, and classifiers that do not fit.

use std::path::Path;

use super::*;

/// A head may take one model's vectors or both. A model that it leaves out is not run.
#[test]
fn heads_of_one_model_beside_a_head_of_nucleotides() {
    let directory = tempfile::tempdir().unwrap();
    let alone = fixture("predict/300_nucleotide_model.pth");
    let run = |name: &str, classifier: &Path, with_alone: bool| {
        let output = directory.path().join(name);
        let nucleotide_classifier = with_alone.then(|| alone.clone().into());
        let options = options(&[fixture("predict/input.fa")], &output);
        let predicted = run(&options.classifier(classifier).nucleotide_classifier(nucleotide_classifier));
        (output, predicted.tokens)
    };
    let both = run("both", &fixture("predict/300_model.pth"), true);
    let protein_head = directory.path().join("300_protein_model.safetensors");
    write_protein_head(&protein_head);
    for (name, head) in [("nucleotides", &alone), ("proteins", &protein_head)] {
        let (plain, tokens) = run(name, head, false);
        let (with, more) = run(&format!("{name}-with"), head, true);
        compare(&with, &plain);
        // One model reads complete chunks, whichever model reads the frames.
        assert_eq!(without_frames(&with), without_frames(&both.0), "{name}");
        assert_eq!(more.protein, tokens.protein);
        let [with, without] = [more, tokens].map(|tokens| tokens.nucleotide);
        assert!(with > without && with <= both.1.nucleotide, "{more:?} {tokens:?}");
        let reads = Pair { nucleotide: name == "nucleotides", protein: name == "proteins" };
        assert_eq!(tokens.map(|n| n > 0), reads);
    }
}

/// A classifier of the tiny protein model's 48 values.
fn write_protein_head(path: &Path) {
    let tensor = |name: &str, shape: &[usize]| {
        let values: Vec<u8> = (0..shape.iter().product())
            .flat_map(|i: usize| (((i * 2_654_435_761) % 1_000) as f32 / 1_000.0 - 0.5).to_le_bytes())
            .collect();
        (name.to_owned(), shape.to_vec(), values)
    };
    let tensors = [
        tensor("a.weight", &[5, 48]),
        tensor("a.bias", &[5]),
        tensor("b.weight", &[2, 5]),
        tensor("b.bias", &[2]),
    ];
    let views = tensors.iter().map(|(name, shape, values)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), values).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let options = options(&[fixture("predict/input.fa")], &output);
    let refused = |alone: &Path| {
        let options = options.clone().nucleotide_classifier(Location::from(alone));
        predict(&options, &CancelToken::new(), |_| ()).unwrap_err().to_string()
    };
    let error = refused(&fixture("predict/300_model.pth"));
    assert!(error.contains("takes 112 features, but the nucleotide model gives 64"), "{error}");
    let other = directory.path().join("500_model.pth");
    std::fs::copy(fixture("predict/300_nucleotide_model.pth"), &other).unwrap();
    let error = refused(&other);
    assert!(error.contains("chunks of 300 bases") && error.contains("on chunks of 500"), "{error}");
    assert!(!output.exists());
}
