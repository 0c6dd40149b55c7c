"""The numbers of the model card, from exported files and the held-out chunks.

    python3 training/evaluate.py --model OUTDIR --data SHARDS --out FOLDER [--baseline BASELINE.npz]

Writes to FOLDER: `metrics.md` (also printed), `calibration.svg` and `calibration.tsv`, and for each length
`held_out_LENGTH.fasta` (each chunk a record, so that `virpack predict` cuts it into itself) with `scores_LENGTH.tsv`
beside it, which that run is to be compared with.
"""
import argparse
import pathlib

import numpy as np
import torch

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--baseline", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Scores to hold another program's against: no tf32.
    torch.backends.cuda.matmul.allow_tf32 = False
    model, facts = m.load(args.model, device), shards.facts(args.data)
    lines, curves = [], {}
    for length in (500, 300):
        chunks = shards.load(args.data, length)
        chosen = np.flatnonzero(chunks["split"] == shards.TEST)
        both, had = m.scores(model, chunks["bases"][chosen], length, device)
        # One number of the two highest scores: above a half where the reference's verdict is viral.
        score = both[:, 1] / both.sum(1)
        labels, keys = chunks["viral"][chosen].astype(int), chunks["key"][chosen]
        lines += [f"## {length} bases, {len(chosen)} held-out chunks, {had.mean():.1%} with an open frame", ""]
        lines += [metrics.table(score, labels, chunks["group"][chosen], keys, facts["groups"]), ""]
        for name, own in ("with an open frame", had), ("without (nucleotides alone)", ~had):
            values = map(metrics.show, *metrics.bootstrap(score[own], labels[own], keys[own]))
            lines.append(f"{name}, {own.sum()} chunks: " + ", ".join(f"{n} {v}" for n, v in zip(metrics.NAMES, values)) + "  ")
        viral = score >= 0.5
        lines.append(f"Called viral: {viral[labels == 1].mean():.1%} of viral chunks, {viral[labels == 0].mean():.1%} of cellular ones.")
        if args.baseline:
            four = np.load(args.baseline)[f"scores_{length}"].astype(float)
            own = metrics.show(*(v[0] for v in metrics.bootstrap(four, labels, keys)))
            value, low, high = compare(score, four, labels, keys)
            lines.append(f"\n4-mer logistic regression: AUROC {own}; virpack-mini is {value:+.3f} ({low:+.3f} to {high:+.3f}).")
        prophage = np.flatnonzero(chunks["split"] == shards.PROPHAGE)
        if len(prophage):
            own = m.scores(model, chunks["bases"][prophage], length, device)[0]
            called = (own[:, 1] >= own[:, 0]).mean()
            lines.append(f"\nOf {len(prophage)} prophage-like chunks of held-out prokaryotes, in no number above, {called:.1%} are called viral.")
        lines.append("")
        curves[length] = calibration(score, labels)
        write_scores(args.out, length, chunks, chosen, facts, both, had)
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
