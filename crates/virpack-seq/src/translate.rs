//! The open reading frames of a chunk: proteins and their nucleotides.

mod code;

use std::ops::Range;

pub use code::GeneticCode;

use crate::letters::{NO_BASE, TABLES};

/// One of the six reading frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Frame {
    /// The chunk itself, from its first base.
    F1,
    /// From its second base.
    F2,
    /// From its third base.
    F3,
    /// The reverse complement, from its first base.
    R1,
    /// From its second base.
    R2,
    /// From its third base.
    R3,
}

impl Frame {
    /// All six frames, in the order of the results.
    pub const ALL: [Frame; 6] = [Frame::F1, Frame::F2, Frame::F3, Frame::R1, Frame::R2, Frame::R3];

    /// Returns the name, `F1` to `R3`.
    pub fn as_str(self) -> &'static str {
        ["F1", "F2", "F3", "R1", "R2", "R3"][self as usize]
    }

    /// Returns whether the frame is read on the reverse complement.
    ///
    /// ```
    /// use virpack_seq::Frame;
    ///
    /// assert!(Frame::R1.is_reverse() && !Frame::F3.is_reverse());
    /// ```
    pub fn is_reverse(self) -> bool {
        self >= Frame::R1
    }

    /// Returns the bases before its first codon: 0 to 2.
    ///
    /// ```
    /// use virpack_seq::Frame;
    ///
    /// assert_eq!([Frame::F1, Frame::F3, Frame::R2].map(Frame::offset), [0, 2, 1]);
    /// ```
    pub fn offset(self) -> usize {
        self as usize % 3
    }

    /// Returns the bases of a chunk of `length` bases that its codons cover, on the chunk's own strand.
    ///
    /// ```
    /// use virpack_seq::Frame;
    ///
    /// assert_eq!(Frame::F2.codons(9), 1..7);
    /// assert_eq!(Frame::R2.codons(9), 2..8);
    /// ```
    pub fn codons(self, length: usize) -> Range<usize> {
        let start = self.offset().min(length);
        let end = start + (length - start) / 3 * 3;
        if self.is_reverse() { length - end..length - start } else { start..end }
    }
}

/// A reading frame without a stop codon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFrame<'a> {
    /// Which one.
    pub frame: Frame,
    /// The bases that it is read from, in reading direction, in capitals, U as T: three for each residue
    /// from its first codon on, and the one base after them if there is one.
    pub nucleotides: &'a [u8],
    /// Its residues, at least one.
    pub protein: &'a [u8],
}

/// Finds the reading frames of chunks without a stop codon, as VirNucPro does.
///
/// Letters count in either case, and U as T. A codon with any other letter gives no residue. A frame has as
/// many nucleotides as its residues require, so after an ambiguous base they end before its last codon.
///
/// ```
/// use virpack_seq::{Frame, GeneticCode, Translator};
///
/// let mut translator = Translator::new(GeneticCode::STANDARD);
/// let first = translator.frames(b"atggcntaca").next().unwrap();
/// assert_eq!((first.frame, first.protein, first.nucleotides), (Frame::F1, &b"MY"[..], &b"ATGGCNT"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct Translator {
    /// The residue of each codon number, read forward and as the reverse complement.
    forward: Box<[u8; CODONS]>,
    reverse: Box<[u8; CODONS]>,
    /// The codon at each base of the chunk.
    codons: Vec<u16>,
    bases: Vec<u8>,
    letters: Vec<u8>,
    complement: Vec<u8>,
    proteins: [Vec<u8>; 6],
    /// The run without a stop that is read, and the longest so far.
    runs: [Vec<u8>; 2],
}

/// Codon numbers: three bits a base.
const CODONS: usize = 1 << 9;
/// The value for a codon with a letter other than A, C, G, T and U.
const NO_RESIDUE: u8 = 0;
const STOP: u8 = b'*';

impl Translator {
    /// Returns a translator for one genetic code.
    pub fn new(code: GeneticCode) -> Self {
        let (mut forward, mut reverse) = (Box::new([NO_RESIDUE; CODONS]), Box::new([NO_RESIDUE; CODONS]));
        for codon in 0..4usize.pow(3) {
            let bases = [codon / 16, codon / 4 % 4, codon % 4];
            // T and A, and C and G, are complementary: their numbers differ by two.
            let other = [bases[2] ^ 2, bases[1] ^ 2, bases[0] ^ 2];
            let residue = code.residue(bases.map(|base| b"TCAG"[base]));
            let residue = residue.expect("it is made of bases");
            forward[number(bases.map(|base| base as u8)) as usize] = residue;
            reverse[number(other.map(|base| base as u8)) as usize] = residue;
        }
        Translator {
            forward,
            reverse,
            bases: Vec::new(),
            codons: Vec::new(),
            letters: Vec::new(),
            complement: Vec::new(),
            proteins: Default::default(),
            runs: Default::default(),
        }
    }

    /// Iterates over the open frames of a chunk, in the order of [`Frame::ALL`].
    ///
    /// ```
    /// use virpack_seq::{GeneticCode, Translator};
    ///
    /// let mut translator = Translator::new(GeneticCode::STANDARD);
    /// let open: Vec<&str> = translator.frames(b"ATGTAA").map(|open| open.frame.as_str()).collect();
    /// assert_eq!(open, ["F2", "F3", "R1", "R2", "R3"]); // F1 is ATG TAA, which stops
    /// ```
    pub fn frames(&mut self, chunk: &[u8]) -> impl Iterator<Item = OpenFrame<'_>> {
        self.number(chunk);
        let mut open = [false; 6];
        for (place, frame) in Frame::ALL.into_iter().enumerate() {
            let protein = &mut self.proteins[place];
            protein.clear();
            open[place] = if frame.is_reverse() {
                translate(reverse_codons(&self.codons, frame), &self.reverse, protein)
            } else {
                translate(forward_codons(&self.codons, frame), &self.forward, protein)
            };
        }
        if open[..3].contains(&true) {
            self.write_letters(chunk);
        }
        if open[3..].contains(&true) {
            self.write_complement(chunk);
        }
        let found = &*self;
        Frame::ALL.into_iter().zip(open).filter(|(_, open)| *open).map(move |(frame, _)| {
            let protein = &found.proteins[frame as usize][..];
            let strand = if frame.is_reverse() { &found.complement } else { &found.letters };
            let end = strand.len().min(frame.offset() + 3 * protein.len() + 1);
            OpenFrame { frame, nucleotides: &strand[frame.offset()..end], protein }
        })
    }

    /// Returns the complete chunk and its reverse complement, in capitals, U as T; None if it has no codon
    /// that can be translated.
    ///
    /// ```
    /// use virpack_seq::{GeneticCode, Translator};
    ///
    /// let mut translator = Translator::new(GeneticCode::STANDARD);
    /// assert_eq!(translator.strands(b"ntaac"), Some([&b"NTAAC"[..], b"GTTAN"]));
    /// assert_eq!(translator.strands(b"acnnnac"), None);
    /// ```
    pub fn strands(&mut self, chunk: &[u8]) -> Option<[&[u8]; 2]> {
        let is_base = |&letter: &u8| TABLES.base[letter as usize] != NO_BASE;
        if !chunk.windows(3).any(|codon| codon.iter().all(is_base)) {
            return None;
        }
        self.write_letters(chunk);
        self.write_complement(chunk);
        Some([&self.letters, &self.complement])
    }

    /// The letters of the whole codons of all six frames, open or not, in the order of [`Frame::ALL`]: in
    /// reading direction, capitals, U as T. Nothing where no codon can be read.
    ///
    /// ```
    /// use virpack_seq::{GeneticCode, Translator};
    ///
    /// let mut translator = Translator::new(GeneticCode::STANDARD);
    /// let six = translator.codons(b"atgta").expect("a codon of bases");
    /// assert_eq!(six, [&b"ATG"[..], b"TGT", b"GTA", b"TAC", b"ACA", b"CAT"]);
    /// assert_eq!(translator.codons(b"acnnnac"), None);
    /// ```
    pub fn codons(&mut self, chunk: &[u8]) -> Option<[&[u8]; 6]> {
        let [letters, complement] = self.strands(chunk)?;
        Some(Frame::ALL.map(|frame| {
            let strand = if frame.is_reverse() { complement } else { letters };
            let strand = &strand[frame.offset().min(strand.len())..];
            &strand[..strand.len() / 3 * 3]
        }))
    }

    /// The longest run of residues without a stop in any of the six frames; of equal ones that of the first
    /// frame, and there the earlier one. Nothing where it has fewer than `at_least`.
    ///
    /// ```
    /// use virpack_seq::{GeneticCode, Translator};
    ///
    /// let mut translator = Translator::new(GeneticCode::STANDARD);
    /// assert_eq!(translator.longest_run(b"ATGGCCAAACTG", 4), Some(&b"MAKL"[..])); // R1 has four, too: QFGH
    /// assert_eq!(translator.longest_run(b"TAAATAA", 2), Some(&b"LF"[..])); // F1 and F2 have a stop
    /// assert_eq!(translator.longest_run(b"ATGGCCAAACTG", 5), None);
    /// ```
    pub fn longest_run(&mut self, chunk: &[u8], at_least: usize) -> Option<&[u8]> {
        self.number(chunk);
        let [run, longest] = &mut self.runs;
        longest.clear();
        for frame in Frame::ALL {
            run.clear();
            if frame.is_reverse() {
                keep_longest(reverse_codons(&self.codons, frame), &self.reverse, run, longest);
            } else {
                keep_longest(forward_codons(&self.codons, frame), &self.forward, run, longest);
            }
        }
        (longest.len() >= at_least.max(1)).then_some(longest)
    }

    fn write_letters(&mut self, chunk: &[u8]) {
        self.letters.clear();
        self.letters.extend(chunk.iter().map(|&letter| TABLES.unified[letter as usize]));
    }

    fn write_complement(&mut self, chunk: &[u8]) {
        self.complement.clear();
        self.complement.extend(chunk.iter().rev().map(|&letter| TABLES.complement[letter as usize]));
    }

    /// Numbers the codon at each base of the chunk.
    fn number(&mut self, chunk: &[u8]) {
        self.bases.clear();
        self.bases.extend(chunk.iter().map(|&letter| TABLES.base[letter as usize]));
        self.codons.clear();
        let bases = &self.bases;
        let codons = bases.iter().zip(bases.iter().skip(1)).zip(bases.iter().skip(2));
        self.codons.extend(codons.map(|((&first, &second), &third)| number([first, second, third])));
    }
}

fn number(bases: [u8; 3]) -> u16 {
    u16::from(bases[0]) << 6 | u16::from(bases[1]) << 3 | u16::from(bases[2])
}

/// Iterates over the codons of a frame of the chunk itself, in reading direction, given those at each base.
fn forward_codons(codons: &[u16], frame: Frame) -> impl Iterator<Item = &u16> {
    codons[frame.offset().min(codons.len())..].iter().step_by(3)
}

/// Iterates over the codons of a frame of the reverse complement in the same way.
fn reverse_codons(codons: &[u16], frame: Frame) -> impl Iterator<Item = &u16> {
    codons[..codons.len().saturating_sub(frame.offset())].iter().rev().step_by(3)
}

/// Puts the longest run without a stop into `longest`, if it is longer than the one there.
fn keep_longest<'a>(
    codons: impl Iterator<Item = &'a u16>,
    residues: &[u8; CODONS],
    run: &mut Vec<u8>,
    longest: &mut Vec<u8>,
) {
    let mut end = |run: &mut Vec<u8>| {
        if run.len() > longest.len() {
            std::mem::swap(run, longest);
        }
        run.clear();
    };
    for &codon in codons {
        match residues[codon as usize % CODONS] {
            STOP => end(run),
            NO_RESIDUE => {}
            residue => run.push(residue),
        }
    }
    end(run);
}

/// Returns the share of G and C among the bases of `letters`; 0 if there are no bases.
pub(crate) fn gc_share(letters: &[u8]) -> f32 {
    let (mut bases, mut strong) = (0u32, 0u32);
    for &letter in letters {
        let base = TABLES.base[usize::from(letter)];
        bases += u32::from(base != NO_BASE);
        // C and G have odd numbers.
        strong += u32::from(base & 1);
    }
    if bases == 0 { 0.0 } else { strong as f32 / bases as f32 }
}

/// Translates codons up to the first stop, and returns whether there is no stop and at least one residue.
fn translate<'a>(
    codons: impl Iterator<Item = &'a u16>,
    residues: &[u8; CODONS],
    protein: &mut Vec<u8>,
) -> bool {
    for &codon in codons {
        match residues[codon as usize % CODONS] {
            STOP => return false,
            NO_RESIDUE => {}
            residue => protein.push(residue),
        }
    }
    !protein.is_empty()
}
