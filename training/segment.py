"""Regions along a record, in plain Python: the second implementation of crates/virpack-core/src/verdict/segments.rs.

A chain of two states, cell and virus, over the chunks of a record; forward-backward (Rabiner 1989) gives each chunk's
posterior. Odds are kept as logarithms, so that nothing overflows.
"""
import dataclasses
import math
import statistics

import numpy as np

CLIP = 3.0


def log_odds(row):
    if row["max_score_virus"] == "NA":
        return np.nan
    # The scores are float32; what the program computes in float64 is computed in float64 here.
    other, virus = (np.float64(np.float32(row[name])) for name in ("max_score_other", "max_score_virus"))
    with np.errstate(divide="ignore"):
        return float(np.clip(np.log(virus) - np.log(other), -CLIP, CLIP)) if other + virus > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class Model:
    """Nats, bases, and changes a base; the same names as in record_calibration.json."""

    offset: float  # a chunk's log-likelihood ratio is offset + slope * log-odds, clipped to +-limit
    slope: float
    limit: float
    enter: float  # cell to virus, in a cellular record; virus to cell in a viral one
    leave: float
    least_bases: int
    least_score: float
    background: float  # the median log-odds of a usual cellular record
    background_share: float  # how much of a record's own difference from it is taken away
    background_chunks: int  # classified chunks from which a record has a median of its own


def evidence(chunks, model, viral):
    """The log-likelihood ratio of each chunk, weighed by the bases that are its own; 0 without a verdict."""
    known = sorted(x for _, _, x in chunks if x is not None)
    shift = 0.0
    if not viral and len(known) >= model.background_chunks:
        shift = model.background_share * (statistics.median_low(known) - model.background)
    out = []
    for i, (start, end, x) in enumerate(chunks):
        if x is None:
            out.append(0.0)
            continue
        before = max(chunks[i - 1][1] - start, 0) if i else 0
        after = max(end - chunks[i + 1][0], 0) if i + 1 < len(chunks) else 0
        own = 1 - (before + after) / 2 / max(end - start, 1)
        ratio = model.offset + model.slope * (x - shift)
        out.append(own * min(max(ratio, -model.limit), model.limit))
    return out


def log1pexp(x):
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


def posteriors(chunks, model, viral):
    ratios = evidence(chunks, model, viral)
    enter, leave = (model.leave, model.enter) if viral else (model.enter, model.leave)
    total = enter + leave
    moves = []  # between a chunk and the next: ln of the chance to be in the virus, and in the cell, from each state
    for (start, _, _), (following, _, _) in zip(chunks, chunks[1:]):
        forgotten = -math.expm1(-total * (following - start))
        into, out = enter / total * forgotten, leave / total * forgotten
        moves.append((math.log(into), math.log1p(-into), math.log(out), math.log1p(-out)))
    forward = [math.log(enter / leave) + ratios[0]]
    for (into, cell, out, virus), ratio in zip(moves, ratios[1:]):
        odds = forward[-1]
        # (p virus + (1 - p) into) / (p out + (1 - p) cell), each divided by 1 - p
        forward.append(into + log1pexp(odds + virus - into) - cell - log1pexp(odds + out - cell) + ratio)
    backward = 0.0
    after = [0.0] * len(chunks)
    for i in range(len(chunks) - 2, -1, -1):
        into, cell, out, virus = moves[i]
        odds = backward + ratios[i + 1]
        # what follows given virus, over what follows given cell
        backward = out + log1pexp(odds + virus - out) - cell - log1pexp(odds + into - cell)
        after[i] = backward
    return [1 / (1 + math.exp(-max(min(f + b, 700), -700))) for f, b in zip(forward, after)], ratios


def regions(chunks, model, viral):
    """Start, end, score and mean posterior of each, the highest score first; and the posterior of each chunk."""
    if not chunks:
        return [], []
    posterior, ratios = posteriors(chunks, model, viral)
    found, i = [], 0
    while i < len(chunks):
        j = i
        while j < len(chunks) and posterior[j] >= 0.5:
            j += 1
        if j > i:
            start, end = chunks[i][0], chunks[j - 1][1]
            score = sum(ratios[i:j])
            known = [x for _, _, x in chunks[i:j] if x is not None]
            long = viral or end - start >= model.least_bases
            if known and long and (viral or score >= model.least_score):
                found.append((start, end, score, sum(posterior[i:j]) / (j - i)))
        i = max(j, i + 1)
    return sorted(found, key=lambda r: (-r[2], r[0])), posterior
