"""Held-out records of up to 10 kb, to fit and to measure the score of a record.

    python3 training/records.py --data ../shared/data --out RECORDS [--split FILE]

Writes to RECORDS `records.tsv` (id, split, group, class, key, bases) and the same records as `SPLIT.fasta`. The splits are
`validation` and `test` of data.py, and `new`: the whole groups held out. `--split` is a file in which data.py kept the
prophage-like places, which take minutes.

Each record is a stretch without other letters and without a prophage-like place. A record of 1, 2, 3 or 5 kb is a part of a
stretch: its chunks are among those of the stretch, which are scored once (records of 500 and 300 bases a chunk begin at a
multiple of that).
"""
import argparse
import collections
import pathlib
import random

import numpy as np

import data as d
import sequences as seq

LONGEST, STEP, SHORTEST = 10_000, 500, 1_000
# The most stretches of each group; those of a class have about as many in all.
MOST = {
    "validation": {
        "plant virus": 120, "human virus": 40, "phage": 120, "refseq virus": 60, "more phage": 240, "animal virus": 90,
        "viral gene": 120, "bacteria": 160, "archaea": 70, "human": 90, "fungi": 60, "protozoa": 40, "refseq cell": 50,
        "more bacteria": 240, "prokaryote gene": 60, "mRNA": 60, "organelle": 30, "transposon": 40, "rRNA": 40,
    },
    "test": {
        "plant virus": 220, "human virus": 60, "phage": 260, "refseq virus": 100,
        "bacteria": 260, "archaea": 90, "human": 120, "fungi": 90, "protozoa": 60, "refseq cell": 80,
    },
    "new": {
        "mitovirus and narnavirus": 50, "bornavirus": 50, "hepadnavirus": 50, "lentivirus": 50, "far prokaryote": 100,
        "fly": 100, "fly transposon": 50, "fungal mitochondrion": 50, "rRNA of fungi and archaea": 50,
    },
}  # fmt: skip
VIRAL = {name for name, row in d.GROUPS.items() if row[0]}
# What files are named after.
NAMES = {d.VALIDATION: "validation", d.TEST: "test", d.WHOLE: "new"}


def stretches(record, places):
    """Starts and ends of its stretches, the last one shorter: of whole steps, without other letters and flagged places."""
    size = len(record.bases)
    for start in range(0, size - SHORTEST + 1, LONGEST):
        end = min(start + LONGEST, start + (size - start) // STEP * STEP)
        flagged = d.overlaps(np.array([start]), end - start, places)[0]
        if not flagged and not (record.bases[start:end] == seq.OTHER).any():
            yield start, end


def drawn(candidates, split):
    """At most as many as MOST says, the keys of a group by turns."""
    out = []
    for group, most in MOST[split].items():
        own = sorted(candidates[split, group])
        out += d.take(own, most, random.Random(f"{d.SEED} records {split} {group}"))
    return out


def started(description):
    """The folder to write to, which is made, and the data that `data.prepared` gives, by the arguments of the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--split", type=pathlib.Path, help="what data.py wrote with the same argument")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return args.out, d.prepared(args.data, args.split, collections.Counter(), lambda *words: print(*words, flush=True))[:4]


def main():
    out, (records, component, where, masked) = started(__doc__)
    candidates = collections.defaultdict(list)
    for i, record in enumerate(records):
        split = NAMES.get(where[component[record.key]])
        if split and record.group in MOST[split]:
            for start, end in stretches(record, masked.get(i)):
                candidates[split, record.group].append((component[record.key], i, start, end))
    letters = np.array(list("TCAG"))
    with open(out / "records.tsv", "w") as table:
        table.write("id\tsplit\tgroup\tviral\tkey\tbases\torigin\n")
        for split in MOST:
            rows = drawn(candidates, split)
            with open(out / f"{split}.fasta", "w") as fasta:
                for n, (key, i, start, end) in enumerate(rows):
                    record, name = records[i], f"{split[0]}{n:05}"
                    viral = int(record.group in VIRAL)
                    cells = name, split, record.group, viral, key, end - start, f"{record.name}:{start}"
                    table.write("\t".join(map(str, cells)) + "\n")
                    fasta.write(f">{name}\n{''.join(letters[record.bases[start:end]])}\n")
            counts = collections.Counter(records[row[1]].group for row in rows)
            keys = collections.Counter(group for group, _ in {(records[r[1]].group, r[0]) for r in rows})
            print(f"{split}: " + ", ".join(f"{g} {n} of {keys[g]} keys" for g, n in counts.items()), flush=True)


if __name__ == "__main__":
    main()
