"""Scores of some 200 chunks by PyTorch, for the Rust code to be held against.

    python3 training/scores_golden.py --model OUTDIR --data SHARDS --out golden.json

In float32, from the exported files. Chunks of held-out sequence at 500 and 300 bases; as many with other letters in them, or shorter.
"""
import argparse
import json
import pathlib
import random

import numpy as np
import torch

import files
import model as m
import reading as f
import sequences as seq
import shards


def chunks(folder, length, rng):
    data = shards.load(folder, length)
    letters = np.array(list("TCAG"))
    chosen = np.flatnonzero(data["split"] == shards.TEST)
    out = ["".join(letters[data["bases"][i]]) for i in sorted(rng.sample(chosen.tolist(), 100))]
    for n in range(40, 70):  # some letters, runs of them
        row = list(out[n])
        for _ in range(rng.randint(1, 12)):
            row[rng.randrange(length)] = rng.choice("NNNRYn")
        start, run = rng.randrange(length), rng.choice((0, 0, 30, 200))
        row[start : start + run] = "N" * len(row[start : start + run])
        out[n] = "".join(row)
    for n in range(70, 95):
        out[n] = out[n][: rng.randint(1, length)]
    out[95:100] = ["N" * length, "A" * length, "TAA" * (length // 3), "ACGTN" * (length // 5), "A"]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    model, rng, rows = files.load(args.model), random.Random(2026), []
    for length in (500, 300):
        for letters in chunks(args.data, length, rng):
            bases = seq.encode(letters.encode())[None]
            both, _ = m.scores(model, bases, length, "cpu")
            residues = f.six(torch.from_numpy(bases))[1]
            partial = (f.longest_run(residues)[0] != seq.PAD).sum().item() - 2
            rows.append({
                "length": length, "sequence": letters, "open_frames": int(f.open_frames(residues).sum()),
                "partial_residues": partial, "score_others": float(both[0, 0]), "score_virus": float(both[0, 1]),
            })  # fmt: skip
    args.out.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    print(f"{len(rows)} chunks, {sum(r['open_frames'] == 0 for r in rows)} without an open frame, {sum(r['score_virus'] > 0.5 for r in rows)} viral")


if __name__ == "__main__":
    main()
