"""Chooses among models by the validation chunks and by phage lambda; no held-out chunk is read.

    python3 training/choose.py --data SHARDS --records RECORDS --lambda LAMBDA.fasta.gz MODEL...

Prints of each the area under the curve of the validation chunks at 500 and 300 bases, and lambda's `virus_score`, calibrated on the validation
records as verdicts.py does; the last line is the one with the highest sum of areas among those that call lambda viral at both lengths, or that
there is none.
"""
import argparse
import collections
import csv
import pathlib

import numpy as np
import torch

import draw
import files
import score_records
import train
import verdicts

LENGTHS = 500, 300
CLIP = 3.0


def chunks_of(model, path, length, device):
    """Of each record its chunks' ln(virus / others), clipped, as records are scored by, and verdicts."""
    owners, scores = score_records.scored(model, path, length, device)
    x = np.log(np.maximum(scores[:, 1], 1e-9)) - np.log(np.maximum(scores[:, 0], 1e-9))
    out = collections.defaultdict(list)
    for (name, _, _), value in zip(owners, x):
        out[name].append((np.clip(value, -CLIP, CLIP), value >= 0))
    return {name: np.array(rows, float) for name, rows in out.items()}


def log_odds(model, path, length, device):
    """The mean over a genome's chunks."""
    return float(np.mean([rows[:, 0].mean() for rows in chunks_of(model, path, length, device).values()]))


def virus_score(model, records, path, length, device):
    """The score of a genome by what is fitted on the validation records."""
    with open(records / "records.tsv") as table:
        meta = {row["id"]: row for row in csv.DictReader(table, delimiter="\t")}
    source = next(records.glob("validation.fasta*"))
    chunks, knots = chunks_of(model, source, length, device), verdicts.KNOTS[length]
    fitted = verdicts.as_set(verdicts.records_of(chunks, meta, verdicts.FIT) + verdicts.pooled(chunks, meta, length))
    intercept, slope = verdicts.fit(fitted, knots)
    n, x, fraction = verdicts.window(np.concatenate(list(chunks_of(model, path, length, device).values())))
    one = verdicts.Set(np.array([n]), np.array([x]), np.array([fraction]), None, None, None, None)
    return float(verdicts.score({"chunks": knots, "intercept": intercept, "slope": slope}, one)[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--lambda", dest="phage", type=pathlib.Path, required=True)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = draw.Data(args.data, device, torch.Generator(device).manual_seed(0), development=True)
    found = []
    for folder in args.models:
        if not (folder / "classifier_300.safetensors").exists():
            continue
        model = files.load(folder, device)
        areas = {n: train.validate(model, data, n) for n in LENGTHS}
        viral = {n: virus_score(model, args.records, args.phage, n, device) for n in LENGTHS}
        found.append((min(viral.values()) >= verdicts.THRESHOLDS["default"], sum(areas.values()), str(folder)))
        print(f"{folder}: validation {areas[500]:.4f} {areas[300]:.4f}, lambda {viral[500]:.3f} {viral[300]:.3f}", flush=True)
    enough = [row for row in found if row[0]]
    print(max(enough)[2] if enough else f"none of {len(found)} models calls lambda viral at both lengths")


if __name__ == "__main__":
    main()
