//! Any bytes as a sequence: ids stay in the alphabet, the frame of special tokens is complete, lengths and
//! counts agree with each other and with a slow second reading, cutting to n letters gives the first n
//! tokens, and every length policy covers each residue once or, in windows, at most twice. Nucleotides are
//! refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_seq::tokenize::esm::{ALPHABET, CLS, EOS, UNK};
use virpack_seq::{Alphabet, EsmTokenizer, LengthPolicy, LongRecords, Record, TokenSlab, Tokenizer};

fuzz_target!(|data: &[u8]| {
    let Some((&[cut, overlap], sequence)) = data.split_first_chunk::<2>() else { return };
    let mut tokens = Vec::new();
    let counts = EsmTokenizer.tokenize(sequence, usize::MAX, &mut tokens);
    assert_eq!((tokens[0], tokens[tokens.len() - 1]), (CLS, EOS));
    assert_eq!(tokens.len(), counts.residues + 2);
    assert_eq!(EsmTokenizer.length(sequence), counts.residues as u64);
    assert!(tokens.iter().all(|&token| usize::from(token) < ALPHABET.len()));
    assert_eq!(tokens, slow(sequence));
    assert!(tokens.iter().filter(|&&token| token == UNK).count() >= counts.unknown as usize);

    let mut head = Vec::new();
    let cut = usize::from(cut) + 1;
    EsmTokenizer.tokenize(sequence, cut, &mut head);
    assert_eq!(head[..head.len() - 1], tokens[..head.len() - 1]);
    assert_eq!(head.len() - 2, counts.residues.min(cut));

    let overlap = usize::from(overlap) % (cut / 2 + 1);
    let policy =
        LengthPolicy { max_length: cut, min_length: 0, long_records: LongRecords::Window { overlap } };
    policy.check().expect("the overlap is at most half");
    let mut slab = TokenSlab::default();
    let record = Record { sequence: sequence.to_vec(), ..Record::default() };
    let applied = policy.apply(&EsmTokenizer, &record, &[], &mut slab);
    if Alphabet::Proteins.check(&record, &[]).is_err() {
        assert!(applied.is_err() && slab.is_empty(), "nucleotides are refused");
        return;
    }
    applied.expect("windows refuse nothing else");
    let mut seen = vec![0u8; counts.residues];
    for (window, index) in slab.drain() {
        let start = index.window.start as usize;
        assert_eq!(window[1..window.len() - 1], tokens[1 + start..start + window.len() - 1]);
        seen[start..start + window.len() - 2].iter_mut().for_each(|n| *n += 1);
    }
    assert!(seen.iter().all(|&n| n == 1 || n == 2));
});

/// The definition, letter by letter.
fn slow(sequence: &[u8]) -> Vec<u16> {
    let mut rest = sequence.strip_suffix(b"*").unwrap_or(sequence);
    let mut tokens = vec![CLS];
    while let Some(&first) = rest.first() {
        let upper = [first.to_ascii_uppercase()];
        let found = ALPHABET.iter().position(|name| {
            rest.starts_with(name.as_bytes()) || (name.len() == 1 && name.as_bytes() == upper)
        });
        let length = match found {
            Some(id) => ALPHABET[id].len(),
            None if first >= 0x80 => {
                1 + rest[1..].iter().take(3).take_while(|&&b| (0x80..0xC0).contains(&b)).count()
            }
            None => 1,
        };
        tokens.push(found.map_or(UNK, |id| id as u16));
        rest = &rest[length..];
    }
    tokens.push(EOS);
    tokens
}
