"""Scores of the records of records.py by PyTorch, in the tables that `virpack predict` writes and verdicts.py reads.

    python3 training/score_records.py --model OUTDIR --records RECORDS --out RUNS

Writes RUNS/SPLIT_LENGTH/chunks.tsv for each SPLIT.fasta (or .fasta.gz) of RECORDS and LENGTH 500 and 300: what
`virpack predict RECORDS/SPLIT.fasta --length LENGTH -o RUNS/SPLIT_LENGTH` gives within rounding, without virpack.
"""
import argparse
import collections
import pathlib

import numpy as np
import torch

import data as d
import files
import model as m
import sequences as seq


def scored(model, path, length, device):
    """Id and scores (others, virus) of every chunk of a FASTA file, in order; starts from 0."""
    owners, pieces = [], []
    for header, letters in d.fasta(path):
        bases = seq.encode(letters)
        for start, end in seq.reference.chunks(len(bases), length):
            owners.append((header.split()[0], start, end))
            pieces.append(bases[start:end])
    out = np.zeros((len(pieces), 2), np.float32)
    by_size = collections.defaultdict(list)
    for i, piece in enumerate(pieces):
        by_size[len(piece)].append(i)
    for own in by_size.values():
        out[own] = m.scores(model, np.stack([pieces[i] for i in own]), length, device)[0]
    return owners, out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    model = files.load(args.model, device)
    for path in sorted(args.records.glob("*.fasta*")):
        for length in (500, 300):
            folder = args.out / f"{path.name.split('.')[0]}_{length}"
            folder.mkdir(parents=True, exist_ok=True)
            owners, scores = scored(model, path, length, device)
            with open(folder / "chunks.tsv", "w") as table:
                table.write("sequence_id\tstart\tend\tis_virus\tmax_score_other\tmax_score_virus\n")
                for (name, start, end), (other, virus) in zip(owners, scores):
                    table.write(f"{name}\t{start + 1}\t{end}\t{virus >= other}\t{other:.9g}\t{virus:.9g}\n")
            print(f"{folder.name}: {len(owners)} chunks", flush=True)


if __name__ == "__main__":
    main()
