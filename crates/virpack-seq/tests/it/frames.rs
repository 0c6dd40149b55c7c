//! Compares chunks and open frames with a second, naive implementation, written only from the description
//! of VirNucPro's behaviour.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use virpack_seq::{Frame, GeneticCode, Translator, chunks};

use crate::support::naive;

/// Any text that a record may hold, mostly bases; long open frames must occur.
fn sequence(longest: usize) -> impl Strategy<Value = String> {
    let letters =
        prop_oneof![Just("ACGT"), Just("ACG"), Just("ACGTacgtN"), Just("ACGTURYKMSWBDHVN-acgtun*XZ"),];
    letters.prop_flat_map(move |letters| {
        let letter = prop::sample::select(letters.as_bytes()).prop_map(char::from);
        prop::collection::vec(letter, 0..longest).prop_map(String::from_iter)
    })
}

fn ours(sequence: &str, code: GeneticCode) -> Vec<(String, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut translator = Translator::new(code);
    // Data from an earlier chunk must not appear.
    drop(translator.frames(b"GCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCTGCT"));
    let frames = translator.frames(sequence.as_bytes());
    frames.map(|f| (f.frame.as_str().to_owned(), text(f.nucleotides), text(f.protein))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_the_naive_ones(length in 0..5_000usize, size in 1..700usize) {
        let ours: Vec<_> = chunks(length, NonZeroUsize::new(size).unwrap()).collect();
        prop_assert_eq!(&ours, &naive::chunks(length, size));
        prop_assert_eq!(chunks(length, NonZeroUsize::new(size).unwrap()).len(), ours.len());
        // Nothing is left out, and nothing is longer than requested.
        prop_assert_eq!(ours.first().map_or(0, |chunk| chunk.start), 0);
        prop_assert_eq!(ours.last().map_or(0, |chunk| chunk.end), length);
        prop_assert!(ours.windows(2).all(|pair| pair[0].end >= pair[1].start && pair[0].start < pair[1].start));
        prop_assert!(ours.iter().all(|chunk| chunk.len() <= size && !chunk.is_empty()));
    }

    #[test]
    fn frames_are_the_naive_ones(sequence in sequence(200)) {
        prop_assert_eq!(ours(&sequence, GeneticCode::STANDARD), naive::frames(&sequence));
    }

    #[test]
    fn codons_are_at_the_stated_places(sequence in sequence(80)) {
        let upper = sequence.to_ascii_uppercase().replace('U', "T");
        for (frame, _, protein) in ours(&sequence, GeneticCode::STANDARD) {
            let frame = Frame::ALL.into_iter().find(|f| f.as_str() == frame).unwrap();
            let codons = &upper[frame.codons(upper.len())];
            let read = if frame.is_reverse() { naive::reverse_complement(codons) } else { codons.to_owned() };
            prop_assert_eq!(naive::protein(&read), protein);
        }
    }
}

#[test]
fn every_code_reads_every_codon() {
    let bases = ["T", "C", "A", "G"];
    for number in 0..=255 {
        let Ok(code) = GeneticCode::ncbi(number) else { continue };
        let mut stops = 0;
        for codon in (0..64).map(|i| [bases[i / 16], bases[i / 4 % 4], bases[i % 4]].concat()) {
            let residue = char::from(code.residue(codon.as_bytes().try_into().unwrap()).unwrap());
            let found = ours(&codon, code).into_iter().find(|(frame, ..)| frame == "F1");
            let expected = (residue != '*').then(|| ("F1".to_owned(), codon.clone(), residue.to_string()));
            assert_eq!(found, expected, "{codon} in code {number}");
            let other = naive::reverse_complement(&codon);
            let found = ours(&other, code).into_iter().find(|(frame, ..)| frame == "R1");
            let expected = (residue != '*').then(|| ("R1".to_owned(), codon, residue.to_string()));
            assert_eq!(found, expected, "{other} in code {number}");
            stops += usize::from(residue == '*');
        }
        assert!(stops <= 4, "code {number} has {stops} stops");
    }
    assert_eq!((0..=255).filter(|&number| GeneticCode::ncbi(number).is_ok()).count(), 27);
}

/// The differences between the codes, as NCBI's page lists them.
#[test]
fn codes_differ_where_they_should() {
    for (number, codon, residue) in [
        (2, b"AGA", b'*'),
        (2, b"ATA", b'M'),
        (3, b"CTG", b'T'),
        (4, b"TGA", b'W'),
        (5, b"AGG", b'S'),
        (6, b"TAA", b'Q'),
        (9, b"AAA", b'N'),
        (10, b"TGA", b'C'),
        (11, b"TGA", b'*'),
        (12, b"CTG", b'S'),
        (13, b"AGA", b'G'),
        (14, b"TAA", b'Y'),
        (15, b"TAG", b'Q'),
        (16, b"TAG", b'L'),
        (21, b"ATA", b'M'),
        (22, b"TCA", b'*'),
        (23, b"TTA", b'*'),
        (24, b"AGG", b'K'),
        (25, b"TGA", b'G'),
        (26, b"CTG", b'A'),
        (27, b"TGA", b'W'),
        (28, b"TAG", b'Q'),
        (29, b"TAA", b'Y'),
        (30, b"TAA", b'E'),
        (31, b"TGA", b'W'),
        (32, b"TAG", b'W'),
        (33, b"TAA", b'Y'),
    ] {
        let code = GeneticCode::ncbi(number).unwrap();
        assert_eq!(code.residue(*codon), Some(residue), "code {number}");
    }
}
