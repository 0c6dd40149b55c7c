"""Masked-language pretraining of both towers, then the classifier end to end.

Called by make.py. The number of steps is fixed; where the machine is too slow for the minutes allowed, fewer are
taken in proportion, and the log says how many.
"""
import copy
import math
import time

import numpy as np
import torch
from torch.nn import functional as F

import metrics
import model as m
import sequences as seq
import shards

CLIP = 1.0
CHUNK = 500
WINDOW = 166  # residues: the frame of a chunk of 500
MASKED = 0.15


class Data:
    """Everything that training draws from, on the device."""

    def __init__(self, folder, device, rng, small):
        chunks, facts = shards.load(folder, 500), shards.facts(folder)
        self.device, self.rng = device, rng
        train = np.flatnonzero(chunks["split"] == shards.TRAIN)
        weights = shards.weights(chunks, facts)[train]
        if small:
            kept = np.random.default_rng(0).choice(len(train), min(4_000, len(train)), replace=False)
            train, weights = train[kept], weights[kept]
        # Chunks side by side in one record are one stretch, from which any window is drawn.
        order = np.lexsort((chunks["start"][train], chunks["record"][train]))
        train, weights = train[order], weights[order]
        record, start = (chunks[name][train].astype(np.int64) for name in ("record", "start"))
        breaks = np.flatnonzero((np.diff(record) != 0) | (np.diff(start) != CHUNK)) + 1
        stretch = np.searchsorted(breaks, np.arange(len(train)), side="right")
        edges = np.concatenate(([0], breaks, [len(train)])) * CHUNK
        self.bases = torch.from_numpy(chunks["bases"][train].reshape(-1)).to(device)
        self.first, self.last = (torch.from_numpy(edges[stretch + i]).to(device) for i in (0, 1))
        self.viral = torch.from_numpy(chunks["viral"][train].astype(np.float32)).to(device)
        self.weights = torch.from_numpy(np.cumsum(weights / weights.sum())).to(device)
        proteins = shards.proteins(folder)
        self.residues = torch.from_numpy(proteins["residues"]).to(device)
        lengths = proteins["lengths"].astype(np.int64)
        self.ends = torch.from_numpy(np.cumsum(lengths)).to(device)
        self.starts = self.ends - torch.from_numpy(lengths).to(device)
        self.protein_viral = torch.from_numpy(proteins["viral"].astype(np.float32)).to(device)
        # Long proteins more often, but not in proportion: phages and viruses to a half.
        share = np.sqrt(np.minimum(lengths, 1_000))
        for label in (0, 1):
            own = proteins["viral"] == label
            share[own] /= 2 * share[own].sum()
        self.shares = torch.from_numpy(np.cumsum(share)).to(device)
        self.codon = torch.from_numpy(seq.CODON).to(device)
        self.validation = {}
        for length in (500, 300):
            own = chunks if length == 500 else shards.load(folder, 300)
            chosen = np.flatnonzero(own["split"] == shards.VALIDATION)
            chosen = chosen[:: max(1, len(chosen) // 300)] if small else chosen
            self.validation[length] = own["bases"][chosen], own["viral"][chosen].astype(int)

    def draw(self, cumulative, count):
        u = torch.rand(count, device=self.device, generator=self.rng, dtype=torch.float64) * cumulative[-1]
        return torch.searchsorted(cumulative, u).clamp(max=len(cumulative) - 1)

    def uniform(self, *shape):
        return torch.rand(*shape, device=self.device, generator=self.rng)

    def chunks(self, count, length):
        """Random windows of `length` bases about chunks, of either strand."""
        chosen = self.draw(self.weights, count)
        # A window about the chunk, at most half a chunk away from it, within its stretch.
        start = chosen * CHUNK + ((self.uniform(count) - 0.5) * CHUNK).long() + (CHUNK - length) // 2
        start = torch.minimum(torch.maximum(start, self.first[chosen]), self.last[chosen] - length)
        bases = self.bases[start[:, None] + torch.arange(length, device=self.device)]
        flipped = (bases ^ 2).flip(1)
        return torch.where(self.uniform(count, 1) < 0.5, bases, flipped), self.viral[chosen]

    def proteins(self, count, window):
        """Random windows of proteins as ids, padded, and whether they are viral."""
        chosen = self.draw(self.shares, count)
        first, last = self.starts[chosen], self.ends[chosen]
        room = (last - first - window).clamp(min=0) + 1
        start = first + (self.uniform(count) * room).long()
        places = start[:, None] + torch.arange(window, device=self.device)
        ids = self.residues[places.clamp(max=len(self.residues) - 1)].long()
        length = (last - start).clamp(max=window)
        ids = ids.masked_fill(places >= last[:, None], seq.PAD)
        out = torch.full((count, -(-(window + 2) // 8) * 8), seq.PAD, device=self.device)
        out[:, 0], out[:, 1 : window + 1] = seq.CLS, ids
        out[torch.arange(count, device=self.device), length + 1] = seq.EOS
        return out, self.protein_viral[chosen]


def hide(data, ids, special, mask, vocabulary, first):
    """BERT's masking: of 15 % of the tokens 80 % are masked, 10 % are others."""
    u, kind = data.uniform(*ids.shape), data.uniform(*ids.shape)
    chosen = (u < MASKED) & ~special
    other = (first + data.uniform(*ids.shape) * (vocabulary - first)).long()
    hidden = torch.where(chosen & (kind < 0.8), mask, ids)
    return torch.where(chosen & (kind >= 0.9), other, hidden), chosen


def blur(data, ids, special, mask, most):
    """Masks tokens, of each sequence another share of at most `most`: nothing to learn a chunk by heart from."""
    share = data.uniform(len(ids), 1) * most
    return torch.where((data.uniform(*ids.shape) < share) & ~special, mask, ids)


def masked_loss(x, head, table, ids, chosen):
    """Cross entropy of the hidden tokens, the output tied to the embeddings."""
    h = F.layer_norm(F.gelu(head(x[chosen])), (x.shape[-1],))
    return F.cross_entropy((h @ table.t()).float(), ids[chosen])


class Schedule:
    """Warm-up, then a cosine, over the steps asked for, or over the minutes where the machine is too slow for them."""

    def __init__(self, steps, peak, minutes):
        self.steps, self.peak, self.seconds = steps, peak, minutes * 60
        self.began = time.time()

    def going(self, optimizer, step):
        """Sets the rate of a step; whether it is to be taken."""
        progress = max(step / self.steps, (time.time() - self.began) / self.seconds)
        warm = min(1.0, (step + 1) / max(1, min(300, self.steps // 10)))
        rate = self.peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, progress))))
        for group in optimizer.param_groups:
            group["lr"] = rate
        return progress < 1


def optimizer_of(modules, decay):
    parameters = [p for module in modules for p in module.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = parameters[0].is_cuda
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), fused=fused), parameters


def towers_of(model, compiled):
    """The towers' forward passes (peptides, nucleotides), one kernel where PyTorch would launch several."""
    towers = model.peptide, model.nucleotide
    return [torch.compile(tower, dynamic=True) for tower in towers] if compiled else towers


def pretrain(model, towers, data, steps, batch, minutes, log):
    """Both towers at once: proteins and open frames for the peptides', chunks for the nucleotides'."""
    device = data.device
    heads = [torch.nn.Linear(w, w).to(device) for w in (model.sizes.peptide_hidden, model.sizes.nucleotide_hidden)]
    optimizer, parameters = optimizer_of([model.peptide, model.nucleotide, *heads], 0.01)
    schedule = Schedule(steps, 1e-3, minutes)
    model.train()
    sums, step, each = torch.zeros(2, device=device), 0, max(1, min(500, steps // 8))
    while schedule.going(optimizer, step):
        length = 500 if step % 2 else 300
        bases, _ = data.chunks(batch, length)
        peptides = data.proteins(batch, length // 3)[0]
        # A frame's padding may be wider by a few than a protein's window.
        frames = m.open_frames(bases, data.codon)[2][: batch // 2]
        width = max(peptides.shape[1], frames.shape[1])
        peptides = torch.cat([m.pad_to(ids, width, seq.PAD) for ids in (peptides, frames)])
        special = (peptides == seq.PAD) | (peptides == seq.CLS) | (peptides == seq.EOS)
        words = m.words(bases)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            hidden, chosen = hide(data, peptides, special, seq.MASK, 24, 4)
            first = masked_loss(
                towers[0](hidden), heads[0], model.peptide.embeddings["word_embeddings"].weight, peptides, chosen
            )
            hidden, chosen = hide(data, words, words < 5, m.N_MASK, m.N_VOCABULARY, m.WORD_START[m.WORD])
            table = model.nucleotide.embeddings["word_embeddings"].weight
            second = masked_loss(towers[1](hidden), heads[1], table, words, chosen)
        optimizer.zero_grad(set_to_none=True)
        (first + 0.3 * second).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        sums += torch.stack((first.detach(), second.detach()))
        step += 1
        if step % each == 0:
            a, b = (sums / each).tolist()
            log(f"pretraining, step {step}: loss of residues {a:.3f}, of words {b:.3f}")
            sums.zero_()


def frame_losses(model, towers, data, bases, viral, length, noise):
    """Losses of the frames' verdicts, of the nucleotides alone and of the peptides alone."""
    chunks, _, peptides, nucleotides = m.open_frames(bases, data.codon)
    had = torch.zeros(len(bases), dtype=torch.bool, device=data.device)
    had[chunks] = True
    # Chunks without a frame, and some with one, by their bases alone; predict begins at the first base, here any of
    # six is taken, which makes six of one.
    phase = int(data.uniform(1) * m.WORD)
    left = (~had | (data.uniform(len(bases)) < 0.3)).nonzero()[:, 0]
    words = m.words(bases[left][:, phase:])
    width = max(words.shape[1], nucleotides.shape[1])
    words = torch.cat([m.pad_to(ids, width, m.N_PAD) for ids in (nucleotides, words)])
    words = blur(data, words, words < 5, m.N_MASK, noise)
    x = model.nucleotide.pool(towers[1](words), words)
    of_frames, of_chunks = x[: len(chunks)], x[len(chunks) :]
    target = viral[chunks]
    # A chunk counts once, however many frames it has.
    share = 1 / torch.bincount(chunks, minlength=len(bases))[chunks].float()
    peptides = blur(data, peptides, peptides < 4, seq.MASK, noise)
    y = model.peptide.pool(towers[0](peptides), peptides)
    margin = model.frames[str(length)].margin(torch.cat((of_frames, y), 1))
    frames = F.binary_cross_entropy_with_logits(margin, target, share, reduction="sum") / share.sum()
    alone = model.alone[str(length)].margin(of_chunks)
    alone = F.binary_cross_entropy_with_logits(alone, viral[left])
    return frames, alone, (y, target)


def classify(model, towers, data, steps, batch, minutes, noise, log):
    """The classifier and both towers; returns the average of the weights that was best on the validation chunks."""
    device = data.device
    # A head on peptides alone, for the proteins of phages whose genomes are not there; it is not kept.
    extra = m.Head(model.sizes.peptide_hidden, model.sizes.head).to(device)
    optimizer, parameters = optimizer_of([model, extra], 0.05)
    schedule = Schedule(steps, 6e-4, minutes)
    average, best = copy.deepcopy(model).eval(), (-1.0, None)
    sums, step, each = torch.zeros(3, device=device), 0, max(1, min(500, steps // 4))
    going = schedule.going(optimizer, step)
    while going:
        model.train()
        length = 300 if step % 3 == 0 else 500
        bases, viral = data.chunks(batch, length)
        proteins, protein_viral = data.proteins(batch // 4, length // 3)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            frames, alone, (y, target) = frame_losses(model, towers, data, bases, viral, length, noise)
            own = extra.margin(torch.cat((y, model.peptide.pool(towers[0](proteins), proteins))))
            peptides = F.binary_cross_entropy_with_logits(own, torch.cat((target, protein_viral)))
        optimizer.zero_grad(set_to_none=True)
        (frames + alone + 0.5 * peptides).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        keep = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
            for old, new in zip(average.buffers(), model.buffers()):
                old.lerp_(new, 1 - keep) if new.is_floating_point() else old.copy_(new)
        sums += torch.stack((frames, alone, peptides)).detach()
        step += 1
        going = schedule.going(optimizer, step)
        if step % each == 0 or not going:
            areas = [validate(average, data, n) for n in (500, 300)]
            a, b, c = (sums / ((step - 1) % each + 1)).tolist()
            sums.zero_()
            log(
                f"classifier, step {step}: loss of frames {a:.3f}, alone {b:.3f}, peptides {c:.3f}; "
                f"validation AUROC {areas[0]:.4f} at 500, {areas[1]:.4f} at 300"
            )
            if sum(areas) > best[0]:
                best = sum(areas), copy.deepcopy(average.state_dict())
    average.load_state_dict(best[1])
    for length in (500, 300):
        calibrate(average, data, length, log)
    return average


def validate(model, data, length):
    bases, viral = data.validation[length]
    scores, _ = m.scores(model, bases, length, data.device)
    return metrics.measure(scores[:, 1] / scores.sum(1), viral)[0]


@torch.no_grad()
def margins(model, data, length):
    """Margins of validation frames and of chunks without one, with labels: `{head: (margins, labels)}`."""
    bases, viral = data.validation[length]
    bases, viral = torch.from_numpy(bases).to(data.device), torch.from_numpy(viral).float().to(data.device)
    frames, alone = [], []
    for part, labels in zip(bases.split(1024), viral.split(1024)):
        chunks, _, peptides, nucleotides = m.open_frames(part, data.codon)
        x = torch.cat((model.nucleotide.mean(nucleotides), model.peptide.mean(peptides)), 1)
        frames.append((model.frames[str(length)].margin(x), labels[chunks]))
        left = torch.ones(len(part), dtype=torch.bool, device=data.device)
        left[chunks] = False
        own = model.alone[str(length)].margin(model.nucleotide.mean(m.words(part[left])))
        alone.append((own, labels[left]))
    return {"frames": [torch.cat(x) for x in zip(*frames)], "alone": [torch.cat(x) for x in zip(*alone)]}


def calibrate(model, data, length, log):
    """Platt scaling on the validation chunks, folded into the last layers.

    Both classes weigh a half over all chunks, not for each head: that a chunk has an open frame says something too.
    """
    share = data.validation[length][1].mean()
    for name, (margin, labels) in margins(model, data, length).items():
        if not 0 < labels.mean() < 1:
            continue
        weight = torch.where(labels > 0, 0.5 / share, 0.5 / (1 - share))
        scale, shift = torch.ones((), requires_grad=True), torch.zeros((), requires_grad=True)
        margin, labels, weight = margin.cpu(), labels.cpu(), weight.cpu()
        optimizer = torch.optim.LBFGS([scale, shift], max_iter=50, line_search_fn="strong_wolfe")

        def loss():
            optimizer.zero_grad()
            value = F.binary_cross_entropy_with_logits(scale * margin + shift, labels, weight)
            value.backward()
            return value

        optimizer.step(loss)
        scale, shift = scale.item(), shift.item()
        if not 0.2 < scale < 5:
            log(f"calibration at {length}, {name}: {scale:.3g} is no scale to trust, left as it was")
            continue
        head = getattr(model, name)[str(length)].output_layer
        with torch.no_grad():
            head.weight.mul_(scale)
            head.bias.mul_(scale)
            head.bias[1] += shift
        log(f"calibration at {length}, {name}: margin · {scale:.3f} + {shift:+.3f}")
