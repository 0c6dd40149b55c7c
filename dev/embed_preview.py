"""Renders the page of `virpack embed` from its .npy, records.tsv and run.json: for work on the template.

    target/html/bin/pip install numpy && target/html/bin/python dev/embed_preview.py OUT.html EMBEDDINGS.npy
"""

import json
import math
import sys
from collections import Counter
from pathlib import Path

import numpy

from report_pictures import bars, length_ticks
from report_preview import assets, environment, table

DOTS = 3000


def histogram(values, low, high, n, label):
    counts, edges = numpy.histogram(values, bins=n, range=(low, high))
    return bars([int(c) for c in counts], [0] * n, [100 * i / n for i in range(n + 1)], lambda i: label(edges[i]))


def ticks(low, high):
    """About five round marks of an axis."""
    step = 10 ** math.floor(math.log10((high - low) / 4 or 1))
    step = next(s for s in (step, 2 * step, 5 * step, 10 * step) if (high - low) / s <= 6)
    first = math.ceil(low / step)
    return [(k * step, f"{k * step:g}".replace("-", "−")) for k in range(first, math.floor(high / step) + 1)]


def lengths_plot(lengths, cut):
    logs = numpy.log10(numpy.maximum(lengths, 1))
    low, high = float(logs.min()) - 0.05, float(logs.max()) + 0.05
    plot = histogram(logs, low, high, 50, lambda x: f"{10**x:,.0f}")
    plot["x_ticks"] = length_ticks(low, high, lambda n: f"{n:,}")
    plot["cut"] = round(100 * (math.log10(cut) - low) / (high - low), 2) if cut and cut < 10**high else None
    return plot


def norms_plot(vectors):
    norms = numpy.linalg.norm(vectors, axis=1)
    finite = norms[numpy.isfinite(norms)]
    spread = max(float(finite.max() - finite.min()), 1e-6)
    low, high = float(finite.min()) - 0.05 * spread, float(finite.max()) + 0.05 * spread
    plot = histogram(finite, low, high, 50, lambda x: f"{x:.3g}")
    plot["x_ticks"] = [{"at": round(100 * (x - low) / (high - low), 2), "label": text} for x, text in ticks(low, high)]
    plot["not_finite"] = int(len(norms) - len(finite))
    return plot


def components(vectors, rows):
    """The first two principal components, of at most DOTS records evenly spaced in the file."""
    if len(vectors) < 3:
        return None
    centred = vectors - vectors.mean(axis=0)
    values, axes = numpy.linalg.eigh(centred.T @ centred)
    places = centred @ axes[:, ::-1][:, :2]
    places *= numpy.sign(places[numpy.abs(places).argmax(axis=0), [0, 1]])
    limits = [(float(p.min()), float(p.max())) for p in places.T]
    limits = [(a - 0.04 * (b - a), b + 0.04 * (b - a)) for a, b in limits]
    lengths = numpy.array([int(r["length"]) for r in rows])
    edges = [int(x) for x in numpy.quantile(lengths, [0.2, 0.4, 0.6, 0.8])]
    step = math.ceil(len(rows) / DOTS)
    at = lambda i, axis: 100 * (float(places[i, axis]) - limits[axis][0]) / (limits[axis][1] - limits[axis][0])
    return {
        "dots": [{"x": round(at(i, 0), 2), "y": round(100 - at(i, 1), 2), "id": rows[i]["id"], "length": int(lengths[i]),
                  "bucket": int(numpy.searchsorted(edges, lengths[i], side="left"))} for i in range(0, len(rows), step)],
        "x_ticks": [{"at": round(100 * (x - limits[0][0]) / (limits[0][1] - limits[0][0]), 2), "label": text} for x, text in ticks(*limits[0])],
        "y_ticks": [{"at": round(100 - 100 * (x - limits[1][0]) / (limits[1][1] - limits[1][0]), 2), "label": text} for x, text in ticks(*limits[1])],
        "explained": [float(v) for v in values[::-1][:2] / values.sum()],
        "buckets": [f"to {edges[0]:,}", *(f"{a + 1:,} to {b:,}" for a, b in zip(edges, edges[1:])), f"from {edges[-1] + 1:,}"],
    }


def context(path):
    run = json.loads(Path(f"{path}.run.json").read_text())
    rows = table(f"{path}.records.tsv")
    vectors = numpy.load(path).astype(numpy.float64)
    repeated = [i for i, n in Counter(r["id"] for r in rows).items() if n > 1]
    seen, equal = set(), []
    for row, vector in zip(rows, vectors):
        key = vector.tobytes()
        if key in seen:
            equal.append(row["id"])
        seen.add(key)
    lengths = numpy.array([int(r["length"]) for r in rows])
    return {
        "assets": assets(script=False), "virpack": run["virpack"], "finished": None, "title": Path(run["output"]).name,
        "rows": len(rows), "width": vectors.shape[1], "records": run["counts"]["records"], "tokens": run["counts"]["tokens"],
        "model": {"name": run["model"]["name"], "layer": run["options"]["layer"], "pool": f"{run['options']['pool']} of residues", "sha256": run["model"]["sha256"]},
        "run": {"seconds": run["seconds"]["all"], "devices": [run["device"]]},
        "long_records": run["options"]["long_records"], "max_length": run["options"]["max_length"], "truncated": run["counts"]["truncated"],
        "lengths": lengths_plot(lengths, run["options"]["max_length"]), "norms": norms_plot(vectors), "pca": components(vectors, rows),
        "duplicates": {"ids": {"total": len(repeated), "first": repeated[:10]}, "rows": {"total": len(equal), "first": equal[:10]}},
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(environment().render_template("embed.html", **context(sys.argv[2])))
