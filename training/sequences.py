"""Bases, codons, k-mers: the arithmetic that cutting, training and scoring share, on numpy arrays.

A base is its place in "TCAG" (0-3; 255: anything else), so that a codon's number is its place in the genetic code as
`dev/frames.py` writes it, and the complement of `b` is `b ^ 2`.
"""
import gzip
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "dev"))
import frames as reference  # noqa: E402  (the plain implementation of chunks and frames)

OTHER = 255
BASE = np.full(256, OTHER, np.uint8)
for _place, _letters in enumerate(("TtUu", "Cc", "Aa", "Gg")):
    BASE[[ord(letter) for letter in _letters]] = _place

# ESM-2's alphabet; letters of no residue are <unk>.
ALPHABET = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
CLS, PAD, EOS, UNK, MASK = 0, 1, 2, 3, 32
RESIDUE = np.full(256, UNK, np.uint8)
for _id, _letter in enumerate(ALPHABET):
    if len(_letter) == 1:
        RESIDUE[[ord(_letter), ord(_letter.lower())]] = _id
# ESM-2 id of each of the 64 codons; 0 (no residue's id) for a stop.
STOP = 0
CODON = np.array([STOP if letter == "*" else ALPHABET.index(letter) for letter in reference.RESIDUES], np.uint8)


def fasta(path):
    """Header and letters of each record."""
    header, lines = None, []
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rb") as file:
        for line in file:
            if line.startswith(b">"):
                if header is not None:
                    yield header, b"".join(lines)
                header, lines = line[1:].decode(errors="replace").strip(), []
            else:
                lines.append(line.strip())
    if header is not None:
        yield header, b"".join(lines)


def encode(letters: bytes) -> np.ndarray:
    return BASE[np.frombuffer(letters, np.uint8)]


def reverse_complement(bases: np.ndarray) -> np.ndarray:
    """Of the last axis."""
    return np.where(bases == OTHER, bases, bases ^ 2)[..., ::-1]


def translations(bases: np.ndarray) -> list[np.ndarray]:
    """The six frames `[n, codons]` of `[n, length]` bases, F1-F3 and R1-R3, as ESM-2 ids, UNK and STOP."""
    out = []
    for strand in bases, reverse_complement(bases):
        for offset in range(3):
            codons = (strand.shape[1] - offset) // 3
            triples = strand[:, offset : offset + 3 * codons].reshape(len(strand), codons, 3).astype(np.int16)
            ids = CODON[(triples[..., 0] & 3) * 16 + (triples[..., 1] & 3) * 4 + (triples[..., 2] & 3)]
            ids[(triples == OTHER).any(2)] = UNK
            out.append(ids)
    return out


def mix(values: np.ndarray) -> np.ndarray:
    """A hash of 64 bits (splitmix64's end), to sample k-mers by."""
    values = values.astype(np.uint64)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def kmers(bases: np.ndarray, k: int, one_in: int = 1) -> np.ndarray:
    """Hashes of the canonical k-mers of one sequence that hold no other letter; a fixed share of all k-mers."""
    return placed_kmers(bases, k, one_in)[0]


def placed_kmers(bases: np.ndarray, k: int, one_in: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """As `kmers`, with the place of each."""
    n = len(bases) - k + 1
    if n <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    forward, backward, bad = np.zeros(n, np.uint64), np.zeros(n, np.uint64), np.zeros(n, bool)
    codes = bases.astype(np.uint64)
    for i in range(k):
        part = codes[i : i + n]
        forward = (forward << np.uint64(2)) | (part & np.uint64(3))
        backward |= ((part & np.uint64(3)) ^ np.uint64(2)) << np.uint64(2 * i)
        bad |= part == OTHER
    hashes, places = mix(np.minimum(forward, backward)[~bad]), np.flatnonzero(~bad)
    sampled = hashes % np.uint64(one_in) == 0
    return hashes[sampled], places[sampled]


def residue_kmers(ids: np.ndarray, k: int, one_in: int = 1) -> np.ndarray:
    """Hashes of the k-mers of residues (ESM-2 ids; the last axis is the sequence) without a stop or unknown."""
    return placed_residue_kmers(ids, k, one_in)[0]


def placed_residue_kmers(ids: np.ndarray, k: int, one_in: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """As `residue_kmers`, with the place of each on the last axis."""
    n = ids.shape[-1] - k + 1
    if n <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    value, bad = np.zeros((*ids.shape[:-1], n), np.uint64), np.zeros((*ids.shape[:-1], n), bool)
    for i in range(k):
        part = ids[..., i : i + n]
        value = (value << np.uint64(5)) | part
        bad |= (part == STOP) | (part == UNK)
    hashes, places = mix(value[~bad]), np.nonzero(~bad)[-1]
    sampled = hashes % np.uint64(one_in) == 0
    return hashes[sampled], places[sampled]


def contained(sorted_hashes: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Which of `hashes` are among `sorted_hashes`."""
    if len(sorted_hashes) == 0:
        return np.zeros(len(hashes), bool)
    places = np.searchsorted(sorted_hashes, hashes)
    places[places == len(sorted_hashes)] = 0
    return sorted_hashes[places] == hashes


def pack(bases: np.ndarray) -> np.ndarray:
    """`[n, length]` bases without others, four to a byte: `[n, ceil(length / 4)]`."""
    padded = np.pad(bases, ((0, 0), (0, -bases.shape[1] % 4))).reshape(len(bases), -1, 4)
    return (padded << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8)


def unpack(packed: np.ndarray, length: int) -> np.ndarray:
    bases = (packed[:, :, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
    return bases.reshape(len(packed), -1)[:, :length]
