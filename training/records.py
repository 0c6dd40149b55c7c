"""Held-out records of up to 10 kb, to fit and to measure the score of a record.

    python3 training/records.py --data ../shared/data --out RECORDS [--split FILE]

Writes to RECORDS `records.tsv` (id, split, group, class, key, bases) and the same records as `SPLIT.fasta`. The splits are
`validation` and `test` of data.py, and `new`: kinds of cells that no split has. `--split` keeps the split and the
prophage-like places, which take minutes, in a file.

Each record is a stretch without other letters and without a prophage-like place. A record of 1, 2, 3 or 5 kb is a part of a
stretch: its chunks are among those of the stretch, which are scored once (records of 500 and 300 bases a chunk begin at a
multiple of that).
"""
import argparse
import collections
import pathlib
import pickle
import random
import re

import numpy as np

import data as d
import sequences as seq

LONGEST, STEP, SHORTEST = 10_000, 500, 1_000
# The most stretches of each group; those of a class have about as many in all.
MOST = {
    "validation": {
        "plant virus": 150, "human virus": 60, "phage": 240, "refseq virus": 60, "other virus": 100, "viral gene": 100,
        "bacteria": 260, "archaea": 90, "human": 120, "fungi": 90, "protozoa": 60, "refseq cell": 60,
    },
    "test": {
        "plant virus": 220, "human virus": 60, "phage": 260, "refseq virus": 100,
        "bacteria": 260, "archaea": 90, "human": 120, "fungi": 90, "protozoa": 60, "refseq cell": 80,
    },
    "new": {name: 50 for name in ("plant", "fly", "organelle", "rRNA", "mRNA", "transposon")},
}  # fmt: skip
# Sequence that no training has read: file, split, group, what its key is cut from the header by.
EXTRA = [
    ("viral/coli_phages_96", "validation", "phage", r"[^|]+\|(.*)"),
    ("viral/phages_misc", "validation", "phage", r"[^|]+\|(.*)"),
    ("viral/glue_cress", "validation", "other virus", r"[^|]+\|(.*)"),
    ("viral/glue_flavivirus", "validation", "other virus", r"[^|]+\|(.*)"),
    ("viral/glue_rvdb", "validation", "other virus", r"[^|]+\|(.*)"),
    ("viral/mito_narnaviruses", "validation", "other virus", r"(.*)"),
    ("viral/mpa2_viral_genes", "validation", "viral gene", r"(g\d+)"),
    ("cellular/cherry_slices", "validation", "bacteria", r"(\w+)"),
    ("cellular/arabidopsis_1pct", "new", "plant", r"[^|]+\|(\w+)"),
    ("cellular/fly_1pct", "new", "fly", r"[^|]+\|(\w+)"),
    ("cellular/organelles", "new", "organelle", r".*_-_(\w+)"),
    ("cellular/rrna_lsu", "new", "rRNA", r"(.*)"),
    ("cellular/mpa2_euk_mrna", "new", "mRNA", r"(\w+)"),
    ("cellular/transposons", "new", "transposon", r"(.*)"),
]
VIRAL = {"plant virus", "human virus", "phage", "refseq virus", "other virus", "viral gene"}
SLICES = 170  # of bacteria, at most
# What files are named after.
NAMES = {d.VALIDATION: "validation", d.TEST: "test"}


def extra_records(data):
    """Records of `training/extra` with their splits; few enough to look through."""
    out = []
    for name, split, group, pattern in EXTRA:
        own = []
        for header, letters in d.fasta(data / f"training/extra/{name}.fa.gz"):
            found = re.match(pattern, header)
            key = found[1] if found else header
            if len(letters) >= SHORTEST:
                own.append((split, d.Record(group, f"{group}:{key}", header.split()[0], letters)))
        random.Random(f"{d.SEED} {name}").shuffle(own)
        own = own[: SLICES if group == "bacteria" else 400]
        out += [(split, record._replace(bases=seq.encode(record.bases))) for split, record in own]
    return out


def prepared(data, kept):
    """Records, their components, the split of each component, prophage-like places; of the file if it is there."""
    records, fixed = d.records(data)
    extra = extra_records(data)
    if kept and kept.exists():
        component, where, masked = pickle.loads(kept.read_bytes())
    else:
        component = d.same_viruses(records)
        where = d.split(records, component, fixed)
        # The extra phages are not among the phages that flag places: data.py did not know them.
        all_records = records + [r for _, r in extra if r.group == "bacteria"]
        masked = d.prophage_like(all_records, d.phage_proteins(data))
        if kept:
            kept.write_bytes(pickle.dumps((component, where, masked)))
    return records, component, where, masked, extra


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
    """The folder to write to, which is made, and the data that `prepared` gives, by the arguments of the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--split", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return args.out, prepared(args.data, args.split)


def main():
    out, (records, component, where, masked, extra) = started(__doc__)
    sources, candidates = list(records), collections.defaultdict(list)
    for i, record in enumerate(records):
        split = NAMES.get(where[component[record.key]])
        if split:
            for start, end in stretches(record, masked.get(i)):
                candidates[split, record.group].append((component[record.key], i, start, end))
    # What training or test has read, or nearly so, is left out of the extra records.
    read = [d.sketch(r, d.ONE_IN) for r in records if where[component[r.key]] != d.VALIDATION]
    read = np.unique(np.concatenate(read))
    slices, dropped = 0, collections.Counter()
    for split, record in extra:
        places = None
        if record.group == "bacteria":
            places, slices = masked.get(len(records) + slices), slices + 1
        for start, end in stretches(record, places):
            hashes = seq.kmers(record.bases[start:end], d.K, d.ONE_IN)
            near = seq.contained(read, hashes).sum() >= d.MOST_CONTAINED * max(len(hashes), 1)
            dropped[record.group, bool(near)] += 1
            if not near:
                candidates[split, record.group].append((record.key, len(sources), start, end))
        sources.append(record)
    letters = np.array(list("TCAG"))
    with open(out / "records.tsv", "w") as table:
        table.write("id\tsplit\tgroup\tviral\tkey\tbases\torigin\n")
        for split in MOST:
            rows = drawn(candidates, split)
            with open(out / f"{split}.fasta", "w") as fasta:
                for n, (key, i, start, end) in enumerate(rows):
                    record, name = sources[i], f"{split[0]}{n:05}"
                    viral = int(record.group in VIRAL)
                    cells = name, split, record.group, viral, key, end - start, f"{record.name}:{start}"
                    table.write("\t".join(map(str, cells)) + "\n")
                    fasta.write(f">{name}\n{''.join(letters[record.bases[start:end]])}\n")
            counts = collections.Counter(sources[row[1]].group for row in rows)
            keys = collections.Counter(group for group, _ in {(sources[r[1]].group, r[0]) for r in rows})
            print(f"{split}: " + ", ".join(f"{g} {n} of {keys[g]} keys" for g, n in counts.items()), flush=True)
    print("extra stretches, near training or test:", dict(dropped))


if __name__ == "__main__":
    main()
