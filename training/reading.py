"""Six frames of chunks as tensors: words for the codon tower, peptides for ESM-2, facts for the head.

Bases are those of `sequences`: 0-3 in the order of TCAG, 255 any other letter.
"""
import functools

import torch
from torch.nn import functional as F

import sequences as seq

UNKNOWN, OUTSIDE = 64, 65  # words: codons 0-63, one with another letter, beyond the sequence's end
WORDS = 65
# [UNK] [CLS] [SEP] [PAD] [MASK], then all words of one to three bases, shorter ones first, in the order of TCAG.
FIRST_CODON = 5 + 4 + 16
N_VOCABULARY = FIRST_CODON + 64
FACTS = 4
SHORTEST = 40  # residues of a partial frame
NONE = seq.PAD  # in `residues`: a codon with another letter is no residue, as in VirNucPro


@functools.cache
def residues_of(device):
    """The residue of each codon, copied to a device once: a copy waits for all that the device has to do."""
    return torch.from_numpy(seq.CODON).to(device).long()


def six(bases):
    """Of chunks `[n, letters]`: words and residues (ESM-2 ids, STOP, NONE), each `[n, 6, codons]`, F1-F3 and R1-R3."""
    n, length = bases.shape
    residue = residues_of(bases.device)
    codes = bases.long()
    reverse = torch.where(codes > 3, codes, codes ^ 2).flip(1)
    words, residues, width = [], [], max(1, length // 3)
    for strand in codes, reverse:
        for offset in range(3):
            codons = max(0, (length - offset) // 3)
            triples = strand[:, offset : offset + 3 * codons].view(n, codons, 3)
            known = (triples < 4).all(2)
            codon = (triples[..., 0] & 3) * 16 + (triples[..., 1] & 3) * 4 + (triples[..., 2] & 3)
            word = torch.where(known, codon, UNKNOWN)
            own = torch.where(known, residue[codon], NONE)
            words.append(F.pad(word, (0, width - codons), value=OUTSIDE))
            residues.append(F.pad(own, (0, width - codons), value=NONE))
    return torch.stack(words, 1), torch.stack(residues, 1)


def open_frames(residues):
    """`[n, 6]`: no stop, and a residue at least."""
    return (residues != seq.STOP).all(2) & (residues != NONE).any(2)


def width_of(codons):
    """Of peptides with both ends: a multiple of 8, as attention kernels like it; padding changes nothing."""
    return -(-(codons + 2) // 8) * 8


def as_ids(residues):
    """Rows `[n, codons]` of residues and NONE to `<cls>`, the residues moved together, `<eos>`, padding."""
    n, codons = residues.shape
    has = residues != NONE
    order = torch.argsort((~has).to(torch.int8), dim=1, stable=True)
    ids = torch.full((n, width_of(codons)), seq.PAD, device=residues.device)
    ids[:, 0] = seq.CLS
    ids[:, 1 : codons + 1] = residues.gather(1, order)
    return ids.scatter_(1, has.sum(1, keepdim=True) + 1, seq.EOS)


def longest_run(residues):
    """Of each chunk's six frames `[n, 6, codons]` the longest run without a stop, the first of equal ones, as ids.

    A run of fewer than SHORTEST residues is none: only `<cls>` and `<eos>` are left.
    """
    n, _, codons = residues.shape
    if n == 0 or codons == 0:
        return as_ids(torch.full((n, codons), NONE, device=residues.device))
    is_stop = residues == seq.STOP
    count = ((residues != NONE) & ~is_stop).cumsum(2)
    before = torch.where(is_stop, count, 0).cummax(2).values
    length = (count - before).flatten(1)
    place = torch.arange(6 * codons, device=residues.device)
    best = (length * (6 * codons) - place).argmax(1)
    frame, end = best // codons, best % codons
    rows = torch.arange(n, device=residues.device)
    own = residues[rows, frame]
    number = torch.arange(codons, device=residues.device)
    # From the stop before the run's last codon to that codon.
    stops = torch.where((own == seq.STOP) & (number < end[:, None]), number, -1).amax(1)
    inside = (number > stops[:, None]) & (number <= end[:, None])
    long_enough = length[rows, best] >= SHORTEST
    return as_ids(own.masked_fill(~(inside & long_enough[:, None]), NONE))


def facts(bases, is_open):
    """`[n, 4]`: an open frame, a partial one (filled in later), open frames / 6, share of G and C."""
    known = bases < 4
    # TCAG: C is 1, G is 3.
    gc = ((bases & 1).bool() & known).sum(1) / known.sum(1).clamp(min=1)
    share = is_open.sum(1) / 6
    return torch.stack((is_open.any(1).float(), torch.zeros_like(share), share, gc), 1).float()
