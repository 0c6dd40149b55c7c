"""Chooses among models by the validation chunks and by phage lambda; no held-out chunk is read.

    python3 training/choose.py --data SHARDS --lambda LAMBDA.fasta.gz MODEL...

Prints of each the area under the curve of the validation chunks at 500 and 300 bases, and lambda's mean clipped log-odds; the last line is
the one with the highest sum of areas among those to which lambda is at least as viral as LEAST says at both lengths, or that there is none.
"""
import argparse
import pathlib

import numpy as np
import torch

import draw
import files
import score_records
import train

LEAST = {500: 0.70, 300: 0.40}  # what the second model gives is 0.66 and 0.30
CLIP = 3.0


def log_odds(model, path, length, device):
    """The mean over a genome's chunks of ln(virus / others), clipped, as records are scored by."""
    _, scores = score_records.scored(model, path, length, device)
    x = np.log(np.maximum(scores[:, 1], 1e-9)) - np.log(np.maximum(scores[:, 0], 1e-9))
    return float(np.clip(x, -CLIP, CLIP).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
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
        areas = {n: train.validate(model, data, n) for n in LEAST}
        viral = {n: log_odds(model, args.phage, n, device) for n in LEAST}
        short_of = max(LEAST[n] - viral[n] for n in LEAST)
        found.append((max(0.0, short_of), -sum(areas.values()), str(folder)))
        print(f"{folder}: validation {areas[500]:.4f} {areas[300]:.4f}, lambda {viral[500]:.3f} {viral[300]:.3f}", flush=True)
    enough = [row for row in found if row[0] == 0]
    print(min(enough)[2] if enough else f"none of {len(found)} models has lambda at {LEAST}")


if __name__ == "__main__":
    main()
