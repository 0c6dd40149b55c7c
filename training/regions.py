"""Measures the regions of made genomes, and tries settings.

    python3 training/regions.py --genomes GENOMES --runs RUNS [--length 500] [--tune] [--plain NAME ...]

GENOMES is what proviruses.py made; RUNS holds `virpack predict GENOMES/made_SPLIT.fasta --length N -o RUNS/made_SPLIT_N`. `--tune`
tries a grid on `validation`. `--plain` counts the regions of RUNS/NAME_N, genomes as they are. MODELS is what was chosen;
verdicts.py writes it into record_calibration.json.
"""
import argparse
import collections
import csv
import dataclasses
import itertools
import pathlib

import numpy as np

import segment
from segment import log_odds

# Chosen on made genomes of `validation` with the first version of the model; `least_score`, which was 6, with the
# taught student of the second (F1 0.876 to 0.881 at 500 bases, 0.884 to 0.889 at 300); with the shipped one 6 to 12 are the same there.
MODELS = {
    500: segment.Model(
        offset=0.1, slope=0.5, limit=1.5, enter=1 / 300_000, leave=1 / 20_000, least_bases=6_000, least_score=12.0,
        background=-1.4, background_share=0.25, background_chunks=100,
    ),
}  # fmt: skip
MODELS[300] = dataclasses.replace(MODELS[500], slope=0.4, limit=1.2)


def read(path):
    """Of each record its chunks: start, end, log-odds or None."""
    out = collections.defaultdict(list)
    with open(path) as table:
        for row in csv.DictReader(table, delimiter="\t"):
            x = log_odds(row)
            out[row["sequence_id"]].append((int(row["start"]) - 1, int(row["end"]), None if np.isnan(x) else x))
    return out


def truths(path):
    out = collections.defaultdict(list)
    with open(path) as table:
        for row in csv.DictReader(table, delimiter="\t"):
            out[row["record"]].append((int(row["start"]), int(row["end"]), row["what"]))
    return out


def measure(records, truth, model):
    """Recall and precision by bases, regions, regions mostly outside a phage, phages found by half or more, phages."""
    right = wrong = missed = count = false = found = phages = 0
    for name, chunks in records.items():
        label = np.zeros(chunks[-1][1], np.int8)
        for start, end, what in truth.get(name, []):
            label[start:end] = 1 if what == "phage" else np.maximum(label[start:end], 2)
        called = np.zeros(len(label), bool)
        for start, end, _, _ in segment.regions(chunks, model, False)[0]:
            called[start:end] = True
            count += 1
            false += (label[start:end] == 0).mean() > 0.5
        right += (called & (label == 1)).sum()
        wrong += (called & (label == 0)).sum()
        missed += (~called & (label == 1)).sum()
        own = [called[start:end].mean() for start, end, what in truth.get(name, []) if what == "phage"]
        found, phages = found + sum(share > 0.5 for share in own), phages + len(own)
    return right / max(right + missed, 1), right / max(right + wrong, 1), count, int(false), int(found), phages


def tune(records, truth):
    rows = []
    grid = itertools.product((0.3, 0.4, 0.5, 0.65), (-0.1, 0, 0.1, 0.2), (0, 0.25, 0.5), (300_000, 1_000_000))
    for slope, offset, share, host in grid:
        model = dataclasses.replace(
            MODELS[500], slope=slope, offset=offset, limit=3 * slope, background_share=share, enter=1 / host
        )
        recall, precision, *counts = measure(records, truth, model)
        rows.append((2 * recall * precision / max(recall + precision, 1e-9), slope, offset, share, host, recall, precision, counts))
    for f1, slope, offset, share, host, recall, precision, counts in sorted(rows, key=lambda r: -r[0])[:15]:
        print(f"F1 {f1:.3f} slope {slope} offset {offset} share {share} host {host}: {recall:.3f} {precision:.3f} {counts}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--plain", nargs="*", default=[])
    args = parser.parse_args()
    model = MODELS[args.length]
    if args.tune:
        tune(read(args.runs / f"made_validation_{args.length}/chunks.tsv"), truths(args.genomes / "made_validation.tsv"))
    print("| genomes, chunks | recall | precision | regions | false | phages found by half |")
    print("| --- " * 6 + "|")
    for split in ("validation", "test"):
        path = args.runs / f"made_{split}_{args.length}/chunks.tsv"
        if path.exists():
            recall, precision, count, false, found, phages = measure(read(path), truths(args.genomes / f"made_{split}.tsv"), model)
            print(f"| {split}, {args.length} | {recall:.3f} | {precision:.3f} | {count} | {false} | {found} of {phages} |")
    for name in args.plain:
        for record, chunks in read(args.runs / f"{name}_{args.length}/chunks.tsv").items():
            found = segment.regions(chunks, model, False)[0]
            print(f"{name}, {args.length}: {len(found)} regions in {chunks[-1][1]} bases", [(a + 1, b, round(s, 1)) for a, b, s, _ in found])


if __name__ == "__main__":
    main()
