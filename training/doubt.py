"""Are chunks far from anything trained on worth less in a record's score? Distances in the head's hidden layer, measured.

    python3 training/doubt.py --model MODEL --data SHARDS --records RECORDS --out OUT [--each 300]

Hidden values of training chunks (so many a group) and of all chunks of RECORDS go to OUT/hidden.npz, once. Then, at 500 bases: how well each distance tells the
whole groups held out from the own split, and wrong verdicts from right ones; and the score of a record when far chunks weigh less, fitted anew on
validation records, against the score without.
"""
import argparse
import csv
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

import data as d
import files
import metrics
import model as m
import sequences as seq
import shards
import verdicts

LENGTH, CLIP, NEAREST = 500, 3.0, 5
SPLITS = "validation", "test", "new"
SIZES = 2, 6, 10, 20  # chunks of the records that are measured


@torch.no_grad()
def hidden(model, bases):
    """Of chunks `[n, letters]` of one length: the hidden layer's values, a mean over a chunk's rows, and ln(virus / others)."""
    head, outputs, odds = model.heads[str(LENGTH)], [], []

    def keep(module, inputs, output):
        outputs.append(F.relu(output))

    handle = head.bn1.register_forward_hook(keep)
    rows, device = [], next(model.parameters()).device
    for part in torch.from_numpy(bases).split(64 if device.type == "cpu" else 1_024):
        outputs.clear()
        margin, chunk, _ = m.rows_of(model, part.to(device), LENGTH)
        values = torch.zeros(len(part), outputs[0].shape[1], device=device).index_add_(0, chunk, outputs[0])
        rows.append((values / torch.bincount(chunk, minlength=len(part))[:, None]).cpu())
        both = torch.stack((F.logsigmoid(-margin), F.logsigmoid(margin)), 1)
        highest = torch.full((len(part), 2), -torch.inf, device=device).scatter_reduce_(0, chunk[:, None].expand(-1, 2), both, "amax")
        odds.append((highest[:, 1] - highest[:, 0]).cpu())
    handle.remove()
    return torch.cat(rows).numpy().astype(np.float16), torch.cat(odds).numpy()


def computed(model, args):
    """Hidden values and log-odds of training chunks and of the records' chunks, with what each is of."""
    chunks = shards.load(args.data, LENGTH)
    train = np.flatnonzero((chunks["split"] == shards.TRAIN) | (chunks["split"] == shards.DEVELOPMENT))
    rng = np.random.default_rng(d.SEED)
    chosen = np.concatenate([rng.permutation(own)[: args.each] for own in (train[chunks["group"][train] == g] for g in np.unique(chunks["group"][train]))])
    out = {"group": chunks["group"][chosen]}
    out["train"], out["train_odds"] = hidden(model, chunks["bases"][chosen])
    for split in SPLITS:
        owners, pieces = [], []
        for header, letters in d.fasta(next(args.records.glob(f"{split}.fasta*"))):
            bases = seq.encode(letters)
            for start, end in seq.reference.chunks(len(bases), LENGTH):
                if end - start == LENGTH:
                    owners.append(header.split()[0])
                    pieces.append(bases[start:end])
        out[f"{split}_owner"] = np.array(owners)
        out[split], out[f"{split}_odds"] = hidden(model, np.stack(pieces))
        print(f"{split}: {len(pieces)} chunks", flush=True)
    return out


def distances(kept):
    """Name: a function from hidden values to how far they are from training."""
    x, group = kept["train"].astype(np.float64), kept["group"]
    names = np.unique(group)
    means = np.stack([x[group == g].mean(0) for g in names])
    # A matrix by which the distance to a mean is a plain one.
    whiten = lambda v: np.linalg.cholesky(np.linalg.inv(np.cov(v.T) + 1e-3 * np.eye(x.shape[1])))  # noqa: E731
    within, whole, centre = whiten(x - means[np.searchsorted(names, group)]), whiten(x), x.mean(0)
    unit = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True).clip(1e-9)  # noqa: E731
    reference = unit(x)

    def mahalanobis(v):
        own = v.astype(np.float64) @ within
        return np.min([((own - mean) ** 2).sum(1) for mean in means @ within], 0)

    def relative(v):
        return mahalanobis(v) - (((v.astype(np.float64) - centre) @ whole) ** 2).sum(1)

    def nearest(v):
        near = [np.partition(unit(part.astype(np.float64)) @ reference.T, -NEAREST, 1)[:, -NEAREST] for part in np.array_split(v, 20)]
        return 1 - np.concatenate(near)

    return {"Mahalanobis, nearest group": mahalanobis, "the same, relative": relative, f"cosine, neighbour {NEAREST}": nearest}


def sets(kept, meta, weight, pulled):
    """The records of each split as verdicts.py fits and measures them, chunks by weight; `pulled`: far chunks count as 0, not as absent."""
    out = {}
    for split in SPLITS:
        odds = np.clip(kept[f"{split}_odds"].astype(float), -CLIP, CLIP)
        by_name = {}
        for name, value, own in zip(kept[f"{split}_owner"], odds, weight[split]):
            by_name.setdefault(name, []).append((value, own))
        rows = []
        for size in (1, *SIZES):
            for name, values in by_name.items():
                values = np.array(values)
                for start in range(0, len(values) - size + 1, size):
                    x, w = values[start : start + size].T
                    about = meta[name]
                    mean = (x * w).sum() / (len(x) if pulled else max(w.sum(), 1e-9))
                    rows.append((size, mean, (x > 0).mean(), int(about["viral"]), about["group"], about["key"], size))
        out[split] = verdicts.as_set(rows)
    return out


def measured(found):
    """Of records of each size: AUROC and recall at 1 % of the own split, AUROC of the whole groups, what is called viral by default there."""
    knots = [1, *SIZES]
    intercept, slope = verdicts.fit(found["validation"], knots)
    lines = []
    for size in SIZES:
        cells = []
        for split in ("test", "new"):
            s = found[split]
            own = s.size == size
            part = verdicts.Set(*(column[own] for column in s))
            value = verdicts.score({"chunks": knots, "intercept": intercept, "slope": slope}, part)
            weight = verdicts.weights(part) if split == "test" else None
            area, _, recall = metrics.measure(value, part.viral, weight)  # no number where one class has no such records
            cells += [f"{area:.4f}", f"{recall:.3f}"]
            if split == "new":
                cells += [f"{(own >= 0.7).mean():.3f}" if len(own) else "none" for own in (value[part.viral == label] for label in (1, 0))]
        lines.append((size, cells))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--each", type=int, default=300)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "hidden.npz"
    if not path.exists():
        device = "cuda" if torch.cuda.is_available() else "cpu"
        np.savez_compressed(path, **computed(files.load(args.model, device), args))
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    with open(args.records / "records.tsv") as table:
        meta = {row["id"]: row for row in csv.DictReader(table, delimiter="\t")}
    viral = {split: np.array([int(meta[name]["viral"]) for name in kept[f"{split}_owner"]]) for split in SPLITS}
    wrong = {split: (kept[f"{split}_odds"] > 0) != viral[split] for split in SPLITS}
    print("| distance | tells whole groups from the own split (AUROC) | wrong verdicts, own split | wrong verdicts, whole groups |")
    print("| --- | --- | --- | --- |")
    known = {"-abs(log-odds)": {split: -np.abs(kept[f"{split}_odds"]) for split in SPLITS}}
    known |= {name: {split: far(kept[split]) for split in SPLITS} for name, far in distances(kept).items()}
    for name, far in known.items():
        apart = np.concatenate([far["test"], far["new"]]), np.repeat([0, 1], [len(far["test"]), len(far["new"])])
        areas = [metrics.measure(*apart)[0], *(metrics.measure(far[split], wrong[split].astype(int))[0] for split in ("test", "new"))]
        print(f"| {name} | " + " | ".join(f"{area:.3f}" for area in areas) + " |")
    print("\n| weights | chunks | own split: AUROC | recall at 1 % | whole groups: AUROC | recall at 1 % | viruses called | cells called |")
    print("| --- " * 8 + "|")
    one = {split: np.ones(len(viral[split])) for split in SPLITS}
    trials = [("all the same", one, False)]
    for name, far in list(known.items())[1:]:
        for share in (0.90, 0.75, 0.50):
            edge, width = np.quantile(far["validation"], share), far["validation"].std() / 4
            weight = {split: 1 / (1 + np.exp(np.clip((far[split] - edge) / width, -30, 30))) for split in SPLITS}
            trials += [(f"{name} over {share:.0%}: {'as 0' if pulled else 'less'}", weight, pulled) for pulled in (False, True)]
    for name, weight, pulled in trials:
        for size, cells in measured(sets(kept, meta, weight, pulled)):
            print(f"| {name} | {size} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
