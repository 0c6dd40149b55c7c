"""virpack-mini from shards to files, in one command.

    python3 training/make.py --data SHARDS --out OUTDIR [--minutes 10] [--small]

Writes OUTDIR/{peptide,nucleotide}/ (ordinary model directories), OUTDIR/{nucleotide_,}classifier_{500,300}.safetensors
and OUTDIR/log.txt. `--small`: a tiny model, few steps, to see on any machine that all of it works.
"""
import argparse
import pathlib
import sys
import time

import torch

import model as m
import train

SEED = 2026


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--pretraining-steps", type=int, default=8_000)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1_024, help="chunks")
    parser.add_argument("--pretraining", type=float, default=0.15, help="share of the minutes")
    parser.add_argument("--noise", type=float, default=0.15, help="most of a sequence's tokens that the classifier's training masks")
    parser.add_argument("--compile", action="store_true", help="with torch.compile: twice as fast on a GPU")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    file = open(args.out / "log.txt", "w")

    def log(text):
        line = f"[{time.time() - began:6.1f} s] {text}"
        print(line, flush=True)
        print(line, file=file, flush=True)

    if args.small:
        args.pretraining_steps, args.steps, args.batch = 120, 240, 32
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(SEED)
    torch.backends.cuda.matmul.allow_tf32 = True
    rng = torch.Generator(device).manual_seed(SEED)
    model = m.Mini(m.SMALL if args.small else m.Sizes()).to(device)
    nucleotide, peptide = model.parameters_of_towers()
    log(f"{' '.join(sys.argv)}; torch {torch.__version__}, {torch.cuda.get_device_name() if device.type == 'cuda' else 'cpu'}")
    log(f"{model.sizes}: {nucleotide:,} parameters of the nucleotide tower, {peptide:,} of the peptide tower")
    log(f"{model.sizes.flops() / 1e6:.0f} MFLOP a chunk of 500 of plant viruses")
    data = train.Data(args.data, device, rng, args.small)
    log(f"{len(data.first)} training chunks, {len(data.ends)} proteins, seed {SEED}")
    left = args.minutes - (time.time() - began) / 60 - 0.3
    towers = train.towers_of(model, args.compile)
    train.pretrain(model, towers, data, args.pretraining_steps, args.batch, args.pretraining * left, log)
    left = args.minutes - (time.time() - began) / 60 - 0.3
    model = train.classify(model, towers, data, args.steps, args.batch, left, args.noise, log)
    m.export(model, args.out)
    # What is shipped is float16: say what that costs.
    exported = m.load(args.out, device)
    for length in (500, 300):
        log(f"exported, float16: validation AUROC {train.validate(exported, data, length):.4f} at {length}")
    log("done")


if __name__ == "__main__":
    main()
