"""Averages of several fine-tuned models that began as one, and the candidates among which `choose.py` chooses.

    python3 training/soup.py --data SHARDS --teacher MODEL... --lambda LAMBDA.fasta.gz --out OUT [--plan PLAN] [--start MODEL] [--until SECONDS] [--compile] [--small]

Begins with `--start`, or trains a common start anew, from `--start` where the plan goes on from it. Each branch goes on from there with another seed and other settings (`PLANS`);
their weights are averaged. What teachers say on average softens the labels: of cells more than of viruses. Writes
each candidate to OUT/NAME, and the five best to OUT.tar.gz after each. No branch begins that would end after `--until`.
"""
import argparse
import copy
import dataclasses
import pathlib
import tarfile
import time

import numpy as np
import torch

import choose
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


@dataclasses.dataclass(frozen=True)
class Plan:
    """A start and its branches: settings that change, what is drawn more often, whether some chunks are written in genetic code 4."""

    branches: list
    base: train.Settings = BASE
    branch: train.Settings = BRANCH
    more: dict = dataclasses.field(default_factory=lambda: MORE)  # drawn more often by the start
    leaning: dict = dataclasses.field(default_factory=dict)  # recoded more often
    doubt: dict = dataclasses.field(default_factory=dict)  # group: how much of the teachers' doubt is left
    kin: float = 0.0  # what the area of viruses against transposons counts in what is kept
    onward: bool = False  # whether the start goes on from `--start`, instead of being it


THIRD = Plan(
    [
        ({"noise": 0.25, "short": 2}, MORE, False),
        ({"noise": 0.35, "mutated": 0.10, "dropout": 0.5}, {}, False),
        ({"noise": 0.25, "recoded": 0.15}, MORE, False),
        ({"noise": 0.35, "mutated": 0.08, "recoded": 0.10, "short": 2}, MORE, True),
        ({"noise": 0.25, "made_up": 0.06, "dropout": 0.5, "short": 2}, {}, True),
        ({"noise": 0.30, "mutated": 0.15}, MORE, True),
    ]
)
# Recoded from the first step; residues of what is kin of retroviruses substituted; proteins of phages, viruses and cells written in codons.
KIN = {"transposon": 4.0, "plant transposon": 4.0, "retrovirus": 4.0}
SURE = {"transposon": 0.3, "plant transposon": 0.3}
SOME = {**MORE, "transposon": 3.0, "plant transposon": 2.5, "retrovirus": 1.5}
MANY = {**MORE, "transposon": 6.0, "plant transposon": 4.0, "retrovirus": 2.0}
WRITTEN = {"recoded": 0.20, "substituted": 0.5, "translated": 0.08}
WRITTEN_MORE = {**WRITTEN, "recoded": 0.30}
GENTLE = Plan(
    [
        ({}, SOME, False),
        ({"short": 2, "noise": 0.30, "mutated": 0.08}, SOME, False),
        ({"soft_cell": 0.7, "soft_viral": 0.5, "translated": 0.0}, SOME, False),
    ],
    dataclasses.replace(BASE, steps=5_300, minutes=3.2, **WRITTEN),
    dataclasses.replace(BRANCH, noise=0.25, **WRITTEN),
    SOME, KIN, SURE, 0.25,
)  # fmt: skip
HARD = Plan(
    [
        ({}, MANY, False),
        ({"translated": 0.0}, SOME, False),
        ({"substituted": 0.7, "noise": 0.30}, MANY, False),
    ],
    dataclasses.replace(BASE, steps=5_300, minutes=3.2, short=2, **WRITTEN_MORE),
    dataclasses.replace(BRANCH, noise=0.25, short=2, **WRITTEN_MORE),
    MANY, KIN, SURE, 0.25,
)  # fmt: skip
# A student of models that have no start in common. What is taken for viral among prokaryotes is drawn more often.
TAUGHT = {"recoded": 0.15, "substituted": 0.5, "soft_cell": 0.8, "soft_viral": 0.5}
DRAWN = {**MORE, "bacteria": 1.2, "more bacteria": 1.2, "prokaryote gene": 1.2, "archaea": 1.2}
# Groups of which the teachers have seen a part only: their doubt counts less, so that the labels of the rest are learnt.
SURER = {**SURE, "bacteria": 0.75, "more bacteria": 0.75, "prokaryote gene": 0.75, "mRNA": 0.75}
LONGER = Plan(
    [({}, DRAWN, False), ({"short": 2, "noise": 0.30}, DRAWN, False)],
    dataclasses.replace(BASE, steps=8_000, minutes=3.1, peak=7e-4, low=0.2, short=2, **TAUGHT),
    dataclasses.replace(BRANCH, steps=1_200, noise=0.25, **TAUGHT),
    DRAWN, KIN, SURER, 0.25, onward=True,
)  # fmt: skip
PLANS = {"third": THIRD, "gentle": GENTLE, "hard": HARD, "longer": LONGER}
KEPT = 5


class Candidates:
    """What was made: written to files, measured, the best of them in one archive."""

    def __init__(self, out, data, phage, kin, log):
        self.out, self.data, self.phage, self.kin, self.log, self.found = out, data, phage, kin, log, {}

    def add(self, name, model):
        """The model is calibrated on the way to its files; as it is here it is not."""
        own = copy.deepcopy(model)
        for length in (500, 300):
            train.calibrate(own, self.data, length, lambda text: self.log(f"{name}: {text}"))
        files.export(own, self.out / name)
        exported = files.load(self.out / name, self.data.device)
        found = choose.measured(exported, self.data)
        viral = [choose.log_odds(exported, self.phage, n, self.data.device) for n in choose.LENGTHS]
        self.log(f"{name}: {found}, lambda's log-odds {viral[0]:.3f} {viral[1]:.3f}")
        self.found[name] = found.sum(self.kin)
        best = sorted(self.found, key=self.found.get, reverse=True)[:KEPT]
        part = self.out.with_suffix(".part")
        with tarfile.open(part, "w:gz", compresslevel=1) as archive:
            for kept in best:
                archive.add(self.out / kept, f"{self.out.name}/{kept}")
        part.rename(self.out.with_suffix(".tar.gz"))


def mixed(model, states, data, settings):
    """The mean of weights, with BatchNorm's statistics of its own."""
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype) for name, value in states[0].items()}
    out = copy.deepcopy(model)
    out.load_state_dict(mean)
    train.settle(out, data, settings)
    return out


@torch.no_grad()
def told(model, data, length, settings):
    """What a model says of windows about every training chunk, the probability of being viral: `[chunks, shifts]`; one open frame a chunk."""
    out = []
    for part in torch.arange(len(data)).split(4_096 if data.bases.is_cuda else 64):
        part = part.to(data.device)
        columns = []
        for shift in draw.SHIFTS:
            rows = train.Rows(data, data.at(data.window(part, shift, length), length), settings)
            with torch.autocast(data.device.type, torch.bfloat16, enabled=part.is_cuda):
                vector, peptide = model.codons(rows.words, length % 3 != 2)[0], model.peptides(rows.ids, rows.has)[0]
            columns.append(torch.sigmoid(model.margin(length, vector, peptide, rows.facts)).cpu())
        out.append(torch.stack(columns, 1))
    return torch.cat(out).numpy().astype(np.float16)


def asked(paths, data, settings, doubt, log):
    """What teachers say of every training chunk, on average; of groups in `doubt` only so much of it is left."""
    soft = {}
    for length in (500, 300):
        said = sum(told(files.load(path, data.device), data, length, settings).astype("float32") for path in paths)
        soft[length] = torch.from_numpy(said / len(paths)).to(data.device)
        for name, left in doubt.items():
            soft[length][data.group == data.facts["groups"].index(name)] *= left  # of cells only
    for label in (0, 1):
        log(f"teachers of class {label}: " + ", ".join(f"{t[data.viral == label].mean():.3f} at {n}" for n, t in soft.items()))
    return soft


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--teacher", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--lambda", dest="phage", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--plan", choices=PLANS, default="third")
    parser.add_argument("--start", type=pathlib.Path)
    parser.add_argument("--until", type=float, default=3_600.0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    began, plan = time.time(), PLANS[args.plan]
    log, device, rng = train.opening(args.out, args.seed)
    data = draw.Data(args.data, device, rng, development=True, small=args.small, code_4=True)
    code_4 = data.code_4
    from_here = bool(args.start) and not plan.onward
    few = {"steps": 20, "batch": 32} if args.small else {}
    base, branch = dataclasses.replace(plan.base, **few), dataclasses.replace(plan.branch, peak=PEAK[from_here], **few)
    log(f"{len(data)} training chunks; torch {torch.__version__}; {args.start if from_here else base}; {branch}")
    data.soft = asked(args.teacher, data, branch, plan.doubt, log)

    candidates = Candidates(args.out, data, args.phage, plan.kin, log)
    model = files.load(args.start, device) if args.start else m.Mini(m.SMALL if args.small else m.Sizes()).to(device)
    towers = train.Compiled(model, args.compile)
    if not from_here:
        data.weigh(plan.more)
        data.lean(plan.leaning)
        start = train.learn(model, towers, data, base, log).state_dict()
        model.load_state_dict(start)
        candidates.add("start", model.eval())
    start = {name: value.clone() for name, value in model.state_dict().items()}

    states, longest = [], 0.0
    for n, (changes, more, is_code_4) in enumerate(plan.branches[1:3] if args.small else plan.branches):
        now = time.time()
        if now - began + longest > args.until:
            log(f"no time for branch {n}")
            break
        torch.manual_seed(args.seed + n + 1)
        rng.manual_seed(args.seed + n + 1)
        data.weigh(more)
        data.lean(plan.leaning)
        data.code_4 = code_4 if is_code_4 else False
        model.load_state_dict(start)
        log(f"branch {n}: {changes}, {more}, code 4: {is_code_4}")
        average = train.learn(model, towers, data, dataclasses.replace(branch, **changes), log)
        states.append(average.state_dict())
        candidates.add(f"branch_{n}", average)
        longest = max(longest if n > 1 else 0.0, time.time() - now)  # the first one compiles

    if not states:
        return
    data.weigh({})
    data.code_4, data.mutated = False, draw.MUTATED
    candidates.add("all", mixed(average, states, data, branch))
    candidates.add("halfway", mixed(average, [start] * len(states) + states, data, branch))
    log("done")


if __name__ == "__main__":
    main()
