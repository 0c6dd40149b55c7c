"""virpack-mini from shards to files, in one command.

    python3 training/make.py --data SHARDS --out OUTDIR [--minutes 4] [--teacher-minutes 2] [--compile] [--small]

Trains the model that is shipped; with `--teacher-minutes` a larger one of the same kind before it, from which it learns too. Writes
OUTDIR/{peptide,nucleotide}/ (ordinary model directories), OUTDIR/classifier_{500,300}.safetensors and OUTDIR/log.txt.
`--small`: a tiny model, few steps, to see on any machine that all of it works. What else can be set is there for the
ablations of notes.md.
"""
import argparse
import dataclasses
import json
import pathlib
import sys

import torch

import draw
import files
import model as m
import shards
import train

SEED = 2026


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--teacher-minutes", type=float, default=0.0, help="0: no teacher")
    parser.add_argument("--teacher", type=pathlib.Path, help="a teacher.pt of another run")
    parser.add_argument("--only-teacher", action="store_true")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--teacher-steps", type=int, default=2_500)
    parser.add_argument("--development", action="store_true", help="train on the development groups too, as the shipped model was")
    parser.add_argument("--first-groups", action="store_true", help="train on the ten groups of the first version only")
    parser.add_argument("--without", nargs="*", default=[], help="groups that are left out")
    parser.add_argument("--sizes", type=json.loads, default={}, help='as JSON, {"codon_layers": 3}')
    parser.add_argument("--settings", type=json.loads, default={}, help='as JSON, {"noise": 0.1}')
    parser.add_argument("--more", type=json.loads, default={}, help='groups that are drawn more or less often, as JSON, {"transposon": 2}')
    parser.add_argument("--code-4", action="store_true", help="write some chunks, organelles most, in genetic code 4")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--small", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    log, device, rng = train.opening(args.out, args.seed)
    settings = train.Settings(**{"minutes": args.minutes, **args.settings})
    if args.small:
        settings = dataclasses.replace(settings, steps=60, batch=32)
        args.teacher_steps = 40
    data = draw.Data(
        args.data, device, rng, args.development, args.without, 10 if args.first_groups else None, args.small, args.more, args.code_4
    )
    log(f"{' '.join(sys.argv)}; torch {torch.__version__}, {torch.cuda.get_device_name() if device.type == 'cuda' else 'cpu'}")
    log(f"{len(data)} training chunks, {len(data.ends)} proteins, seed {args.seed}")
    teacher = None
    if args.teacher_minutes:
        big = m.Mini(dataclasses.replace(m.SMALL, codon_hidden=32) if args.small else m.TEACHER).to(device)
        log(f"teacher: {big.sizes}, {sum(p.numel() for p in big.parameters()):,} parameters")
        own = dataclasses.replace(settings, steps=args.teacher_steps, minutes=args.teacher_minutes, peak=6e-4)
        teacher = train.classify(big, data, own, log, compiled=args.compile)
        torch.save({"sizes": dataclasses.asdict(big.sizes), "weights": teacher.state_dict()}, args.out / "teacher.pt")
        for length in (500, 300):
            log(f"teacher, {length} bases: AUROC of development groups {train.validate(teacher, data, length, shards.DEVELOPMENT):.4f}")
    if args.teacher:
        kept = torch.load(args.teacher, map_location=device)
        teacher = m.Mini(m.Sizes(**kept["sizes"])).to(device)
        teacher.load_state_dict(kept["weights"])
        teacher.eval()
    if args.only_teacher:
        return
    sizes = m.SMALL if args.small else m.Sizes(**args.sizes)
    model = m.Mini(sizes).to(device)
    nucleotide, peptide = model.parameters_of_towers()
    log(f"{sizes}: {nucleotide:,} parameters of the codon tower, {peptide:,} of the peptide tower")
    log(f"{sizes.flops() / 1e6:.0f} MFLOP a chunk of 500 of plant viruses; {settings}")
    model = train.classify(model, data, settings, log, teacher, args.compile)
    files.export(model, args.out)
    # What is shipped is float16: say what that costs.
    exported = files.load(args.out, device)
    for length in (500, 300):
        areas = [train.validate(exported, data, length, split) for split in (shards.VALIDATION, shards.DEVELOPMENT)]
        log(f"exported, float16, {length} bases: AUROC of validation {areas[0]:.4f}, of development groups {areas[1]:.4f}")
        log(f"called viral at {length} bases: {train.called(exported, data, length)}")
    log("done")


if __name__ == "__main__":
    main()
