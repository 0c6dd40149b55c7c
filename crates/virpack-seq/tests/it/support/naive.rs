//! Chunks and open frames, implemented as they are described, letter by letter and list by list.

use std::ops::Range;

/// Returns the chunks of a record: as many as cover it, with the surplus spread over the joins.
pub(crate) fn chunks(length: usize, size: usize) -> Vec<Range<usize>> {
    let count = length.div_ceil(size);
    if count == 0 {
        return Vec::new();
    }
    let surplus = count * size - length;
    let each = surplus / count;
    let mut joins = vec![each; count - 1];
    let left = surplus - each * (count - 1);
    joins.iter_mut().take(left).for_each(|join| *join += 1);
    (0..count)
        .map(|i| {
            let taken: usize = joins[..i].iter().sum();
            let start = i * size - taken;
            start..length.min(start + size)
        })
        .collect()
}

/// The standard code, amino acid by amino acid.
const CODE: [(char, &str); 21] = [
    ('A', "GCT GCC GCA GCG"),
    ('C', "TGT TGC"),
    ('D', "GAT GAC"),
    ('E', "GAA GAG"),
    ('F', "TTT TTC"),
    ('G', "GGT GGC GGA GGG"),
    ('H', "CAT CAC"),
    ('I', "ATT ATC ATA"),
    ('K', "AAA AAG"),
    ('L', "TTA TTG CTT CTC CTA CTG"),
    ('M', "ATG"),
    ('N', "AAT AAC"),
    ('P', "CCT CCC CCA CCG"),
    ('Q', "CAA CAG"),
    ('R', "CGT CGC CGA CGG AGA AGG"),
    ('S', "TCT TCC TCA TCG AGT AGC"),
    ('T', "ACT ACC ACA ACG"),
    ('V', "GTT GTC GTA GTG"),
    ('W', "TGG"),
    ('Y', "TAT TAC"),
    ('*', "TAA TAG TGA"),
];

pub(crate) fn reverse_complement(sequence: &str) -> String {
    let pair = |letter| match letter {
        'A' => 'T',
        'C' => 'G',
        'G' => 'C',
        'T' => 'A',
        other => other,
    };
    sequence.chars().rev().map(pair).collect()
}

/// Returns the residues of complete codons, stops included. An invalid codon gives no residue.
pub(crate) fn protein(sequence: &str) -> String {
    let letters: Vec<char> = sequence.chars().collect();
    let codons = letters.chunks_exact(3).map(String::from_iter);
    codons
        .filter_map(|codon| CODE.iter().find(|(_, codons)| codons.split(' ').any(|c| c == codon)))
        .map(|(residue, _)| *residue)
        .collect()
}

/// Returns the open frames of a chunk of ASCII letters: name, nucleotides, protein.
pub(crate) fn frames(chunk: &str) -> Vec<(String, String, String)> {
    let forward = chunk.to_ascii_uppercase().replace('U', "T");
    let reverse = reverse_complement(&forward);
    let mut found = Vec::new();
    for (strand, sequence) in [("F", &forward), ("R", &reverse)] {
        for offset in 0..3.min(sequence.len()) {
            let protein = protein(&sequence[offset..]);
            if protein.is_empty() || protein.contains('*') {
                continue;
            }
            let end = sequence.len().min(offset + 3 * protein.len() + 1);
            found.push((format!("{strand}{}", offset + 1), sequence[offset..end].to_owned(), protein));
        }
    }
    found
}
