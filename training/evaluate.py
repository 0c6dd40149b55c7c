"""The numbers of the model card, from exported files and the held-out chunks.

    python3 training/evaluate.py --model OUTDIR --data SHARDS --out FOLDER [--baseline BASELINE.npz] [--before SCORES.npz]

`--before`: scores of an earlier model on the same shards, as `chosen_LENGTH` (rows of chunks_LENGTH.npz) and `scores_LENGTH`
(others, virus), to print beside. Writes to FOLDER: `metrics.md` (also printed), `calibration.svg` and `calibration.tsv`, and for each length
`held_out_LENGTH.fasta` (each chunk a record, so that `virpack predict` cuts it into itself) with `scores_LENGTH.tsv`
beside it, which that run is to be compared with.
"""
import argparse
import pathlib

import numpy as np
import torch

import files
import metrics
import model as m
import shards


def calibration(scores, labels):
    """Per tenth of the score: lower edge, chunks, mean score, share of viral, both classes weighing a half."""
    weights = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    rows = []
    for low in np.arange(10) / 10:
        own = (scores >= low) & ((scores < low + 0.1) | (low > 0.89))
        if own.any():
            total = weights[own].sum()
            mean, share = (weights[own] * scores[own]).sum() / total, (weights[own] * labels[own]).sum() / total
            rows.append((low, int(own.sum()), mean, share))
    return rows


def plot(curves):
    """The calibration of both lengths as a small SVG."""
    place = lambda x, y: f"{60 + 400 * x:.1f},{440 - 400 * y:.1f}"  # noqa: E731
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 500" font-family="sans-serif" font-size="14">',
        '<rect width="500" height="500" fill="white"/>',
        '<path d="M60,40V440H460" fill="none" stroke="black"/>',
        '<path d="M60,440L460,40" stroke="#999" stroke-dasharray="4"/>',
        '<text x="260" y="480" text-anchor="middle">score_virus</text>',
        '<text x="25" y="240" text-anchor="middle" transform="rotate(-90 25 240)">share of viral chunks</text>',
    ]
    for tick in (0, 0.5, 1):
        parts.append(f'<text x="{60 + 400 * tick}" y="458" text-anchor="middle">{tick}</text>')
        parts.append(f'<text x="52" y="{445 - 400 * tick}" text-anchor="end">{tick}</text>')
    for n, (length, rows) in enumerate(curves.items()):
        colour = ("#1f77b4", "#d62728")[n % 2]
        points = " ".join(place(mean, share) for _, _, mean, share in rows)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="80" y="{70 + 20 * n}" fill="{colour}">{length} bases</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write_scores(out, length, chunks, chosen, facts, scores, had):
    letters = np.array(list("TCAG"))
    with open(out / f"held_out_{length}.fasta", "w") as fasta, open(out / f"scores_{length}.tsv", "w") as table:
        table.write("id\tgroup\tsplit\tkey\tviral\tstatus\tscore_others\tscore_virus\n")
        for i, (others, virus), framed in zip(chosen, scores, had):
            name = f"{facts['records'][chunks['record'][i]]}:{chunks['start'][i]}"
            status = "classified" if framed else "classified_nucleotide"
            cells = facts["groups"][chunks["group"][i]], facts["splits"][chunks["split"][i]], facts["keys"][chunks["key"][i]]
            fasta.write(f">{name}\n{''.join(letters[chunks['bases'][i]])}\n")
            table.write("\t".join([name, *cells, str(chunks["viral"][i]), status, f"{others:.6f}", f"{virus:.6f}\n"]))


def compare(scores, baseline, labels, keys, rounds=200):
    """The difference in AUROC, with an interval over the same resampled keys."""
    def difference(weights=None):
        return metrics.measure(scores, labels, weights)[0] - metrics.measure(baseline, labels, weights)[0]

    drawn = [difference(weights) for weights in metrics.resampled(labels, keys, rounds)]
    return difference(), np.percentile(drawn, 2.5), np.percentile(drawn, 97.5)


def beside(name, chosen, score, before, labels, keys):
    """A row of a table: three numbers of this model and, where there is one, of the earlier model."""
    cells = [f"{labels[chosen].sum()} / {(1 - labels[chosen]).sum()}"]
    for own in (score, before):
        if own is not None:
            cells += [metrics.show(*v) for v in zip(*metrics.bootstrap(own[chosen], labels[chosen], keys[chosen]))]
    return f"| {name} | " + " | ".join(cells) + " |"


def heading(before):
    names = list(metrics.NAMES) + ([f"before: {name}" for name in metrics.NAMES] if before is not None else [])
    return ["| chunks | viral / cellular | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]


def called(group, score, before, facts, labels):
    """Of each group the share called viral."""
    lines = ["| group | class | chunks | called viral |" + (" before |" if before is not None else "")]
    lines.append("| --- " * (4 + (before is not None)) + "|")
    for g in sorted(set(group.tolist())):
        own = group == g
        cells = [f"{(x[own] >= 0.5).mean():.1%}" for x in (score, before) if x is not None]
        kind = "viral" if labels[own][0] else "cellular"
        lines.append(f"| {facts['groups'][g]} | {kind} | {own.sum()} | " + " | ".join(cells) + " |")
    return lines


def one_number(both):
    """Above a half where the verdict is viral."""
    return both[:, 1] / both.sum(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--baseline", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path)
    parser.add_argument("--whole", action="store_true", help="the whole groups held out too: to be looked at once")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Scores to hold another program's against: no tf32.
    torch.backends.cuda.matmul.allow_tf32 = False
    model, facts = files.load(args.model, device), shards.facts(args.data)
    earlier = np.load(args.before) if args.before else None
    lines, curves = [], {}

    def scored(chunks, splits, length):
        chosen = np.flatnonzero(np.isin(chunks["split"], splits))
        both, had = m.scores(model, chunks["bases"][chosen], length, device)
        old = None
        if earlier is not None:
            rows = np.zeros((len(chunks["split"]), 2))
            rows[earlier[f"chosen_{length}"]] = earlier[f"scores_{length}"]
            old = one_number(np.maximum(rows[chosen], 1e-9))
        labels = chunks["viral"][chosen].astype(int)
        return chosen, both, had, one_number(both), old, labels, chunks["group"][chosen], chunks["key"][chosen]

    for length in (500, 300):
        chunks = shards.load(args.data, length)
        chosen, both, had, score, old, labels, group, keys = scored(chunks, [shards.TEST], length)
        lines += [f"## {length} bases, {len(chosen)} held-out chunks, {had.mean():.1%} with an open frame", ""]
        prokaryote = np.isin(group, [facts["groups"].index(n) for n in ("bacteria", "archaea")])
        sets = [
            ("all", labels >= 0), ("all viruses against prokaryotes", (labels == 1) | prokaryote),
            ("with an open frame", had), ("without an open frame", ~had),
        ]  # fmt: skip
        lines += [*heading(old), *(beside(n, own, score, old, labels, keys) for n, own in sets), ""]
        lines += [*called(group, score, old, facts, labels), ""]
        lines += [metrics.table(score, labels, group, keys, facts["groups"]), ""]
        if args.baseline:
            four = np.load(args.baseline)[f"scores_{length}"].astype(float)
            own = metrics.show(*(v[0] for v in metrics.bootstrap(four, labels, keys)))
            value, low, high = compare(score, four, labels, keys)
            lines.append(f"\n4-mer logistic regression: AUROC {own}; virpack-mini is {value:+.3f} ({low:+.3f} to {high:+.3f}).")
        if (chunks["split"] == shards.PROPHAGE).any():
            prophage = scored(chunks, [shards.PROPHAGE], length)[3]
            lines.append(f"\nOf {len(prophage)} prophage-like chunks of held-out prokaryotes, which no number above includes, {(prophage >= 0.5).mean():.1%} are called viral.")
        lines.append("")
        curves[length] = calibration(score, labels)
        write_scores(args.out, length, chunks, chosen, facts, both, had)
        if args.whole:
            _, _, had, score, old, labels, group, keys = scored(chunks, [shards.WHOLE], length)
            lines += [f"### Whole groups held out, {length} bases", "", *heading(old)]
            sets = [("all", labels >= 0), ("with an open frame", had), ("without an open frame", ~had)]
            sets += [(f"{facts['groups'][g]} against all cells", (group == g) | (labels == 0)) for g in sorted(set(group[labels == 1].tolist()))]
            sets += [(f"all viruses against {facts['groups'][g]}", (group == g) | (labels == 1)) for g in sorted(set(group[labels == 0].tolist()))]
            lines += [beside(n, own, score, old, labels, keys) for n, own in sets]
            lines += ["", *called(group, score, old, facts, labels), ""]
    text = "\n".join(lines)
    print(text)
    (args.out / "metrics.md").write_text(text + "\n")
    (args.out / "calibration.svg").write_text(plot(curves))
    with open(args.out / "calibration.tsv", "w") as table:
        table.write("length\tfrom\tchunks\tmean_score\tshare_viral\n")
        for length, rows in curves.items():
            table.writelines(f"{length}\t{low:.1f}\t{n}\t{mean:.4f}\t{share:.4f}\n" for low, n, mean, share in rows)


if __name__ == "__main__":
    main()
