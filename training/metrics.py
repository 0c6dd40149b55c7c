"""AUROC, AUPRC and recall at a false positive rate, with intervals by resampling viruses and genomes, not chunks."""
import numpy as np

NAMES = ("AUROC", "AUPRC", "recall at 1 % FPR")


def curve(scores, labels, weights):
    """True and false positives at each distinct score, highest first."""
    order = np.argsort(-scores, kind="stable")
    scores, labels, weights = scores[order], labels[order], weights[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    return np.cumsum(weights * labels)[last], np.cumsum(weights * (1 - labels))[last]


def measure(scores, labels, weights=None):
    """The three numbers; ties count half, as chunks in any order would."""
    weights = np.ones(len(scores)) if weights is None else weights
    hits, alarms = curve(scores, labels.astype(float), weights.astype(float))
    if hits[-1] == 0 or alarms[-1] == 0:
        return np.full(3, np.nan)
    hits, alarms = np.append(0, hits), np.append(0, alarms)
    recall, rate = hits / hits[-1], alarms / alarms[-1]
    precision = hits[1:] / np.maximum(hits[1:] + alarms[1:], 1e-12)
    area = np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2)
    return np.array([area, np.sum(np.diff(recall) * precision), np.interp(0.01, rate, recall)])


def resampled(labels, keys, rounds, seed=2026):
    """In each round, how often each chunk counts when its key (virus, genome) is drawn with replacement."""
    rng = np.random.default_rng(seed)
    _, numbers = np.unique(keys, return_inverse=True)
    label_of = np.zeros(numbers.max() + 1, int)
    label_of[numbers] = labels
    for _ in range(rounds):
        times = np.zeros(len(label_of))
        for label in (0, 1):  # each class keeps its number of keys
            own = np.flatnonzero(label_of == label)
            if len(own):
                np.add.at(times, rng.choice(own, len(own)), 1)
        yield times[numbers]


def bootstrap(scores, labels, keys, rounds=200):
    """The three numbers of all, and their 2.5th and 97.5th percentiles over resampled keys."""
    drawn = [measure(scores, labels, weights) for weights in resampled(labels, keys, rounds)]
    return measure(scores, labels), np.nanpercentile(drawn, 2.5, 0), np.nanpercentile(drawn, 97.5, 0)


def show(value, low, high):
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def table(scores, labels, groups, keys, names):
    """Markdown: all chunks; each viral group against all cells; all viruses against each group of cells."""
    lines = ["| held out | chunks viral / cellular | keys | " + " | ".join(NAMES) + " |", "| --- " * 6 + "|"]
    present = sorted(set(groups.tolist()))
    rows = [("all", np.ones(len(labels), bool))]
    for g in present:
        own = groups == g
        other = labels != labels[own][0]
        rows.append((f"{names[g]} against all {'cells' if labels[own][0] else 'viruses'}", own | other))
    for name, chosen in rows:
        y, own_keys = labels[chosen], len(set(keys[chosen].tolist()))
        values = map(show, *bootstrap(scores[chosen], y, keys[chosen]))
        lines.append(f"| {name} | {y.sum()} / {(1 - y).sum()} | {own_keys} | " + " | ".join(values) + " |")
    viral = [g for g in present if labels[groups == g][0]]
    cells = [g for g in present if not labels[groups == g][0]]
    lines += ["", "AUROC of viral groups (rows) against groups of cells:", ""]
    lines += ["| | " + " | ".join(names[c] for c in cells) + " |", "| --- " * (len(cells) + 1) + "|"]
    for g in viral:
        pairs = [(groups == g) | (groups == c) for c in cells]
        cellsof = [show(*(v[0] for v in bootstrap(scores[p], labels[p], keys[p], 100))) for p in pairs]
        lines.append(f"| {names[g]} | " + " | ".join(cellsof) + " |")
    return "\n".join(lines)
