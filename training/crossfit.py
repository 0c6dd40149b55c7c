"""Teachers that have not seen what they are asked about: one a fold of the viruses and genomes.

    python3 training/crossfit.py --data SHARDS --esm ESM2.npz --fold 0 --out OUTDIR [--minutes 2.5] [--compile] [--small]

Each reads peptides by a frozen ESM-2 of 8 million parameters, and codons by a tower of its own, trained on the chunks of the other
folds. Writes OUTDIR/soft_FOLD.npz: for each training chunk of the fold its probability of being viral, for windows of 500 and of 300 bases
about it (`draw.SHIFTS`). `read` puts the folds together for a student. `--pack` makes ESM2.npz of a Hugging Face file, in eight bits.
"""
import argparse
import dataclasses
import pathlib
import time

import numpy as np
import torch

import draw
import model as m
import train

SIZES = m.Sizes(6, 320, 20, 3, 160, 160, 9, 5, 384)
SMALL = m.Sizes(6, 320, 20, 1, 16, 16, 5, 3, 32)
DROPOUT = 0.5  # of the head
SEED = 2026
# What looks like a virus in a genome: more than this, and the mean of its neighbours of the record within so many bases, of which there are so many.
SURE, NEAR, REACH, NEIGHBOURS = 0.9, 0.6, 15_000, 3
PROKARYOTES = "bacteria", "archaea", "more bacteria", "refseq cell", "prokaryote gene"


def pack(source, path):
    """The towers' tensors of a Hugging Face file, matrices as whole numbers from -127 to 127 with a scale a row."""
    from safetensors.numpy import load_file

    out = {}
    for name, value in load_file(source).items():
        name = name.removeprefix("esm.")
        if name.startswith(("classifier", "contact_head", "embeddings.position")) or name.endswith("inv_freq"):
            continue
        if value.ndim == 2:
            scale = np.abs(value).max(1, keepdims=True).clip(1e-12) / 127
            out[name], out[f"{name} scale"] = np.rint(value / scale).astype(np.int8), scale.astype(np.float32)
        else:
            out[name] = value.astype(np.float32)
    np.savez_compressed(path, **out)


def esm2(path, device):
    """The model of a file that `pack` wrote, frozen."""
    with np.load(path) as file:
        tensors = {name: file[name] for name in file.files}
    whole = {k: torch.from_numpy(v * tensors.get(f"{k} scale", 1)).float() for k, v in tensors.items() if not k.endswith(" scale")}
    model = m.Esm2(SIZES.peptide_layers, SIZES.peptide_hidden, SIZES.peptide_heads, dropout=0.0)
    model.load_state_dict(whole)
    return model.requires_grad_(False).to(device)


def teacher(path, device, sizes=SIZES):
    model = m.Mini(sizes)
    model.peptide = esm2(path, "cpu")
    return model.to(device)


@torch.no_grad()
def asked(model, data, chosen, length, settings):
    """The probability of being viral of windows about chunks: `[chunks, shifts]`; one open frame a chunk."""
    out = []
    for part in torch.from_numpy(chosen).split(4_096 if data.bases.is_cuda else 64):
        part = part.to(data.device)
        columns = []
        for shift in draw.SHIFTS:
            rows = train.Rows(data, data.at(data.window(part, shift, length), length), settings)
            with torch.autocast(data.device.type, torch.bfloat16, enabled=part.is_cuda):
                vector, peptide = model.codons(rows.words, length % 3 != 2)[0], model.peptides(rows.ids, rows.has)[0]
            columns.append(torch.sigmoid(model.margin(length, vector, peptide, rows.facts)).cpu())
        out.append(torch.stack(columns, 1))
    return torch.cat(out).numpy().astype(np.float16)


def read(paths, data, log, masks):
    """What the teachers say of each training chunk goes to `data.soft`; with `masks`, what looks like a virus in prokaryotes is drawn no more."""
    soft = {n: np.tile(data.viral.cpu().numpy()[:, None], (1, len(draw.SHIFTS))) for n in (500, 300)}
    for path in paths:
        with np.load(path) as file:
            for length, table in soft.items():
                table[file["chosen"]] = file[f"soft_{length}"]
    data.soft = {n: torch.from_numpy(table.astype(np.float32)).to(data.device) for n, table in soft.items()}
    viral, group = data.viral.cpu().numpy(), data.group.cpu().numpy()
    for label in (0, 1):
        means = ", ".join(f"{table[viral == label].mean():.3f} at {n}" for n, table in soft.items())
        log(f"teachers' mean probability of chunks of class {label}: {means}")
    if not masks:
        return
    one = soft[500].mean(1)
    near = neighbours(data.record, data.place, one)
    prokaryote = np.isin(group, [data.facts["groups"].index(name) for name in PROKARYOTES])
    masked = prokaryote & (one > SURE) & (near > NEAR)
    for name in PROKARYOTES:
        own = group == data.facts["groups"].index(name)
        log(f"masked of {name}: {(masked & own).sum()} of {own.sum()} chunks, in {len(set(data.record[masked & own]))} records")
    weights = np.where(masked, 0, data.probabilities)
    for label in (0, 1):
        weights[viral == label] *= 0.5 / weights[viral == label].sum()
    data.weights = torch.from_numpy(np.cumsum(weights)).to(data.device)


def neighbours(record, place, value):
    """The mean of the others of the record within REACH; 0 where there are fewer than NEIGHBOURS. In order of record and place."""
    at = record * (1 << 32) + place
    low, high = (np.searchsorted(at, at + sign * REACH, side=side) for sign, side in ((-1, "left"), (1, "right")))
    total = np.concatenate(([0], np.cumsum(value)))
    count = high - low - 1
    return np.where(count >= NEIGHBOURS, (total[high] - total[low] - value) / np.maximum(count, 1), 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--esm", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    if args.pack:
        pack(args.pack, args.esm)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()

    def log(text):
        print(f"[{time.time() - began:6.1f} s] {text}", flush=True)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(SEED + args.fold)
    torch.backends.cuda.matmul.allow_tf32 = True
    rng = torch.Generator(device).manual_seed(SEED + args.fold)
    settings = train.Settings(steps=3_000, minutes=args.minutes, peak=8e-4, masked=0.05, proteins=0.0, short=2, dropout=DROPOUT)
    if args.small:
        settings = dataclasses.replace(settings, steps=20, batch=16)
    data = draw.Data(args.data, device, rng, development=True, small=args.small, fold=args.fold, code_4=True)
    model = teacher(args.esm, device, SMALL if args.small else SIZES)
    log(f"fold {args.fold}: {model.sizes}, {sum(p.numel() for p in model.parameters() if p.requires_grad):,} parameters that train; {settings}")
    model = train.classify(model, data, settings, log, compiled=args.compile)
    chosen = np.flatnonzero(data.fold == args.fold)
    found = {f"soft_{length}": asked(model, data, chosen, length, settings) for length in (500, 300)}
    np.savez(args.out / f"soft_{args.fold}.npz", chosen=chosen, **found)
    log(f"{len(chosen)} chunks asked about")


if __name__ == "__main__":
    main()
