"""Averages of several fine-tuned models that began as one, and the candidates among which `choose.py` chooses.

    python3 training/soup.py --data SHARDS --teacher MODEL --lambda LAMBDA.fasta.gz --out OUT [--start MODEL] [--until SECONDS] [--compile] [--small]

Begins with `--start`, or trains a common start anew. Each branch goes on from there with another seed and other settings (`BRANCHES`);
their weights are averaged, all of them and greedily. A teacher's verdicts soften the labels: of cells more than of viruses. Writes
each candidate to OUT/NAME, and the five best to OUT.tar.gz after each. No branch begins that would end after `--until`.
"""
import argparse
import copy
import dataclasses
import pathlib
import tarfile
import time

import torch

import choose
import crossfit
import draw
import files
import model as m
import train

SEED = 2026
BASE = train.Settings(steps=4_500, minutes=2.6, low=0.3, soft_cell=0.7, soft_viral=0.4, noise=0.25, dropout=0.4)
BRANCH = train.Settings(steps=1_000, minutes=0.7, soft_cell=0.6, soft_viral=0.3)
PEAK = {True: 5e-4, False: 3e-4}  # of branches of a finished model, and of a common start whose rate is still high
# What whole groups held out are missed by is drawn more often, as far as training holds anything like it.
MORE = {"transposon": 2.5, "plant transposon": 2.0, "organelle": 1.6, "rRNA": 1.5, "mRNA": 1.3}
# Settings, what is drawn more often, whether some chunks are written in genetic code 4.
BRANCHES = [
    ({"noise": 0.25, "short": 2}, MORE, False),
    ({"noise": 0.35, "mutated": 0.10, "dropout": 0.5}, {}, False),
    ({"noise": 0.25, "recoded": 0.15}, MORE, False),
    ({"noise": 0.35, "mutated": 0.08, "recoded": 0.10, "short": 2}, MORE, True),
    ({"noise": 0.25, "made_up": 0.06, "dropout": 0.5, "short": 2}, {}, True),
    ({"noise": 0.30, "mutated": 0.15}, MORE, True),
]
KEPT = 5


class Candidates:
    """What was made: written to files, measured, the best of them in one archive."""

    def __init__(self, out, data, phage, log):
        self.out, self.data, self.phage, self.log, self.found = out, data, phage, log, {}

    def area(self, model):
        return [train.validate(model, self.data, n) for n in (500, 300)]

    def add(self, name, model):
        """The sum of both areas; the model is calibrated on the way to its files, as it is here it is not."""
        own = copy.deepcopy(model)
        for length in (500, 300):
            train.calibrate(own, self.data, length, lambda text: self.log(f"{name}: {text}"))
        files.export(own, self.out / name)
        exported = files.load(self.out / name, self.data.device)
        areas = self.area(exported)
        viral = [choose.log_odds(exported, self.phage, n, self.data.device) for n in choose.LENGTHS]
        self.log(f"{name}: validation {areas[0]:.4f} {areas[1]:.4f}, lambda's log-odds {viral[0]:.3f} {viral[1]:.3f}")
        self.found[name] = sum(areas)
        best = sorted(self.found, key=self.found.get, reverse=True)[:KEPT]
        part = self.out.with_suffix(".part")
        with tarfile.open(part, "w:gz", compresslevel=1) as archive:
            for kept in best:
                archive.add(self.out / kept, f"{self.out.name}/{kept}")
        part.rename(self.out.with_suffix(".tar.gz"))
        return sum(areas)


def mixed(model, states, data, settings):
    """The mean of weights, with BatchNorm's statistics of its own."""
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype) for name, value in states[0].items()}
    out = copy.deepcopy(model)
    out.load_state_dict(mean)
    train.settle(out, data, settings)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--teacher", type=pathlib.Path, required=True)
    parser.add_argument("--lambda", dest="phage", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--start", type=pathlib.Path)
    parser.add_argument("--until", type=float, default=3_600.0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    file = open(args.out / "log.txt", "w")

    def log(text):
        line = f"[{time.time() - began:6.1f} s] {text}"
        print(line, flush=True)
        print(line, file=file, flush=True)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    rng = torch.Generator(device).manual_seed(args.seed)
    data = draw.Data(args.data, device, rng, development=True, small=args.small, code_4=True)
    code_4 = data.code_4
    few = {"steps": 8, "batch": 16} if args.small else {}
    base, branch = dataclasses.replace(BASE, **few), dataclasses.replace(BRANCH, peak=PEAK[bool(args.start)], **few)
    log(f"{len(data)} training chunks; torch {torch.__version__}; {base if not args.start else args.start}; {branch}")

    teacher = files.load(args.teacher, device)
    every = torch.arange(len(data)).numpy()
    data.soft = {n: torch.from_numpy(crossfit.asked(teacher, data, every, n, branch)).float().to(device) for n in (500, 300)}
    for label in (0, 1):
        log(f"the teacher of class {label}: " + ", ".join(f"{t[data.viral == label].mean():.3f} at {n}" for n, t in data.soft.items()))

    candidates = Candidates(args.out, data, args.phage, log)
    model = files.load(args.start, device) if args.start else m.Mini(m.SMALL if args.small else m.Sizes()).to(device)
    towers = train.Compiled(model, args.compile)
    if not args.start:
        data.weigh(MORE)
        start = train.learn(model, towers, data, base, log).state_dict()
        model.load_state_dict(start)
        candidates.add("start", model.eval())
    start = {name: value.clone() for name, value in model.state_dict().items()}

    states, areas, longest = [], [], 0.0
    for n, (changes, more, is_code_4) in enumerate(BRANCHES[2:4] if args.small else BRANCHES):
        now = time.time()
        if now - began + longest > args.until:
            log(f"no time for branch {n}")
            break
        torch.manual_seed(args.seed + n + 1)
        rng.manual_seed(args.seed + n + 1)
        data.weigh(more)
        data.code_4 = code_4 if is_code_4 else False
        model.load_state_dict(start)
        log(f"branch {n}: {changes}, {more}, code 4: {is_code_4}")
        average = train.learn(model, towers, data, dataclasses.replace(branch, **changes), log)
        states.append(average.state_dict())
        areas.append(candidates.add(f"branch_{n}", average))
        longest = max(longest if n > 1 else 0.0, time.time() - now)  # the first one compiles

    if not states:
        return
    data.weigh({})
    data.code_4, data.mutated = False, draw.MUTATED
    candidates.add("all", mixed(average, states, data, branch))
    candidates.add("halfway", mixed(average, [start] * len(states) + states, data, branch))
    order = sorted(range(len(states)), key=lambda n: -areas[n])
    chosen, best = order[:1], areas[order[0]]
    for n in order[1:]:
        area = sum(candidates.area(mixed(average, [states[k] for k in [*chosen, n]], data, branch)))
        if area >= best:
            chosen, best = [*chosen, n], area
    log(f"greedy: branches {chosen}")
    if len(chosen) > 1:
        candidates.add("greedy", mixed(average, [states[n] for n in chosen], data, branch))
    log("done")


if __name__ == "__main__":
    main()
