"""Chunks and open reading frames as VirNucPro cuts them, in plain Python.

    python3 dev/frames.py FASTA LENGTH PREFIX     writes PREFIX_nucleotide.fa and PREFIX_protein.faa
    python3 dev/frames.py --goldens               makes fixtures/frames anew

An independent second implementation, from the description of VirNucPro's behaviour: it shares nothing with the Rust
code but the description. FASTA may be compressed by gzip. One departure from VirNucPro, as in virpack: U counts as T.
"""
import gzip
import pathlib
import random
import sys

BASES = "TCAG"
RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODE = dict(zip((a + b + c for a in BASES for b in BASES for c in BASES), RESIDUES))
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def read(path):
    """Id and letters of every record of a FASTA file."""
    opened = gzip.open(path, "rt") if open(path, "rb").read(2) == b"\x1f\x8b" else open(path)
    name, lines = None, []
    for line in opened:
        if line.startswith(">"):
            if name is not None:
                yield name, "".join(lines)
            name, lines = (line[1:].split() or [""])[0], []
        else:
            lines.append("".join(line.split()))
    if name is not None:
        yield name, "".join(lines)


def chunks(length, size):
    """First and last base (from 0, the last one excluded) of every chunk of a record."""
    count = -(-length // size)
    if count == 0:
        return []
    surplus = count * size - length
    shared = [surplus // count] * (count - 1)
    for i in range(min(count - 1, surplus - sum(shared))):
        shared[i] += 1
    starts = [i * size - sum(shared[:i]) for i in range(count)]
    return [(start, min(length, start + size)) for start in starts]


def frames(chunk):
    """Name, nucleotides and peptide of every open frame of a chunk."""
    forward = chunk.upper().replace("U", "T")
    for strand, sequence in ("F", forward), ("R", forward.translate(COMPLEMENT)[::-1]):
        for offset in range(3):
            codons = (sequence[i : i + 3] for i in range(offset, len(sequence) - 2, 3))
            peptide = "".join(CODE.get(codon, "") for codon in codons)
            if peptide and "*" not in peptide:
                yield f"{strand}{offset + 1}", sequence[offset : offset + 3 * len(peptide) + 1], peptide


def write(records, size, prefix):
    with open(f"{prefix}_nucleotide.fa", "w") as nucleotides, open(f"{prefix}_protein.faa", "w") as peptides:
        for name, sequence in records:
            for number, (start, end) in enumerate(chunks(len(sequence), size), 1):
                for frame, nucleotide, peptide in frames(sequence[start:end]):
                    nucleotides.write(f">{name}_chunk_{number}{frame}\n{nucleotide}\n")
                    peptides.write(f">{name}_chunk_{number}{frame}\n{peptide}\n")


def goldens():
    folder = pathlib.Path(__file__).parents[1] / "fixtures/frames"
    folder.mkdir(parents=True, exist_ok=True)
    random.seed(2026)
    sense = [codon for codon, residue in CODE.items() if residue != "*"]

    def gene(length):
        return "".join(random.choices(sense, k=length // 3 + 1))[:length]

    cases = {f"of_{n}": gene(n) for n in (1, 2, 3, 4, 5, 11, 12, 13, 24, 25, 37, 299, 300, 301, 500, 501, 600, 601)}
    cases |= {f"of_{n}": gene(n) for n in (999, 1000, 1001, 1501)}
    cases["lower"] = gene(301).lower()
    cases["mixed"] = "".join(random.choice((str.upper, str.lower))(letter) for letter in gene(320))
    cases["rna"] = gene(62).replace("T", "U") + gene(60).lower().replace("t", "u")
    cases["ambiguous"] = "".join(random.choice("NRYKMSWBDHV") if random.random() < 0.06 else c for c in gene(310))
    cases["gaps"] = "ATG---GCN*GCATTTGGG-C"
    cases["only_n"] = "N" * 350
    cases["stops"] = "TAATTAATTAA" * 30
    cases["one_stop"] = "GCC" * 20 + "TAG" + "GCC" * 20
    cases["empty"] = ""
    cases["empty_too"] = ""
    cases["two"] = "AC"
    cases["same"] = "ACGGCA"
    lines = []
    for name, sequence in [*cases.items(), ("same", "GCAGCA"), ("", "GCAGCAT")]:
        lines.append(f">{name} a description that goes nowhere\n" if name else ">\n")
        lines += [sequence[i : i + 60] + "\n" for i in range(0, len(sequence), 60)]
    (folder / "cases.fa").write_text("".join(lines))
    for size in (60, 300, 500):
        write(read(folder / "cases.fa"), size, folder / str(size))


if sys.argv[1:] == ["--goldens"]:
    goldens()
elif __name__ == "__main__":
    fasta, length, prefix = sys.argv[1:]
    write(read(fasta), int(length), prefix)
