"""Renders the report's templates from the tables of a run, without virpack: for work on the templates.

    python3 -m venv target/html && target/html/bin/pip install minijinja
    target/html/bin/python dev/report_preview.py OUT.html RUN_DIRECTORY...

With several directories it makes the comparison. Scores that a run does not have are made up here: `virus_score` is the logistic
function of the mean of the clipped log-odds, the rates are those of two normal distributions. They are for looking, not for use.
CONTRACT.md beside the templates says what the context holds.
"""

import base64
import csv
import gzip
import hashlib
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import minijinja

import report_filters
import report_pictures

HTML = Path(__file__).resolve().parent.parent / "crates/virpack-core/src/html"
SCRIPTS = ["data.js", "line.js", "scatter.js", "table.js", "main.js"]
VIRAL, UNCERTAIN, PREVALENCE = 0.7, 0.5, 0.1
DETAILED = 200
TABLE_RECORDS = 100_000
MOST_DATA = 3_400_000
CALLS = ["viral", "uncertain", "cellular", "unjudged"]


def environment():
    env = minijinja.Environment(
        loader=lambda name: (HTML / name).read_text() if (HTML / name).exists() else None,
        undefined_behavior="strict",
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in report_filters.FILTERS:
        env.add_filter(name, report_filters.FILTERS[name])
    return env


def assets(data=None, script=True):
    """The style and the script with their hashes, and the data block."""
    style = "\n" + (HTML / "style.css").read_text()
    text = "".join((HTML / "js" / name).read_text() for name in SCRIPTS)
    code = '\n(() => {\n"use strict";\n' + text + "})();\n" if script else None
    sha = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() if text else None
    return {
        "style": style,
        "style_hash": sha(style),
        "script": code,
        "script_hash": sha(code),
        "data": data,
    }


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def headers(path):
    """Descriptions by id, out of a FASTA file."""
    found = {}
    if Path(path).exists() and not str(path).endswith(".gz"):
        for line in open(path, errors="replace"):
            if line.startswith(">"):
                name, _, rest = line[1:].rstrip().partition(" ")
                found.setdefault(name, rest)
    return found


def logistic(x):
    return 1 / (1 + math.exp(-x))


def read_run(directory):
    """The run and its records, in the order of the input."""
    directory = Path(directory)
    run = json.loads((directory / "run.json").read_text())
    descriptions = {}
    for file in run["inputs"]:
        descriptions |= headers(file["path"])
    records = []
    for row in table(directory / "sequences.tsv"):
        records.append({
            "record": len(records), "id": row["sequence_id"], "source": row.get("source"), "length": int(row["length"]),
            "description": row.get("description", descriptions.get(row["sequence_id"], "")), "status": row["status"],
            "chunks": [], "frames": [], "regions": [],
        })
    for row in table(directory / "chunks.tsv"):
        judged = row["status"].startswith("classified")
        o, v = (float(row["max_score_other"]), float(row["max_score_virus"])) if judged else (0, 0)
        records[int(row["record"])]["chunks"].append({
            "start": int(row["start"]), "end": int(row["end"]), "viral": row["is_virus"] == "True", "judged": judged,
            "nucleotides": row["status"] == "classified_nucleotide",
            "score": v / (v + o) if judged else None,
        })
    for row in table(directory / "frames.tsv"):
        records[int(row["record"])]["frames"].append((row["frame"], int(row["start"]), int(row["end"]), float(row["score_virus"])))
    for record in records:
        judge(record)
    return run, records


def judge(record):
    """Stand-ins for score, call, posterior, regions and FDR of a record."""
    odds = []
    for chunk in record["chunks"]:
        p = min(max(chunk["score"], 1e-6), 1 - 1e-6) if chunk["judged"] else 0.5
        odds.append(max(-3.0, min(3.0, math.log(p / (1 - p)))))
    judged = [x for x, chunk in zip(odds, record["chunks"]) if chunk["judged"]]
    record["classified"] = len(judged)
    record["viral"] = sum(chunk["viral"] for chunk in record["chunks"])
    record["score"] = round(logistic(sum(judged) / len(judged)), 4) if judged else None
    score = record["score"]
    record["call"] = "unjudged" if score is None else "viral" if score >= VIRAL else "uncertain" if score >= UNCERTAIN else "cellular"
    false_positive, recall = rates(score) if judged else (1, 1)
    wrong, right = false_positive * (1 - PREVALENCE), recall * PREVALENCE
    record["fdr"] = round(wrong / (wrong + right), 4) if judged else None
    kinds = {chunk["nucleotides"] for chunk in record["chunks"] if chunk["judged"]}
    record["evidence"] = "–" if not kinds else "both" if len(kinds) == 2 else "nucleotides" if kinds == {True} else "frames"
    record["posterior"] = posterior([x * 0.5 for x in odds])
    kind = "viral" if record["call"] == "viral" else "provirus"
    run = []
    for i, p in enumerate(record["posterior"] + [0.0]):
        if p >= 0.5:
            run.append(i)
            continue
        if len(run) >= 3 and (total := sum(odds[j] for j in run)) > 6:
            record["regions"].append({
                "kind": kind, "start": record["chunks"][run[0]]["start"], "end": record["chunks"][run[-1]]["end"], "score": round(total, 2),
            })
        run = []


def posterior(ratios, leave=0.02):
    """Forward-backward of a hidden Markov model of two states."""
    forward, state = [], (0.5, 0.5)
    for x in ratios:
        a = (state[0] * (1 - leave) + state[1] * leave, (state[0] * leave + state[1] * (1 - leave)) * math.exp(x))
        state = (a[0] / sum(a), a[1] / sum(a))
        forward.append(state)
    result, back = [], (1.0, 1.0)
    for f, x in zip(reversed(forward), reversed(ratios)):
        joint = (f[0] * back[0], f[1] * back[1])
        result.append(joint[1] / sum(joint))
        b = (back[0], back[1] * math.exp(x))
        back = (b[0] * (1 - leave) + b[1] * leave, b[0] * leave + b[1] * (1 - leave))
        back = (back[0] / sum(back), back[1] / sum(back))
    return result[::-1]


def rates(score):
    """Made-up false positive rate and recall at a line: normal distributions of log-odds around -1.5 and 1.5."""
    x = math.log(min(max(score, 1e-4), 1 - 1e-4) / (1 - min(max(score, 1e-4), 1 - 1e-4)))
    above = lambda mean: 0.5 * math.erfc((x - mean) / math.sqrt(2))
    return above(-1.5), above(1.5)


def summary(records):
    totals = {"records": len(records), "bases": sum(r["length"] for r in records)}
    counts = {call: {"records": 0, "bases": 0} for call in CALLS}
    for record in records:
        counts[record["call"]]["records"] += 1
        counts[record["call"]]["bases"] += record["length"]
    parts, at = [], {"records": 0.0, "bases": 0.0}
    for call in CALLS:
        part = {"call": call, "label": "not judged" if call == "unjudged" else call}
        for unit in at:
            share = counts[call][unit] / totals[unit] if totals[unit] else 0
            part[unit] = {"count": counts[call][unit], "share": share, "x": round(100 * at[unit], 3), "width": round(100 * share, 3)}
            at[unit] += share
        parts.append(part)
    return parts, totals


def expectation(run):
    if run["models"]["name"] != "virpack-mini":
        return None
    false_positive, recall = rates(VIRAL)
    share = lambda p: false_positive * (1 - p) / (false_positive * (1 - p) + recall * p)
    return {
        "false_positive": false_positive, "recall": recall,
        "rows": [{"prevalence": p, "share_false": share(p)} for p in (0.001, 0.01, 0.1)],
    }


def block(records, totals, calibrated):
    """The data block of as many records as fit, packed; first the descriptions go, then the records with the lowest scores."""
    ranked = best_first(records)
    described, kept = len(records), min(len(records), TABLE_RECORDS)
    while True:
        text = json.dumps(contents(records, ranked, totals, calibrated, kept, described), separators=(",", ":"), ensure_ascii=False)
        packed = base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
        if len(packed) < MOST_DATA:
            return packed
        if described > DETAILED:
            described = DETAILED
        else:
            kept = min(kept - 1, int(kept * 0.95 * MOST_DATA / len(packed)))


def contents(records, ranked, totals, calibrated, count, described):
    """What the script needs: of all records the histogram, of the best `count` a row, of the best `described` the description."""
    histogram = {"records": [0] * 1001, "bases": [0] * 1001}
    for record in records:
        if record["score"] is not None:
            bin_ = round(record["score"] * 10000) // 10
            histogram["records"][bin_] += 1
            histogram["bases"][bin_] += record["length"]
    kept = records if count == len(records) else sorted(ranked[:count], key=lambda r: r["record"])
    with_text = {r["record"] for r in ranked[:described]}
    letter = {"viral": "v", "uncertain": "u", "cellular": "c", "unjudged": "-"}
    whole = lambda x: -1 if x is None else round(x * 10000)
    sources = sorted({r["source"] for r in kept if r["source"]})
    rows = {
        "ids": "\n".join(r["id"] for r in kept), "descriptions": "\n".join(r["description"][:80] if r["record"] in with_text else "" for r in kept),
        "record": None if len(kept) == len(records) else [r["record"] for r in kept],
        "length": [r["length"] for r in kept], "score": [whole(r["score"]) for r in kept],
        "viral": [r["viral"] for r in kept], "classified": [r["classified"] for r in kept],
        "fdr": [whole(r["fdr"]) for r in kept] if calibrated else None,
        "call": "".join(letter[r["call"]] for r in kept), "evidence": "".join(r["evidence"][0].replace("–", "-") for r in kept),
        "sources": sources or None, "source": [sources.index(r["source"]) for r in kept] if sources else None,
    }
    curve = [rates(i / 1000) for i in range(1001)]
    return {
        "histogram": histogram, "rows": rows, "totals": totals, "thresholds": {"viral": VIRAL, "uncertain": UNCERTAIN},
        "rates": {"false_positive": [round(f, 5) for f, _ in curve], "recall": [round(r, 5) for _, r in curve]} if calibrated else None,
    }


def best_first(records):
    """By score, of equal ones the longer first, then as in the input."""
    return sorted(records, key=lambda r: (1 if r["score"] is None else -r["score"], -r["length"]))


def report(directory):
    run, records = read_run(directory)
    parts, totals = summary(records)
    calibrated = run["models"]["name"] == "virpack-mini"
    ranked = best_first(records)
    tracked = [r for r in ranked if r["call"] in ("viral", "uncertain") and len(r["chunks"]) > 1]
    tracks = []
    size = 0
    for record in tracked[:DETAILED]:
        tracks.append(report_pictures.track(record))
        size += len(json.dumps(tracks[-1]))
        if size > 1_200_000:
            break
    with_track = {t["record"] for t in tracks}
    proviruses = [
        {"id": r["id"], "x": round(100 * (g["start"] - 1) / r["length"], 2), "width": max(1.5, round(100 * (g["end"] - g["start"] + 1) / r["length"], 2)), **g}
        for r in records for g in r["regions"] if g["kind"] == "provirus"
    ]
    proviruses.sort(key=lambda g: -g["score"])
    reasons = defaultdict(lambda: {"records": 0, "bases": 0, "ids": []})
    for record in records:
        if record["call"] == "unjudged":
            reason = reasons[record["status"]]
            reason["records"] += 1
            reason["bases"] += record["length"]
            reason["ids"] += [record["id"]] if len(reason["ids"]) < 10 else []
    counts = run["counts"]
    name = lambda path: "standard input" if path == "-" else Path(path).name
    files = [{"name": name(f["path"]), "bytes": f["bytes"], "sha256": f["sha256"]} for f in run["inputs"]]
    model_name = run["models"]["name"] or "virpack-mini"
    options = run["options"]
    context = {
        "assets": assets(block(records, totals, calibrated)),
        "virpack": run["virpack"], "finished": run.get("finished"), "command": run.get("command"), "directory": run["output"],
        "title": files[0]["name"] if len(files) == 1 else f"{files[0]['name']} and {len(files) - 1} more",
        "inputs": files, "records": totals["records"], "bases": totals["bases"],
        "model": {
            "name": model_name, "kind": "mini" if calibrated else "virnucpro" if "virnucpro" in str(model_name) else "other", "calibrated": calibrated,
            "chunk_length": options["length"], "protein": run["models"]["protein"], "nucleotide": run["models"]["nucleotide"],
            "files": [{"name": f["path"], "bytes": f["bytes"], "sha256": f["sha256"]} for f in run["models"]["files"]],
        },
        "thresholds": {"viral": VIRAL, "uncertain": UNCERTAIN}, "prevalence": PREVALENCE, "has_fdr": calibrated,
        "summary": parts, "expectation": expectation(run),
        "histogram": report_pictures.score_histogram(records), "scatter": report_pictures.scatter(records),
        "rows": [
            {"record": r["record"], "id": r["id"], "description": r["description"], "source": r["source"], "length": r["length"], "score": r["score"],
             "spark": report_pictures.spark(r["chunks"]), "chunks_viral": r["viral"], "chunks_classified": r["classified"], "evidence": r["evidence"],
             "fdr": r["fdr"], "call": r["call"], "track": r["record"] in with_track}
            for r in ranked[:DETAILED]
        ],
        "tracks": {"total": len(tracked), "shown": tracks},
        "proviruses": {"total": len(proviruses), "shown": proviruses[:100]},
        "unjudged": [{"status": status, **reason} for status, reason in sorted(reasons.items(), key=lambda x: -x[1]["records"])],
        "chunks": {
            "total": counts["chunks"], "by_frames": counts["chunks_classified"] - counts["chunks_by_nucleotides"], "by_nucleotides": counts["chunks_by_nucleotides"],
            "unjudged": sum(1 for r in records if r["score"] is not None for c in r["chunks"] if not c["judged"]),
        },
        "odd_letters": {"letters": counts["odd_letters"], "records": counts["records_with_odd_letters"]},
        "run": {
            "seconds": run["seconds"]["all"], "bases_per_second": run["rates"]["bases_per_second"], "memory": run.get("memory"), "genetic_code": options["genetic_code"],
            "devices": [{"name": d["device"], "model": d["model"], "tokens_per_second": d["tokens_per_second"], "packing": d["packing_efficiency"]} for d in run["devices"]],
            "options": [{"name": k.replace("_", " "), "value": str(v)} for k, v in options.items() if v is not None],
        },
    }
    return context


def write_tables(directory, out):
    """The table that a run of the finished program will have, for the browser test."""
    _, records = read_run(directory)
    out.mkdir(exist_ok=True)
    with open(out / "sequences.tsv", "w", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        rows.writerow(["sequence_id", "description", "length", "virus_score", "call"])
        for r in records:
            na = r["score"] is None
            rows.writerow([r["id"], r["description"], r["length"], "NA" if na else f"{r['score']:.4f}", "NA" if na else r["call"]])


def comparison(directories):
    runs = []
    for directory in directories:
        run, records = read_run(directory)
        parts, totals = summary(records)
        best = best_first(records)[:1]
        runs.append({
            "name": Path(directory).name, "href": f"{Path(directory).name}/report.html", "input": Path(run["inputs"][0]["path"]).name,
            "model": run["models"]["name"], "chunk_length": run["options"]["length"], "threshold": VIRAL, "virpack": run["virpack"], **totals, "summary": parts,
            "best": {key: best[0][key] for key in ("id", "score", "length")} if best and best[0]["score"] is not None else None,
        })
    return {
        "assets": assets(script=False), "virpack": runs[0]["virpack"], "finished": None, "runs": runs, "records": sum(r["records"] for r in runs),
        "bases": sum(r["bases"] for r in runs), "models": sorted({r["model"] for r in runs}), "lines": sorted({r["threshold"] for r in runs}),
    }


def main():
    out, *directories = sys.argv[1:]
    name, context = ("report.html", report(directories[0])) if len(directories) == 1 else ("compare.html", comparison(directories))
    page = environment().render_template(name, **context)
    Path(out).write_text(page)
    if len(directories) == 1:
        write_tables(directories[0], Path(out).with_suffix(".tables"))
    print(f"{out}: {len(page.encode()):,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
