//! Plans through the library: what is read for a part, and which models may make a part.

use std::path::Path;

use virpack_core::plan::{CommitOptions, PlanOptions, commit, plan};
use virpack_core::seq::ReadLimits;
use virpack_core::{CancelToken, Embedder, Error, Event, Hint};

const MODEL: &str = "virpack-mini/peptide";

/// A plan of 400 proteins in small parts.
fn planned(folder: &Path) -> virpack_core::plan::Plan {
    let letters = "MKTAYIAKJRLLGGTSPEDWNCFV".repeat(4);
    let records = (0..400).map(|i| format!(">p{i}\n{}\n", &letters[i % 24..][..1 + i * 7 % 70]));
    let input = folder.join("in.fa");
    std::fs::write(&input, records.collect::<String>()).unwrap();
    let options = PlanOptions::new(vec![input.into()], MODEL, folder.join("plan")).part_tokens(2_000_u64);
    plan(&options, |_| ()).unwrap()
}

#[test]
fn all_parts_together_read_the_input_once() {
    let folder = tempfile::tempdir().unwrap();
    let plan = planned(folder.path());
    assert!(plan.parts().len() > 5, "{}", plan.parts().len());
    let embedder = Embedder::new(plan.embedder_options().unwrap(), |_| ()).unwrap();
    let (mut read, mut rows) = (0, 0);
    for part in plan.parts().iter().rev() {
        let mut bytes = 0;
        let each = |event| {
            if let Event::Progress(progress) = event {
                bytes = progress.bytes;
            }
        };
        let limits = ReadLimits::default();
        let made = plan.embed_part(&embedder, part.number, limits, &CancelToken::new(), each).unwrap();
        assert_eq!(bytes, part.range.bytes.end - part.range.bytes.start);
        assert_eq!(plan.part_that_is_there(part.number).unwrap().unwrap().sha256, made.sha256);
        read += bytes;
        rows += made.rows;
    }
    assert_eq!(read, std::fs::metadata(folder.path().join("in.fa")).unwrap().len());
    assert_eq!((rows, plan.missing().unwrap()), (400, vec![]));
    assert_eq!(commit(&CommitOptions::new(folder.path().join("plan"))).unwrap().rows, 400);
}

#[test]
fn a_part_is_made_with_the_options_of_the_plan_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let plan = planned(folder.path());
    let made_with = |options| {
        let embedder = Embedder::new(options, |_| ()).unwrap();
        let (limits, cancel) = (ReadLimits::default(), CancelToken::new());
        plan.embed_part(&embedder, 1, limits, &cancel, |_| ()).unwrap_err()
    };
    for (options, said) in [
        (plan.embedder_options().unwrap().layer(0), "the layer is not the plan's: 0 here, 2 there"),
        (plan.embedder_options().unwrap().pool(None), "the pooling is not the plan's: none here, mean there"),
    ] {
        let error = made_with(options);
        assert!(matches!(error, Error::Plan(_)) && error.hint().is_some(), "{error:?}");
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn a_part_that_is_cancelled_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = planned(folder.path());
    let embedder = Embedder::new(plan.embedder_options().unwrap(), |_| ()).unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = plan.embed_part(&embedder, 1, ReadLimits::default(), &cancel, |_| ()).unwrap_err();
    assert!(matches!(error, Error::Interrupted { kept: None }), "{error}");
    let names = std::fs::read_dir(folder.path().join("plan")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["_parts", "plan.json", "plan.jsonl"]);
    assert_eq!(plan.missing().unwrap().len(), plan.parts().len());
}
