"""The classifier, both towers and the head at once.

Called by make.py. The number of steps is fixed; where the machine is too slow for the minutes allowed, fewer are
taken in proportion, and the log says how many.
"""
import copy
import dataclasses
import math
import time

import numpy as np
import torch
from torch.nn import functional as F

import draw
import metrics
import model as m
import reading as f
import sequences as seq
import shards

CLIP = 1.0
WARM = 6
TRANSLATED_DOUBT = 0.2  # what a teacher that knows nothing of a protein would add to its label


@dataclasses.dataclass(frozen=True)
class Settings:
    steps: int = 5_000
    batch: int = 1_024
    minutes: float = 5.0
    peak: float = 1e-3
    decay: float = 0.05
    noise: float = 0.20  # most of a sequence's codons and residues that are masked
    masked: float = 0.10  # weight of the loss of masked codons and residues
    proteins: float = 0.25  # weight of the loss of proteins by origin
    robust: float = 0.0  # how much harder groups count for more
    made_up: float = draw.MADE_UP
    mutated: float = draw.MUTATED
    recoded: float = 0.0  # of a batch: the same peptides in other codons
    substituted: float = 0.0  # of half of those at most so many residues become others
    translated: float = 0.0  # of a batch: proteins of phages, viruses and cells, written in codons
    dropout: float = 0.3  # of the heads
    low: float = 0.02  # the last step's rate, of the peak
    partial: bool = True
    codons: bool = True
    facts: bool = True
    soft: float = 0.7  # what a teacher's verdict counts beside the label
    soft_viral: float = 0.3  # what the verdict of finished models counts beside a virus's label
    soft_cell: float = 0.5  # and beside a cell's
    short: int = 3  # every so many steps one of chunks of 300 bases


def opening(out, seed):
    """What a run begins with: a log to OUT/log.txt and to the screen, the device, and its random numbers."""
    out.mkdir(parents=True, exist_ok=True)
    began, file = time.time(), open(out / "log.txt", "w")

    def log(text):
        line = f"[{time.time() - began:6.1f} s] {text}"
        print(line, flush=True)
        print(line, file=file, flush=True)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    return log, device, torch.Generator(device).manual_seed(seed)


class Schedule:
    """Warm-up, then a cosine, over the steps asked for, or over the minutes where the machine is too slow for them."""

    def __init__(self, settings):
        self.steps, self.peak, self.low, self.seconds = settings.steps, settings.peak, settings.low, settings.minutes * 60
        self.began = time.time()

    def going(self, optimizer, step):
        """Sets the rate of a step; whether it is to be taken."""
        progress = max(step / self.steps, (time.time() - self.began) / self.seconds)
        warm = min(1.0, (step + 1) / max(1, min(300, self.steps // 10)))
        rate = self.peak * warm * (self.low + (1 - self.low) * 0.5 * (1 + math.cos(math.pi * min(1, progress))))
        for group in optimizer.param_groups:
            group["lr"] = rate
        return progress < 1


def optimizer_of(modules, decay):
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = {"fused": True} if parameters[0].is_cuda else {}
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), **fused), parameters


class Rows:
    """One row a chunk: an open frame drawn at random, or the longest partial frame, or no peptide. Sizes never change."""

    def __init__(self, data, bases, settings):
        self.words, residues = f.six(bases)
        is_open = f.open_frames(residues)
        had = is_open.any(1)
        frame = (data.uniform(*is_open.shape) * is_open).argmax(1)
        ids = f.as_ids(residues[torch.arange(len(bases), device=bases.device), frame])
        partial = f.longest_run(residues)
        if not settings.partial:
            partial = torch.where(partial == seq.CLS, seq.CLS, seq.PAD)
        self.ids = torch.where(had[:, None], ids, partial)
        self.has = (self.ids != seq.PAD).sum(1) > 2
        self.facts = f.facts(bases, is_open)
        self.facts[:, 1] = (self.has & ~had).float()
        if not settings.facts:
            self.facts = torch.zeros_like(self.facts)


def blur(data, ids, special, mask, most):
    """Masks tokens, of each sequence another share of at most `most`; which."""
    share = data.uniform(len(ids), *[1] * (ids.dim() - 1)) * most
    chosen = (data.uniform(*ids.shape) < share) & ~special
    return torch.where(chosen, mask, ids), chosen


def masked_loss(logits, ids, chosen):
    loss = F.cross_entropy(logits.float().flatten(0, -2), ids.flatten(), reduction="none")
    return (loss * chosen.flatten()).sum() / chosen.sum().clamp(min=1)


class Losses(torch.nn.Module):
    """What training adds to a model and throws away: heads for masked tokens and for proteins by origin."""

    def __init__(self, sizes):
        super().__init__()
        self.residues = torch.nn.Linear(sizes.peptide_hidden, len(seq.ALPHABET))
        self.codons = torch.nn.Linear(sizes.codon_hidden, f.WORDS)
        self.origin = m.Head(sizes.peptide_hidden, sizes.head)


class Compiled:
    """A model's two towers, as they are or by torch.compile; sizes never change, so that each length compiles once."""

    def __init__(self, model, compiled):
        self.model = model
        self.codons, self.peptides = model.codons, model.peptides
        if compiled:
            import torch._dynamo

            # What does not compile runs as it is.
            torch._dynamo.config.suppress_errors = True
            self.codons, self.peptides = (torch.compile(f, dynamic=False) for f in (model.codons, model.peptides))


def step_of(model, towers, extra, data, length, settings, teacher, hardness):
    """Losses of one batch: verdicts, masked tokens, proteins."""
    bases, viral, group, soft = data.chunks(settings.batch, length)
    few = int(settings.made_up * settings.batch)
    if few:
        bases = torch.cat((data.made_up(bases[:few]), bases[few:]))
        viral, soft = (torch.cat((torch.zeros_like(v[:few]), v[few:])) for v in (viral, soft))
    some = int(settings.recoded * settings.batch)
    if some:
        own = few + data.leaning_to(group[few:], some)
        bases[own] = data.recoded(bases[own], settings.substituted)
    written = int(settings.translated * settings.batch)
    if written:
        soft = soft.clone()  # without a teacher it is the labels
        bases[-written:], viral[-written:] = data.translated(written, length)
        soft[-written:] = torch.lerp(viral[-written:], torch.full_like(viral[-written:], 0.5), TRANSLATED_DOUBT)
    rows = Rows(data, bases, settings)
    proteins, origin = data.proteins(settings.batch // 8, length // 3)
    peptides = torch.cat((rows.ids, f.as_ids(proteins)))
    words, hidden = blur(data, rows.words, rows.words == f.OUTSIDE, f.UNKNOWN, settings.noise)
    ids, hidden_residues = blur(data, peptides, peptides < 4, seq.MASK, settings.noise)
    with torch.autocast(bases.device.type, torch.bfloat16, enabled=bases.is_cuda):
        vector, x = towers.codons(words, length % 3 != 2)
        has = torch.cat((rows.has, torch.ones_like(origin, dtype=torch.bool)))
        y, z = towers.peptides(ids, has)
        # The masked codons of two frames of six: enough to learn from, and a third of the work.
        x = x.unflatten(0, (len(bases), 6))[:, ::3]
        masked = masked_loss(extra.codons(x), rows.words[:, ::3].clamp(max=f.UNKNOWN), hidden[:, ::3])
        masked = masked + masked_loss(extra.residues(z), peptides, hidden_residues)
    if not settings.codons:
        vector = vector * 0
    margin = model.margin(length, vector, y[: len(bases)], rows.facts)
    # A virus's genome is a virus; a cell's may hold one, and viruses that teachers do not know are the hardest to learn.
    target = torch.lerp(viral, soft, torch.where(viral > 0, settings.soft_viral, settings.soft_cell))
    if teacher is not None:
        with torch.no_grad(), torch.autocast(bases.device.type, torch.bfloat16, enabled=bases.is_cuda):
            big, _ = teacher.codons(rows.words, length % 3 != 2)
            own, _ = teacher.peptides(rows.ids, rows.has)
            soft = torch.sigmoid(teacher.model.margin(length, big, own, rows.facts))
        target = torch.lerp(viral, soft, settings.soft)
    loss = F.binary_cross_entropy_with_logits(margin, target, reduction="none")
    weight = torch.ones_like(loss)
    if settings.robust:
        with torch.no_grad():
            total, count = (torch.zeros_like(hardness).index_add_(0, group[few:], v[few:]) for v in (loss, weight))
            hardness.copy_(torch.where(count > 0, hardness.lerp(total / count.clamp(min=1), 0.02), hardness))
            weight = hardness[group] ** settings.robust
            weight = weight / weight.mean()
    verdicts = (loss * weight).mean()
    origins = F.binary_cross_entropy_with_logits(extra.origin.margin(y[len(bases) :]), origin)
    return verdicts, masked, origins


def classify(model, data, settings, log, teacher=None, compiled=False):
    """Trains; returns the average of the weights that was best on the validation chunks, calibrated."""
    average = learn(model, Compiled(model, compiled), data, settings, log, teacher, compiled)
    for length in (500, 300):
        calibrate(average, data, length, log)
    return average


def learn(model, towers, data, settings, log, teacher=None, compiled=False):
    """What `classify` does, without a calibration; `towers`: the model, compiled or not."""
    device = data.device
    extra = Losses(model.sizes).to(device)
    data.mutated = settings.mutated
    for head in model.heads.values():
        head.rate = settings.dropout
    teacher = teacher and Compiled(teacher, compiled)
    optimizer, parameters = optimizer_of([model, extra], settings.decay)
    schedule = None
    average, best = copy.deepcopy(model).eval(), (-1.0, None)
    hardness = torch.full((len(data.facts["groups"]),), 0.5, device=device)
    sums, step, each = torch.zeros(3, device=device), 0, max(1, min(1_000, settings.steps // 2))
    going = True
    while going:
        model.train()
        if step == WARM or schedule is None:
            # The first steps compile: the minutes begin after them.
            schedule = Schedule(settings)
            schedule.going(optimizer, step)
            log(f"step {step} begins")
        length = 300 if step % settings.short == 0 else 500
        losses = step_of(model, towers, extra, data, length, settings, teacher, hardness)
        optimizer.zero_grad(set_to_none=True)
        (losses[0] + settings.masked * losses[1] + settings.proteins * losses[2]).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        keep = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        sums += torch.stack(losses).detach()
        step += 1
        going = schedule.going(optimizer, step)
        if step % each == 0 or not going:
            settle(average, data, settings)
            areas = [validate(average, data, n) for n in (500, 300)]
            a, b, c = (sums / ((step - 1) % each + 1)).tolist()
            sums.zero_()
            log(
                f"step {step}: loss of verdicts {a:.3f}, masked {b:.3f}, origins {c:.3f}; "
                f"validation AUROC {areas[0]:.4f} at 500, {areas[1]:.4f} at 300"
            )
            if sum(areas) > best[0]:
                best = sum(areas), copy.deepcopy(average.state_dict())
    average.load_state_dict(best[1])
    return average


@torch.no_grad()
def settle(average, data, settings, batches=20):
    """The heads' running statistics are those of the averaged weights, on chunks as they are scored."""
    norms = [head.bn1 for head in average.heads.values()]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for n in range(batches * len(norms)):
        length = (500, 300)[n % 2]
        rows = Rows(data, data.chunks(settings.batch, length)[0], settings)
        with torch.autocast(rows.words.device.type, torch.bfloat16, enabled=rows.words.is_cuda):
            vector, peptide = average.codons(rows.words)[0], average.peptides(rows.ids, rows.has)[0]
        vector = vector if settings.codons else vector * 0
        average.margin(length, vector, peptide, rows.facts)
    for norm in norms:
        norm.momentum = 0.1
    average.eval()


def shares(data, viral, group):
    """Each chunk's weight: both classes a half, within a class each group its share in training."""
    weight = np.zeros(len(viral))
    for label in (0, 1):
        own = sorted(set(group[viral == label].tolist()))
        total = sum(data.facts["weights"][g] for g in own)
        for g in own:
            weight[group == g] = 0.5 * data.facts["weights"][g] / total / (group == g).sum()
    return weight


def validate(model, data, length, split=shards.VALIDATION):
    """Area under the curve, groups by their shares."""
    bases, viral, group = data.held[length, split]
    found, _ = m.scores(model, bases, length, data.device)
    return metrics.measure(found[:, 1] / found.sum(1), viral, shares(data, viral, group))[0]


def called(model, data, length):
    """The share called viral of each group that validates or that choices are made by."""
    parts = []
    for split in (shards.VALIDATION, shards.DEVELOPMENT):
        bases, _, group = data.held[length, split]
        found, _ = m.scores(model, bases, length, data.device)
        is_viral = found[:, 1] >= found[:, 0]
        parts += [f"{data.facts['groups'][g]} {is_viral[group == g].mean():.3f}" for g in sorted(set(group.tolist()))]
    return ", ".join(parts)


def calibrate(model, data, length, log):
    """Platt scaling of chunks' verdicts on the validation chunks, folded into the last layer."""
    bases, viral, group = data.held[length, shards.VALIDATION]
    found, _ = m.scores(model, bases, length, data.device)
    # The margin of a chunk: of its highest scores, as a record takes them.
    margin = torch.from_numpy(np.log(np.maximum(found[:, 1], 1e-9)) - np.log(np.maximum(found[:, 0], 1e-9)))
    weight, labels = torch.from_numpy(shares(data, viral, group)), torch.from_numpy(viral).double()
    scale, shift = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.0, 0.0))
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=50, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(scale * margin + shift, labels, weight, reduction="sum")
        value.backward()
        return value

    optimizer.step(loss)
    scale, shift = scale.item(), shift.item()
    if not 0.2 < scale < 5:
        log(f"calibration at {length}: {scale:.3g} is no scale to trust, left as it was")
        return
    head = model.heads[str(length)].output_layer
    with torch.no_grad():
        head.weight.mul_(scale)
        head.bias.mul_(scale)
        head.bias[1] += shift
    log(f"calibration at {length}: margin · {scale:.3f} + {shift:+.3f}")
