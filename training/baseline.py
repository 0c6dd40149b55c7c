"""The 4-mer logistic regression that the card compares with, on the same chunks, split and weights.

    python3 training/baseline.py --data SHARDS --out FILE.npz

Frequencies of the 136 canonical 4-mers of a chunk, as logarithms, standardised; L2-regularised, its strength chosen
on the validation chunks. FILE keeps the scores of the held-out chunks, in the shards' order.
"""
import argparse
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import metrics
import shards

STRENGTHS = (0.01, 0.1, 1.0)


def frequencies(bases):
    """`[n, 136]`: log of the share of each canonical 4-mer, half a count added."""
    n, length = bases.shape
    words = np.zeros((n, length - 3), np.int32)
    for i in range(4):
        words = words * 4 + bases[:, i : length - 3 + i]
    counts = np.bincount((np.arange(n)[:, None] * 256 + words).ravel(), minlength=n * 256).reshape(n, 256)
    letters = np.arange(256)[:, None] // np.array([64, 16, 4, 1]) % 4
    opposite = (letters ^ 2)[:, ::-1] @ np.array([64, 16, 4, 1])
    canonical = np.flatnonzero(np.arange(256) <= opposite)
    both = counts[:, canonical] + np.where(opposite[canonical] != canonical, counts[:, opposite[canonical]], 0)
    return np.log((both + 0.5) / (both.sum(1, keepdims=True) + 68)).astype(np.float32)


def features(bases):
    return np.concatenate([frequencies(part) for part in np.array_split(bases, max(1, len(bases) // 5_000))])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    full, facts = shards.load(args.data, 500), shards.facts(args.data)
    train = full["split"] == shards.TRAIN
    weights = shards.weights(full, facts)
    kept = {}
    for length in (500, 300):
        chunks = full if length == 500 else shards.load(args.data, 300)
        # At 300 the training chunks are the first 300 bases of those of 500.
        x, y = features(full["bases"][train][:, :length]), full["viral"][train]
        scale = StandardScaler().fit(x)
        x = scale.transform(x)
        validation, test = chunks["split"] == shards.VALIDATION, chunks["split"] == shards.TEST
        xv = scale.transform(features(chunks["bases"][validation]))
        best = None
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=300).fit(x, y, weights[train] * train.sum())
            area = metrics.measure(model.decision_function(xv), chunks["viral"][validation])[0]
            print(f"{length} bases, C = {strength}: validation AUROC {area:.4f}", flush=True)
            if best is None or area > best[0]:
                best = area, model
        scores = best[1].predict_proba(scale.transform(features(chunks["bases"][test])))[:, 1]
        kept[f"scores_{length}"] = scores.astype(np.float32)
        print(f"\n4-mer logistic regression, {length} bases\n")
        print(metrics.table(scores, chunks["viral"][test].astype(int), chunks["group"][test], chunks["key"][test], facts["groups"]), "\n", flush=True)
    np.savez_compressed(args.out, **kept)


if __name__ == "__main__":
    main()
