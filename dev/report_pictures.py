"""Coordinates of the report's pictures. x and y are percentages of the plot unless said otherwise; y grows downwards."""

import math

BINS = 300  # most points of a track


def short(x):
    """A coordinate with at most one decimal and no trailing zero."""
    return f"{x:.1f}".removesuffix(".0")


def spark(chunks):
    """Bars of chunk scores in a box of 120 by 24, at most 60; up is viral."""
    scores = [c["score"] for c in chunks if c["score"] is not None]
    if not scores:
        return None
    n = min(60, len(scores))
    up, down = "", ""
    width = min(120 / n, 8)
    gap = 1 if n <= 30 else 0.2
    for i in range(n):
        part = scores[i * len(scores) // n : (i + 1) * len(scores) // n]
        height = (sum(part) / len(part) - 0.5) * 22
        path = f"M{short(i * width)} 12h{short(width - gap)}v{short(-height)}h-{short(width - gap)}z"
        if height >= 0:
            up += path
        else:
            down += path
    return {"up": up, "down": down}


def count_axis(most):
    """Whether counts are drawn as logarithms, the height of a count, the marks."""
    logarithmic = most > 200
    if logarithmic:
        top = math.ceil(math.log10(most + 1) * 4) / 4
        height = lambda n: 100 * (math.log10(n + 1) / top) if n else 0
        marks = [10**k for k in range(0, int(math.log10(most)) + 1)]
    else:
        step = next(s for s in (1, 2, 5, 10, 20, 50) if most <= 5 * s)
        top = max(step * math.ceil(most / step), 1)
        height = lambda n: 100 * n / top
        marks = [step * k for k in range(1, top // step + 1)]
    ticks = [{"at": 100, "label": "0"}] + [{"at": round(100 - height(m), 2), "label": f"{m:,}"} for m in marks]
    return logarithmic, height, ticks


def bars(counts, bases, edges, label):
    logarithmic, height, ticks = count_axis(max(counts, default=0) or 1)
    out = []
    for i, n in enumerate(counts):
        x, right = edges[i], edges[i + 1]
        out.append({"x": round(x + 0.1, 2), "width": round(right - x - 0.2, 2), "y": round(100 - height(n), 2), "height": round(height(n), 2),
                    "records": n, "bases": bases[i], "from": label(i), "to": label(i + 1)})
    return {"bars": out, "y_ticks": ticks, "logarithmic": logarithmic}


def score_histogram(records, n=50):
    counts, bases = [0] * n, [0] * n
    for r in records:
        if r["score"] is not None:
            i = min(n - 1, round(r["score"] * 10000) * n // 10000)
            counts[i] += 1
            bases[i] += r["length"]
    plot = bars(counts, bases, [100 * i / n for i in range(n + 1)], lambda i: f"{i / n:.2f}")
    plot["x_ticks"] = [{"at": 20 * i, "label": f"{i / 5:.1f}".replace("0.0", "0").replace("1.0", "1")} for i in range(6)]
    return plot


def in_bases(n):
    return f"{n // 10**6:,} Mb" if n >= 10**6 else f"{n // 1000} kb" if n >= 1000 else f"{n}"


def length_ticks(low, high, label=in_bases):
    ticks = []
    many = high - low > 3
    for k in range(math.floor(low), math.ceil(high) + 1):
        for m in (1,) if many else (1, 2, 5):
            value = m * 10**k
            at = 100 * (math.log10(value) - low) / (high - low)
            if -0.01 <= at <= 100.01:
                ticks.append({"at": round(at, 2), "label": label(value)})
    return ticks


def scatter(records):
    judged = [r for r in records if r["score"] is not None]
    logs = [math.log10(max(1, r["length"])) for r in judged] or [2.5, 3.5]
    low, high = min(logs), max(logs)
    pad = max(0.05 * (high - low), 0.15)
    low, high = round(low - pad, 3), round(high + pad, 3)
    place = lambda r: (100 * (math.log10(max(1, r["length"])) - low) / (high - low), 100 * (1 - r["score"]))
    dots, tiles = [], []
    if len(judged) <= 2000:
        for r in judged:
            x, y = place(r)
            dots.append({"x": round(x, 2), "y": round(y, 2), "call": r["call"], "id": r["id"], "length": r["length"], "score": r["score"]})
    else:
        cells = {}
        for r in judged:
            x, y = place(r)
            key = (int(x / 2), int(y / 2.5), r["call"])
            cells[key] = cells.get(key, 0) + 1
        most = max(cells.values())
        for (i, j, call), n in sorted(cells.items()):
            tiles.append({"x": 2 * i + 1, "y": round(2.5 * j + 1.25, 2), "call": call, "r": round(0.8 + 3.2 * math.sqrt(math.log(n + 1) / math.log(most + 1)), 1)})
    ticks = [{"at": 20 * i, "label": f"{1 - i / 5:.1f}".replace("0.0", "0").replace("1.0", "1")} for i in range(6)]
    return {"x_min": low, "x_max": high, "dots": dots, "tiles": tiles, "x_ticks": length_ticks(low, high), "y_ticks": ticks}


def base_ticks(length):
    """Round positions along a record."""
    step = 10 ** math.floor(math.log10(max(1, length)))
    step = next(s for s in (step // 5 or 1, step // 2 or 1, step, step * 2) if length / s <= 8)
    label = lambda b: f"{b / 1e6:g} Mb" if step >= 100_000 else f"{b / 1000:g} kb" if step >= 500 else f"{b:,}"
    return [{"at": round(100 * b / length, 2), "label": label(b) if b else "1"} for b in range(0, length + 1, step)]


def track(record):
    """The track of a record, in a box of 1000 by 132 (scores) and one of 1000 by 60 (frames)."""
    length = record["length"]
    x = lambda base: 1000 * base / length
    y = lambda score: 131 - 130 * score
    chunks = list(zip(record["chunks"], record["posterior"]))
    per = math.ceil(len(chunks) / BINS)
    groups = [chunks[i : i + per] for i in range(0, len(chunks), per)]
    raw, smooth, above, below = "", "", [], []
    for group in groups:
        start, end = x(group[0][0]["start"] - 1), x(group[-1][0]["end"])
        scores = [c["score"] for c, _ in group if c["score"] is not None]
        p = sum(q for _, q in group) / len(group)
        smooth += f"{'L' if smooth else 'M'}{short((start + end) / 2)} {short(y(p))}"
        if scores:
            raw += f"M{short(start)} {short(y(sum(scores) / len(scores)))}H{short(end)}"
            if per > 1:
                above.append(f"{short(start)} {short(y(max(scores)))}H{short(end)}")
                below.append(f"{short(end)} {short(y(min(scores)))}H{short(start)}")
    band = "M" + "L".join(above) + "L" + "L".join(reversed(below)) + "z" if above else None
    regions = sorted(record["regions"], key=lambda g: -g["score"])
    return {
        "record": record["record"], "id": record["id"], "description": record["description"], "call": record["call"], "score": record["score"], "length": length,
        "chunks_viral": record["viral"], "chunks_classified": record["classified"], "raw": raw, "smooth": smooth, "band": band, "binned": per if per > 1 else 0,
        "regions": [{"x": round(x(g["start"] - 1), 1), "width": round(x(g["end"] - g["start"] + 1), 1), **g} for g in regions[:20]],
        "regions_more": max(0, len(regions) - 20), "frames": frames(record, x, per), "ticks": base_ticks(length),
    }


def frames(record, x, per):
    """Arrows of the open frames by score in five classes; of a binned track the mean of a lane's frames in each bin."""
    lanes = {"F1": 5, "F2": 15, "F3": 25, "R1": 35, "R2": 45, "R3": 55}
    paths = {}
    items = record["frames"]
    if per > 1:
        size = record["length"] / BINS
        bins = {}
        for lane, start, end, score in items:
            bins.setdefault((int((start + end) / 2 / size), lane), []).append(score)
        items = [(lane, i * size + 1, (i + 1) * size, sum(s) / len(s)) for (i, lane), s in sorted(bins.items())]
    for lane, start, end, score in items:
        left, right, middle = x(start - 1), x(end), lanes[lane]
        name = f"s{min(4, int(score * 5))}"
        if per > 1:
            d = f"M{short(left)} {middle - 3}H{short(right)}v6H{short(left)}z"
        else:
            head = min((right - left) * 0.4, 6)
            tail, neck, tip = (left, right - head, right) if lane[0] == "F" else (right, left + head, left)
            d = f"M{short(tail)} {middle - 3}H{short(neck)}L{short(tip)} {middle}L{short(neck)} {middle + 3}H{short(tail)}z"
        paths[name] = paths.get(name, "") + d
    return [{"class": name, "d": d} for name, d in sorted(paths.items())]
