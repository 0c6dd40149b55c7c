"""Held-out phages at known places of held-out bacterial genomes, to fit and to measure regions.

    python3 training/proviruses.py --data ../shared/data --out GENOMES [--split FILE]

Writes to GENOMES `made_SPLIT.fasta` and `made_SPLIT.tsv` (record, start, end, what: from 0, the end excluded; `phage` was put
there, `masked` looks like a prophage of the host's own and counts neither as right nor as wrong) for `validation` and `test`.
`--split` is the file that data.py keeps.
"""
import collections
import random

import numpy as np

import data as d
import records as r
import sequences as seq

MOST_HOST = 4_000_000  # bases of hosts, in each split
SPACING = 180_000  # bases of host for each phage
SHORTEST_HOST = 60_000
INSERT = (8_000, 50_000)
MARGIN = 5_000  # bases between a phage and a masked place, or the end of its host


def phages(records, component, where, split, rng):
    """Phages by key: whole genomes, or the fragments of one genome after another, on a random strand."""
    pieces = collections.defaultdict(list)
    for record in records:
        key = component[record.key]
        if record.group in ("phage", "more phage") and where[key] == split:
            pieces[record.key].append(record.bases)
    out = []
    for key, own in sorted(pieces.items()):
        bases = np.concatenate(own)
        bases = bases[bases != seq.OTHER]
        while len(bases) >= INSERT[0]:
            size = min(rng.randint(*INSERT), len(bases))
            piece, bases = bases[:size], bases[size:]
            out.append((key, seq.reverse_complement(piece) if rng.random() < 0.5 else piece))
    rng.shuffle(out)
    # The keys by turns: a large phage is many pieces.
    turn = collections.Counter()
    order = []
    for key, piece in out:
        order.append((turn[key], len(order), key, piece))
        turn[key] += 1
    return [(key, piece) for _, _, key, piece in sorted(order, key=lambda row: row[:2])]


def made(record, places, supply, rng):
    """A host with phages in it: its bases and what is where."""
    size, masked = len(record.bases), sorted(places or [])
    sites = []
    for _ in range(size // SPACING or 1):
        for _ in range(100):
            site = rng.randint(MARGIN, size - MARGIN)
            near = any(a - MARGIN < site < b + MARGIN for a, b in masked)
            if not near and all(abs(site - other) > 3 * MARGIN for other in sites):
                sites.append(site)
                break
    parts, truth, at, length = [], [], 0, 0
    for site in [*sorted(sites), size]:
        truth += [(length + max(a, at) - at, length + min(b, site) - at, "masked") for a, b in masked if a < site and b > at]
        parts.append(record.bases[at:site])
        length += site - at
        at = site
        if site < size and supply:
            _, piece = supply.pop(0)
            truth.append((length, length + len(piece), "phage"))
            parts.append(piece)
            length += len(piece)
    return np.concatenate(parts), truth


def main():
    out, (records, component, where, masked) = r.started(__doc__)
    letters = np.frombuffer(b"TCAGN", np.uint8)
    for split, name in ((d.VALIDATION, "validation"), (d.TEST, "test")):
        rng = random.Random(f"{d.SEED} proviruses {name}")
        supply = phages(records, component, where, split, rng)
        hosts = [
            i for i, record in enumerate(records)
            if record.group == "bacteria" and where[component[record.key]] == split
            and len(record.bases) >= SHORTEST_HOST
            # These two are measured as they are.
            and not record.key.endswith(("ecoli_536", "hpylori_G27"))
        ]  # fmt: skip
        rng.shuffle(hosts)
        left, counts = MOST_HOST, collections.Counter()
        with open(out / f"made_{name}.fasta", "w") as fasta, open(out / f"made_{name}.tsv", "w") as table:
            table.write("record\tstart\tend\twhat\n")
            for n, i in enumerate(hosts):
                record = records[i]
                if left < SHORTEST_HOST:
                    break
                host = record._replace(bases=record.bases[:left])
                left -= len(host.bases)
                places = [(a, min(b, len(host.bases))) for a, b in masked.get(i, []) if a < len(host.bases)]
                bases, truth = made(host, places, supply, rng)
                letter = letters[np.where(bases == seq.OTHER, 4, bases)].tobytes().decode()
                fasta.write(f">{name[0]}{n} {record.key} {record.name}\n{letter}\n")
                for start, end, what in truth:
                    table.write(f"{name[0]}{n}\t{start}\t{end}\t{what}\n")
                    counts[what] += end - start
                counts["phages"] += sum(what == "phage" for _, _, what in truth)
                counts["bases"] += len(bases)
        print(name, dict(counts), f"{len({record.key for record in map(records.__getitem__, hosts)})} hosts", flush=True)


if __name__ == "__main__":
    main()
