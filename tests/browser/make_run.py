"""Writes the tables of a run that never was: N records of made-up scores, some with ids meant to break the page.

    python3 tests/browser/make_run.py DIRECTORY [N] [hashes]

With `hashes` ids are 60 random letters, which no compression makes shorter than 30 bytes. The numbers are drawn with a fixed seed, so
that the same command writes the same bytes.
"""

import json
import math
import random
import sys
from pathlib import Path

CHUNK = 500
HOSTILE = [
    ('</script><img/src=x/onerror=alert(1)>', '<!-- <script>alert(1)</script> -->'),
    ('"onmouseover="alert(1)', "'><svg/onload=alert(1)>"),
    ("{{7*7}}{%raw%}${7*7}", "]]> &lt;b&gt; &amp;amp; \\u003c \\x01"),
    ("javascript:alert(1)", "long " + "description " * 60),
    ("=HYPERLINK(1)" + "x" * 300, "\u202eright to left\u202c, \U0001f9a0 and caf\u00e9"),
]


def logistic(x):
    return 1 / (1 + math.exp(-x))


def records(n, hashes, random_):
    """Id, description, length and the mean log-odds of each record."""
    for i in range(n):
        place = i - n // 2
        plain = f"{random_.getrandbits(240):060x}" if hashes else f"k141_{random_.randrange(10 * n)}"
        name, description = HOSTILE[place] if 0 <= place < len(HOSTILE) else (plain, "")
        viral = random_.random() < 0.04
        length = min(200_000, max(300, int(random_.lognormvariate(7.2, 0.9))))
        if i % 997 == 5:
            length = i % 2  # empty, or a single base
        if i % 1009 == 7:
            length = 400_000
        mean = random_.gauss(1.4 if viral else -1.5, 0.8)
        if 0 <= place < len(HOSTILE):
            # The best of all, so that they have rows and tracks without script; the last one is binned.
            length, mean = (500_000 if place + 1 == len(HOSTILE) else 40_000 + place), 9.0
        description = description or f"flag={random_.randrange(2)} multi={random_.lognormvariate(1, 1):.4f} len={length}"
        yield name, description, length, mean


def cell(text):
    return '"' + text.replace('"', '""') + '"' if '"' in text else text


def main():
    directory, n = Path(sys.argv[1]), int((sys.argv[2:] or [100_000])[0])
    directory.mkdir(parents=True, exist_ok=True)
    random_ = random.Random(1)
    counts = dict.fromkeys(["records", "bases", "chunks", "chunks_classified", "chunks_viral", "chunks_by_nucleotides", "frames", "too_short", "empty"], 0)
    with (directory / "sequences.tsv").open("w") as sequences, (directory / "chunks.tsv").open("w") as chunks, (directory / "frames.tsv").open("w") as frames:
        sequences.write("sequence_id\tdescription\tlength\tchunks\tchunks_classified\tchunks_viral\tviral_fraction\tis_virus\tmax_score_other\tmax_score_virus\tstatus\n")
        chunks.write("sequence_id\tchunk\tstart\tend\tframes\tis_virus\tmax_score_other\tmax_score_virus\tstatus\trecord\n")
        frames.write("sequence_id\tchunk\tframe\tstart\tend\tstrand\tprediction\tscore_other\tscore_virus\trecord\n")
        for index, (name, description, length, mean) in enumerate(records(n, "hashes" in sys.argv, random_)):
            shown = cell(name)
            number = 0 if length < 3 else max(1, math.ceil(length / CHUNK))
            viral = 0
            best = [0.0, 0.0]
            for k in range(number):
                start = 1 if length < CHUNK else min(k * CHUNK, length - CHUNK) + 1
                end = min(length, start + CHUNK - 1)
                score = logistic(random_.gauss(mean, 1.5))
                open_frame = random_.random() < 0.5
                viral += score >= 0.5
                best = [max(best[0], 1 - score), max(best[1], score)]
                status = "classified" if open_frame else "classified_nucleotide"
                chunks.write(f"{shown}\t{k + 1}\t{start}\t{end}\t{int(open_frame)}\t{score >= 0.5}\t{1 - score:.7f}\t{score:.7f}\t{status}\t{index}\n")
                counts["chunks_by_nucleotides"] += not open_frame
                if open_frame:
                    counts["frames"] += 1
                    lane = random_.randrange(6)
                    first = start + lane % 3
                    last = first + (end - first + 1) // 3 * 3 - 1
                    word = "virus" if score >= 0.5 else "others"
                    frames.write(f"{shown}\t{k + 1}\t{'FR'[lane // 3]}{lane % 3 + 1}\t{first}\t{last}\t{'+-'[lane // 3]}\t{word}\t{1 - score:.7f}\t{score:.7f}\t{index}\n")
            status = "empty" if length == 0 else "too_short" if length < 3 else "classified"
            verdict = f"{viral / number:.7f}\t{viral / number >= 0.5}\t{best[0]:.7f}\t{best[1]:.7f}" if number else "NA\tNA\tNA\tNA"
            sequences.write(f"{shown}\t{cell(description)}\t{length}\t{number}\t{number}\t{viral}\t{verdict}\t{status}\n")
            counts["records"] += 1
            counts["bases"] += length
            counts["chunks"] += number
            counts["chunks_classified"] += number
            counts["chunks_viral"] += viral
            counts["too_short"] += status == "too_short"
            counts["empty"] += status == "empty"
    (directory / "run.json").write_text(json.dumps(run_json(directory, counts), indent=2) + "\n")


def run_json(directory, counts):
    device = {"batches": 9, "busy": 0.99, "computed_by": [], "device": "CPU, 2 threads, AVX-512", "packing_efficiency": 0.97, "sequences": 9, "token_budget": 4096}
    files = [{"path": f"virpack-mini/{name}", "bytes": 1_000_000, "sha256": f"{i:064x}"} for i, name in enumerate(["classifier_500.safetensors", "peptide/model.safetensors"])]
    return {
        "counts": counts | {"odd_letters": 12, "records_with_odd_letters": 2, "no_open_frame": 0, "repeated_ids": 0},
        "device": "CPU, 2 threads, AVX-512",
        "devices": [device | {"model": "nucleotide", "tokens_per_second": 32375.4, "tokens": 9}, device | {"model": "protein", "tokens_per_second": 19273.3, "tokens": 9}],
        "inputs": [{"bytes": 123_456_789, "path": "a folder/<i>made up</i> & \"quoted\".fasta", "sha256": "ab" * 32}],
        "models": {"name": "virpack-mini", "files": files, "protein": "virpack-mini/peptide", "nucleotide": "virpack-mini/nucleotide"},
        "options": {"compat": "virnucpro", "genetic_code": 1, "length": CHUNK, "min_fraction": 0.5, "min_score": None},
        "output": str(directory),
        "rates": {"bases_per_second": 118993.3},
        "seconds": {"all": 1891.2},
        "virpack": "0.1.0",
    }


if __name__ == "__main__":
    main()
