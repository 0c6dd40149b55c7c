use proptest::prelude::*;

use super::*;

const LENGTH: usize = 500;

fn model() -> SegmentModel {
    SegmentModel { least_bases: 3_000, least_score: 4.0, ..SegmentModel::default() }
}

/// Chunks one after another, with these log-odds.
fn record(odds: &[Option<f64>]) -> Vec<ChunkEvidence> {
    let chunk = |(i, odds): (usize, &Option<f64>)| {
        let scores = odds.map(|odds| {
            let virus = 1.0 / (1.0 + (-odds).exp());
            [1.0 - virus, virus].map(|score| score as f32)
        });
        ChunkEvidence::new(&(i * LENGTH..(i + 1) * LENGTH), scores)
    };
    odds.iter().enumerate().map(chunk).collect()
}

/// A host of 400 chunks with a phage of 40 in it.
fn host_with_phage() -> Vec<Option<f64>> {
    let noise = |i: usize| ((i * 7919) % 13) as f64 / 13.0 - 0.5;
    (0..440).map(|i| Some(noise(i) * 3.0 + if (200..240).contains(&i) { 1.5 } else { -1.5 })).collect()
}

#[test]
fn a_chunk_takes_16_bytes() {
    assert_eq!(std::mem::size_of::<ChunkEvidence>(), 16);
}

#[test]
fn a_provirus_is_found_where_it_is() {
    let found = segments(&record(&host_with_phage()), RegionKind::Provirus, &model());
    let [region] = found.regions.as_slice() else { panic!("{:?}", found.regions) };
    assert!(region.bases.start.abs_diff(200 * LENGTH) <= 2 * LENGTH, "{region:?}");
    assert!(region.bases.end.abs_diff(240 * LENGTH) <= 2 * LENGTH, "{region:?}");
    assert!(region.mean_posterior > 0.9 && region.score > 10.0, "{region:?}");
    assert_eq!(region.classified, region.chunks);
    assert!(found.posterior[0] < 0.1 && found.posterior[220] > 0.9);
}

#[test]
fn single_viral_chunks_are_no_region() {
    let odds: Vec<_> = (0..400).map(|i| Some(if i % 4 == 0 { 2.5 } else { -1.5 })).collect();
    assert_eq!(segments(&record(&odds), RegionKind::Provirus, &model()).regions, []);
}

#[test]
fn chunks_without_a_verdict_are_neutral() {
    let mut odds = host_with_phage();
    for gap in [100..104, 216..220] {
        odds[gap].fill(None);
    }
    let found = segments(&record(&odds), RegionKind::Provirus, &model());
    let [region] = found.regions.as_slice() else { panic!("{:?}", found.regions) };
    assert!(region.bases.start < 202 * LENGTH && region.bases.end > 238 * LENGTH, "{region:?}");
    assert_eq!(region.chunks - region.classified, 4);
    assert_eq!(segments(&record(&[None, None]), RegionKind::Viral, &model()).regions, []);
    assert_eq!(segments(&[], RegionKind::Viral, &model()), Segments::default());
}

#[test]
fn chunks_that_overlap_count_once() {
    let scores = Some([0.1_f32, 0.9]);
    let alone = [ChunkEvidence::new(&(0..500), scores)];
    // 501 bases are two chunks that share 499.
    let twice = [ChunkEvidence::new(&(0..500), scores), ChunkEvidence::new(&(1..501), scores)];
    let score = |chunks: &[ChunkEvidence]| segments(chunks, RegionKind::Viral, &model()).regions[0].score;
    assert!((score(&twice) / score(&alone) - 1.0).abs() < 0.01, "{} {}", score(&twice), score(&alone));
}

#[test]
fn a_genome_that_looks_viral_throughout_has_no_proviruses_with_its_own_background() {
    let odds: Vec<_> = (0..400).map(|i| Some(0.4 + ((i * 7919) % 13) as f64 / 13.0)).collect();
    let background = Background { median: -1.4, share: 1.0, least_chunks: 100 };
    let own = SegmentModel { background, ..model() };
    assert!(!segments(&record(&odds), RegionKind::Provirus, &model()).regions.is_empty());
    assert_eq!(segments(&record(&odds), RegionKind::Provirus, &own).regions, []);
    // A short record has no background of its own, and a viral record has none.
    assert!(!segments(&record(&odds[..99]), RegionKind::Provirus, &own).regions.is_empty());
    assert!(!segments(&record(&odds), RegionKind::Viral, &own).regions.is_empty());
}

#[test]
fn a_chain_over_many_bases_ends_in_its_rates() {
    let moves = Moves::over(1e9, [1e-5, 3e-5]);
    assert!((moves.into.exp() - 0.25).abs() < 1e-9 && (moves.virus.exp() - 0.25).abs() < 1e-9);
    let moves = Moves::over(500.0, [1e-5, 3e-5]);
    assert!((moves.into.exp() + moves.cell.exp() - 1.0).abs() < 1e-12);
    assert!((moves.out.exp() + moves.virus.exp() - 1.0).abs() < 1e-12);
    assert!((moves.into.exp() - 500.0 * 1e-5).abs() < 1e-4);
}

proptest! {
    #[test]
    fn regions_lie_inside_the_record_apart_and_sorted(
        odds in prop::collection::vec(prop::option::weighted(0.9, -4.0_f64..4.0), 0..200),
        viral: bool,
        last in 1_usize..=LENGTH,
    ) {
        let mut chunks = record(&odds);
        // The last chunk is shifted back over the one before it.
        if let Some(chunk) = chunks.last_mut() {
            chunk.start = (chunk.start + last as u64).saturating_sub(LENGTH as u64);
        }
        let kind = if viral { RegionKind::Viral } else { RegionKind::Provirus };
        let found = segments(&chunks, kind, &model());
        prop_assert_eq!(found.posterior.len(), chunks.len());
        prop_assert!(found.posterior.iter().all(|p| (0.0..=1.0).contains(p)));
        let end = chunks.last().map_or(0, |chunk| chunk.bases().end as usize);
        for region in &found.regions {
            prop_assert!(region.bases.start < region.bases.end && region.bases.end <= end);
            prop_assert!(region.classified > 0 && region.classified <= region.chunks);
            prop_assert!(viral || (region.bases.len() >= 3_000 && region.score >= 4.0));
        }
        prop_assert!(found.regions.is_sorted_by(|a, b| a.score >= b.score));
        let mut places: Vec<_> = found.regions.iter().map(|region| region.bases.clone()).collect();
        places.sort_by_key(|bases| bases.start);
        prop_assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }

    #[test]
    fn more_viral_chunks_never_lower_a_posterior(
        odds in prop::collection::vec(-3.0_f64..3.0, 1..80), at in 0_usize..80, more in 0.0_f64..3.0,
    ) {
        let at = at % odds.len();
        let mut higher = odds.clone();
        higher[at] += more;
        let of = |odds: &[f64]| {
            let known: Vec<_> = odds.iter().copied().map(Some).collect();
            segments(&record(&known), RegionKind::Viral, &model()).posterior
        };
        let (before, after) = (of(&odds), of(&higher));
        prop_assert!(before.iter().zip(&after).all(|(b, a)| *a >= *b - 1e-6));
    }
}
