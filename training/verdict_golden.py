"""What Rust is held to: scores, shares of false calls, posteriors and regions of made-up records, by the Python here.

    python3 training/verdict_golden.py     writes fixtures/verdicts/golden.json from the built-in model's calibration
"""
import json
import pathlib
import random

import numpy as np

import regions
import segment
import verdicts as v

ROOT = pathlib.Path(__file__).resolve().parents[1]
PREVALENCES = (0.001, 0.1, 0.5)


def scores(rng, lean):
    """Highest scores of a chunk as float32 has them, or none."""
    kind = rng.random()
    if kind < 0.1:
        return None
    if kind < 0.13:
        return rng.choice([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    virus = 1 / (1 + np.exp(-rng.gauss(lean, 1.4)))
    other = min(1.0, max(0.0, 1 - virus + rng.choice([0, 0, 0.2])))
    return [float(np.float32(other)), float(np.float32(virus))]


def log_odds(both):
    return None if both is None else segment.log_odds(dict(zip(("max_score_other", "max_score_virus"), both)))


def expected_false(found, n, logit, prevalence):
    """As RecordScore's fdr: the ratio of both curves at each knot, mixed by the knots' weights."""
    weights = v.hats(np.array([n], float), found["chunks"])[0]
    ratio = 0.0
    for weight, viral, cellular in zip(weights, found["survival"]["viral"], found["survival"]["cellular"]):
        share = [np.interp(logit, found["logit"], row) for row in (viral, cellular)]
        ratio += weight * share[1] / share[0]
    return (1 - prevalence) * ratio / ((1 - prevalence) * ratio + prevalence)


def record(rng, calibration):
    chunks = [scores(rng, rng.choice([-1.4, 0.0, 1.2])) for _ in range(rng.choice([1, 2, 3, 7, 20, 55, 130]))]
    known = [x for x in map(log_odds, chunks) if x is not None]
    out = {"chunks": chunks, "classified": len(known), "lengths": {}}
    if known:
        out["mean"] = float(np.mean(known))
        out["uncalibrated"] = float(1 / (1 + np.exp(-out["mean"])))
        for length, found in calibration["lengths"].items():
            one = v.Set(np.array([len(known)]), np.array([out["mean"]]), *[None] * 5)
            score = float(v.score(found, one)[0])
            logit = float(np.log(score / (1 - score)))
            fdr = [float(expected_false(found, len(known), logit, p)) for p in PREVALENCES]
            out["lengths"][length] = {"score": score, "fdr": fdr}
    return out


def genome(rng, length, viral):
    """A record with a phage in it, of a length that makes its chunks overlap."""
    count = rng.choice([1, 2, 30, 150, 260])
    size = count * length - rng.randrange(length)
    places = v.d.seq.reference.chunks(size, length)
    phage = range(count // 3, count // 3 + count // 5)
    both = [scores(rng, 1.2 if i in phage or viral else -1.3) for i in range(len(places))]
    # Rust keeps a chunk's log-odds as float32.
    odds = [None if x is None else float(np.float32(x)) for x in map(log_odds, both)]
    chunks = [(a, b, x) for (a, b), x in zip(places, odds)]
    found, posterior = segment.regions(chunks, regions.MODELS[length], viral)
    return {
        "length": length, "bases": size, "viral": viral, "chunks": both,
        "posterior": [round(p, 6) for p in posterior],
        "regions": [{"start": a, "end": b, "score": s, "posterior": p} for a, b, s, p in found],
    }  # fmt: skip


def main():
    path = ROOT / "crates/virpack-model/virpack-mini/record_calibration.json"
    calibration = json.loads(path.read_text())
    rng = random.Random(2026)
    golden = {
        "prevalences": PREVALENCES,
        "records": [record(rng, calibration) for _ in range(24)],
        "genomes": [genome(rng, length, viral) for length in (500, 300) for viral in (False, True) for _ in range(7)],
    }
    out = ROOT / "fixtures/verdicts/golden.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(golden) + "\n")
    print(f"{out.stat().st_size} bytes, {sum(len(g['regions']) for g in golden['genomes'])} regions")


if __name__ == "__main__":
    main()
