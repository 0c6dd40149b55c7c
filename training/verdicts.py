"""Fits the score of a record and measures it: `record_calibration.json` of the built-in model.

    python3 training/verdicts.py --records RECORDS --runs RUNS --out FOLDER [--test]

RECORDS is what records.py made; RUNS holds the directories of `virpack predict RECORDS/SPLIT.fasta --length N -o RUNS/SPLIT_N`
for N 500 and 300, or what score_records.py made. Fits on `validation`; writes FOLDER/record_calibration.json. With `--test` it prints the tables of `test` and
`new` as Markdown and writes FOLDER/record_calibration.svg.

The score: x is the mean over classified chunks of ln(score_virus / score_other), clipped to +-3; virus_score is
1 / (1 + exp(-(a(n) + b(n) x))), n the number of classified chunks; a and b are linear in ln n between the knots and constant
outside them.
"""
import argparse
import collections
import csv
import json
import pathlib

import numpy as np

import data as d
import metrics
import regions
from segment import CLIP, log_odds

# Classified chunks at the knots; the last is 30 kb, the middle of the long records.
KNOTS = {500: [1, 2, 4, 8, 16, 60], 300: [1, 2, 4, 8, 16, 32, 100]}
LOGITS = [-8, -6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8]
FIT = [1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 33]  # chunks of the records that are fitted, beside long records:
POOLED, MOST_POOLED = 20_000, 50_000  # bases of stretches of one virus or genome together
RIDGE = 1e-4
# The share of each group in its class.
SHARE = {name: row[1] for name, row in d.GROUPS.items()}
KILOBASES = (1, 2, 3, 5, 10)
THRESHOLDS = {"relaxed": 0.5, "default": 0.7, "strict": 0.9}  # those of crates/virpack-core/src/verdict/call.rs


def read(path):
    """Of each record the chunks: log-odds, clipped (NaN without a verdict), and the verdict."""
    out = collections.defaultdict(list)
    with open(path) as table:
        for row in csv.DictReader(table, delimiter="\t"):
            out[row["sequence_id"]].append((log_odds(row), row["is_virus"] == "True"))
    return {name: np.array(rows, float) for name, rows in out.items()}


Set = collections.namedtuple("Set", "n x fraction viral group key size")


def window(chunks):
    """Classified chunks, mean log-odds, viral fraction."""
    own = chunks[~np.isnan(chunks[:, 0])]
    return (len(own), own[:, 0].mean(), own[:, 1].mean()) if len(own) else None


def records_of(chunks, meta, sizes, most=None):
    """Records of so many chunks out of stretches, none overlapping another of its size."""
    rows = []
    for size in sizes:
        for name, own in chunks.items():
            starts = range(0, len(own) - size + 1, size)
            for start in list(starts)[:most]:
                found = window(own[start : start + size])
                if found:
                    about = meta[name]
                    rows.append((*found, int(about["viral"]), about["group"], about["key"], size))
    return rows


def pooled(chunks, meta, length):
    """Long records: the stretches of one virus or genome together."""
    by_key, rows = collections.defaultdict(list), []
    for name, own in chunks.items():
        about = meta[name]
        by_key[int(about["viral"]), about["group"], about["key"]].append(own)
    for (viral, group, key), parts in by_key.items():
        together = np.concatenate(parts)
        least, most = POOLED // length, MOST_POOLED // length
        for start in range(0, len(together) - least + 1, most):
            part = together[start : start + most]
            if len(part) >= least:
                rows.append((*window(part), viral, group, key, least))
    return rows


def as_set(rows):
    return Set(*(np.array(column) for column in zip(*rows)))


def weights(records):
    """Both classes a half for each size; within a class each group its share, within a group all records the same."""
    out = np.zeros(len(records.n))
    for size in np.unique(records.size):
        for viral in (0, 1):
            own = (records.size == size) & (records.viral == viral)
            groups = np.unique(records.group[own])
            total = sum(SHARE[g] for g in groups)
            for g in groups:
                of_group = own & (records.group == g)
                out[of_group] = 0.5 * SHARE[g] / total / of_group.sum()
    return out


def hats(n, knots):
    """The weights of the knots for records of so many classified chunks."""
    return np.stack([np.interp(np.log(n), np.log(knots), row) for row in np.eye(len(knots))], 1)


def fit(records, knots):
    """Intercept and slope at each knot, by weighted logistic regression (Newton's method, a small ridge)."""
    basis, w = hats(records.n, knots), weights(records)
    inputs = np.concatenate([basis, basis * records.x[:, None]], 1)
    beta = np.zeros(inputs.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(inputs @ beta)))
        gradient = inputs.T @ (w * (p - records.viral)) + RIDGE * beta
        hessian = (inputs * (w * p * (1 - p))[:, None]).T @ inputs + RIDGE * np.eye(len(beta))
        step = np.linalg.solve(hessian, gradient)
        beta -= step
        if np.abs(step).max() < 1e-10:
            break
    return np.round(beta[: len(knots)], 4), np.round(beta[len(knots) :], 4)


def score(found, records):
    """virus_score by what was found: records are a Set, or any with `n` and `x`."""
    basis = hats(np.asarray(records.n, float), found["chunks"])
    return 1 / (1 + np.exp(-(basis @ np.array(found["intercept"]) + basis @ np.array(found["slope"]) * records.x)))


def survival(records, scores, knots):
    """Of both classes at each knot the share of records that score as much or more, at each logit.

    Neither reaches 0: the best that so many viruses or genomes can show is one in their number. The ratio of cells to
    viruses never rises with the score, or a higher score could be more likely false.
    """
    w = weights(records)
    grid = 1 / (1 + np.exp(-np.array(LOGITS)))
    curves = {"viral": [], "cellular": []}
    for i in range(len(knots)):
        near = hats(records.n, knots)[:, i] > 0.5
        both = []
        for viral in (1, 0):
            own = near & (records.viral == viral)
            total, keys = w[own].sum(), len(np.unique(records.key[own]))
            share = np.array([w[own & (scores >= least)].sum() for least in grid]) / total
            both.append((share * keys + 1) / (keys + 1))
        both[1] = both[0] * np.minimum.accumulate(both[1] / both[0])
        for name, curve in zip(("viral", "cellular"), both):
            curves[name].append([float(f"{v:.8g}") for v in curve])
    return curves


def sizes_in(length):
    """Chunks of a record of each number of kilobases; 10 kb is what a stretch gives, at least 8 kb."""
    return {kb: max(1, round(kb * 1000 / length)) if kb < 10 else -(-8000 // length) for kb in KILOBASES}


def recall_and_alarms(records, calls):
    w = weights(records)
    return [w[calls & (records.viral == v)].sum() / w[records.viral == v].sum() for v in (1, 0)]


def difference(new, old, labels, keys, w):
    """AUROC and recall at 1 % false positives, new less old, with 95 % intervals over the same resampled keys."""

    def less(times=1):
        return metrics.measure(new, labels, w * times)[[0, 2]] - metrics.measure(old, labels, w * times)[[0, 2]]

    drawn = [less(times) for times in metrics.resampled(labels, keys, 400)]
    here = less()
    return here, np.nanpercentile(drawn, 2.5, 0), np.nanpercentile(drawn, 97.5, 0)


def tables(length, chunks, meta, found):
    """The Markdown of one chunk length, and its calibration by kilobases."""
    lines, curves = [f"### Records, chunks of {length} bases", ""], {}
    lines.append("| record | viral / cellular (keys) | AUROC | of `viral_fraction` | difference | recall at 1 % false positives | of `viral_fraction` | difference |")
    lines.append("| --- " * 8 + "|")
    points = ["", "| record | " + " | ".join(f"{name}: recall, false positives" for name in THRESHOLDS) + " | `viral_fraction` ≥ 0.5 |"]
    points.append("| --- " * (len(THRESHOLDS) + 2) + "|")
    for kb, size in sizes_in(length).items():
        records = as_set(records_of(chunks, meta, [size], 3 if kb < 10 else 1))
        scores, w = score(found, records), weights(records)
        a, b = (metrics.measure(s, records.viral, w) for s in (scores, records.fraction))
        here, low, high = difference(scores, records.fraction, records.viral, records.key, w)
        counts = [f"{(records.viral == v).sum()} ({len(np.unique(records.key[records.viral == v]))})" for v in (1, 0)]
        shown = [f"{here[i]:+.3f} ({low[i]:+.3f} to {high[i]:+.3f})" for i in (0, 1)]
        lines.append(f"| {kb} kb | {' / '.join(counts)} | {a[0]:.3f} | {b[0]:.3f} | {shown[0]} | {a[2]:.3f} | {b[2]:.3f} | {shown[1]} |")
        cells = ["%.3f, %.3f" % tuple(recall_and_alarms(records, scores >= least)) for least in THRESHOLDS.values()]
        cells.append("%.3f, %.3f" % tuple(recall_and_alarms(records, records.fraction >= 0.5)))
        points.append(f"| {kb} kb | " + " | ".join(cells) + " |")
        curves[kb] = calibration(scores, records)
    lines += points + ["", "| record | " + " | ".join(f"{t / 5:.1f}-{(t + 1) / 5:.1f}" for t in range(5)) + " | expected calibration error |", "| --- " * 7 + "|"]
    for kb, rows in curves.items():
        error = sum(w * abs(mean - share) for _, w, mean, share in rows)
        by_bin = {b: f"{mean:.2f}: {share:.2f}" for b, _, mean, share in rows}
        lines.append(f"| {kb} kb | " + " | ".join(by_bin.get(b, "") for b in range(5)) + f" | {error:.3f} |")
    return lines, curves


def calibration(scores, records):
    """By fifths of the score: weight, mean score, share of viral records."""
    w, rows = weights(records), []
    for b in range(5):
        own = np.minimum((scores * 5).astype(int), 4) == b
        if w[own].sum() > 0:
            total = w[own].sum()
            rows.append((b, total / w.sum(), (w[own] * scores[own]).sum() / total, (w[own] * records.viral[own]).sum() / total))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--test", action="store_true")
    args = parser.parse_args()
    with open(args.records / "records.tsv") as table:
        meta = {row["id"]: row for row in csv.DictReader(table, delimiter="\t")}
    lengths, lines, plots = {}, [], {}
    for length in (500, 300):
        chunks, knots = read(args.runs / f"validation_{length}/chunks.tsv"), KNOTS[length]
        records = as_set(records_of(chunks, meta, FIT) + pooled(chunks, meta, length))
        intercept, slope = fit(records, knots)
        found = {"chunks": knots, "intercept": intercept.tolist(), "slope": slope.tolist(), "logit": LOGITS}
        found["survival"] = survival(records, score(found, records), knots)
        found["segments"] = segments_of(regions.MODELS[length])
        lengths[str(length)] = found
        print(f"{length} bases: intercept {found['intercept']}, slope {found['slope']}", flush=True)
        if args.test:
            more, plots[length] = tables(length, read(args.runs / f"test_{length}/chunks.tsv"), meta, found)
            lines += [*more, ""]
            if (args.runs / f"new_{length}/chunks.tsv").exists():
                lines += [*new_kinds(length, read(args.runs / f"new_{length}/chunks.tsv"), meta, found), ""]
    facts = {
        "model": "virpack-mini",
        "made_by": "training/verdicts.py, on records of training/records.py (seed 2026)",
        "fitted_on": "validation records; both classes weigh a half",
        "clip": CLIP,
        "lengths": lengths,
    }
    (args.out / "record_calibration.json").write_text(pretty(facts))
    if args.test:
        (args.out / "records.md").write_text("\n".join(lines))
        (args.out / "record_calibration.svg").write_text(plot(plots))
        print("\n".join(lines))


def segments_of(model):
    background = {"median": model.background, "share": model.background_share, "least_chunks": model.background_chunks}
    names = ("offset", "slope", "limit", "enter", "leave", "least_bases", "least_score")
    return {name: getattr(model, name) for name in names} | {"background": background}


def pretty(value, indent=0):
    """JSON with a list of numbers a line."""
    if not isinstance(value, (dict, list)) or isinstance(value, list) and not any(isinstance(v, (dict, list)) for v in value):
        return json.dumps(value)
    pad, end = "  " * (indent + 1), "\n" + "  " * indent
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + pretty(v, indent + 1) for v in value) + end + "]"
    members = (f"{pad}{json.dumps(k)}: {pretty(v, indent + 1)}" for k, v in value.items())
    return "{\n" + ",\n".join(members) + end + "}" + ("\n" if not indent else "")


def new_kinds(length, chunks, meta, found):
    """Records of 1 kb of the whole groups held out: the shares called viral."""
    records = as_set(records_of(chunks, meta, [sizes_in(length)[1]], 3))
    scores = score(found, records)
    lines = [f"| 1 kb of kinds never seen, chunks of {length} | records | " + " | ".join(THRESHOLDS) + " | `viral_fraction` ≥ 0.5 |"]
    lines.append("| --- " * (len(THRESHOLDS) + 3) + "|")
    for group in sorted(set(records.group.tolist())):
        own = records.group == group
        cells = [f"{(scores[own] >= least).mean():.2f}" for least in THRESHOLDS.values()]
        lines.append(f"| {group} | {own.sum()} | " + " | ".join(cells) + f" | {(records.fraction[own] >= 0.5).mean():.2f} |")
    return lines


def plot(curves):
    """Share of viral records against the score, a panel a chunk length, as a small SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 500" font-family="sans-serif" font-size="14">',
        '<rect width="960" height="500" fill="white"/>',
    ]
    for panel, (length, by_kb) in enumerate(curves.items()):
        left = 60 + 460 * panel
        place = lambda x, y: f"{left + 400 * x:.1f},{440 - 400 * y:.1f}"  # noqa: E731
        parts += [
            f'<path d="M{left},40V440H{left + 400}" fill="none" stroke="black"/>',
            f'<path d="M{left},440L{left + 400},40" stroke="#999" stroke-dasharray="4"/>',
            f'<text x="{left + 200}" y="480" text-anchor="middle">virus_score, chunks of {length} bases</text>',
        ]
        for tick in (0, 0.5, 1):
            parts.append(f'<text x="{left + 400 * tick}" y="458" text-anchor="middle">{tick}</text>')
            parts.append(f'<text x="{left - 8}" y="{445 - 400 * tick}" text-anchor="end">{tick}</text>')
        for n, (kb, rows) in enumerate(by_kb.items()):
            colour = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b")[n]
            points = " ".join(place(mean, share) for _, _, mean, share in rows)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<text x="{left + 20}" y="{70 + 20 * n}" fill="{colour}">{kb} kb</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
