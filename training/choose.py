"""Chooses among models by the validation chunks and by phage lambda; no held-out chunk is read.

    python3 training/choose.py --data SHARDS --records RECORDS --lambda LAMBDA.fasta.gz MODEL...

Prints of each what `measured` measures on the validation chunks, and lambda's `virus_score`, calibrated on the validation records as verdicts.py does.
The last line is the one with the highest sum among those that call lambda viral at both lengths, or that there is none. With `--before`, the model
that is shipped: only among those that call no more prokaryotes viral, and whose two areas are higher by `GAIN` in sum. With `--kin` the sum has
the area of viruses against transposons, too, so many times.
"""
import argparse
import collections
import csv
import dataclasses
import pathlib

import numpy as np
import torch

import draw
import files
import metrics
import model as m
import score_records
import shards
import train
import verdicts

LENGTHS = 500, 300
CLIP = 3.0
PROKARYOTES = "bacteria", "archaea", "more bacteria", "prokaryote gene"
GAIN = 0.002


@dataclasses.dataclass(frozen=True)
class Measured:
    """Of validation chunks: areas at both lengths, that of viruses against transposons, what is called viral of some groups (500 bases)."""

    areas: tuple
    transposons: float
    called: dict

    def sum(self, kin=0.0):
        return sum(self.areas) + kin * self.transposons

    def __str__(self):
        shares = ", ".join(f"{name} {share:.3f}" for name, share in self.called.items())
        return f"validation {self.areas[0]:.4f} {self.areas[1]:.4f}, against transposons {self.transposons:.4f}, called viral: {shares}"


def measured(model, data):
    areas, names = [], np.array(data.facts["groups"])
    for length in LENGTHS:
        bases, viral, group = data.held[length, shards.VALIDATION]
        both, _ = m.scores(model, bases, length, data.device)
        score, weight = both[:, 1] / both.sum(1), train.shares(data, viral, group)
        areas.append(metrics.measure(score, viral, weight)[0])
        if length == LENGTHS[0]:
            kin = (viral == 1) | (names[group] == "transposon")
            transposons = metrics.measure(score[kin], viral[kin], weight[kin])[0]
            sets = {name: names[group] == name for name in ("transposon", "retrovirus")}
            sets["prokaryotes"] = np.isin(names[group], PROKARYOTES)
            called = {name: float(np.average(score[own] >= 0.5, weights=weight[own])) for name, own in sets.items()}
    return Measured(tuple(areas), transposons, called)


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
    parser.add_argument("--kin", type=float, default=0.0)
    parser.add_argument("--before", type=pathlib.Path, help="the model that is shipped")
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = draw.Data(args.data, device, torch.Generator(device).manual_seed(0), development=True)
    most, least = 1.0, 0.0
    if args.before:
        before = measured(files.load(args.before, device), data)
        most, least = before.called["prokaryotes"], before.sum() + GAIN
        print(f"{args.before}: {before}; sum {before.sum(args.kin):.4f}", flush=True)
    found = []
    for folder in args.models:
        if (folder / "classifier_300.safetensors").exists():
            model = files.load(folder, device)
            own = measured(model, data)
            enough = own.called["prokaryotes"] <= most and own.sum() >= least
            print(f"{folder}: {own}; sum {own.sum(args.kin):.4f}{'' if enough else ', not enough'}", flush=True)
            if enough:
                found.append((own.sum(args.kin), str(folder), model))
    for _, name, model in sorted(found, key=lambda row: row[:2], reverse=True):
        viral = {n: virus_score(model, args.records, args.phage, n, device) for n in LENGTHS}
        print(f"{name}: lambda {viral[500]:.3f} {viral[300]:.3f}", flush=True)
        if min(viral.values()) >= verdicts.THRESHOLDS["default"]:
            print(name)
            return
    print(f"none of {len(args.models)} models is enough and calls lambda viral at both lengths")


if __name__ == "__main__":
    main()
