"""Reads the data, splits them by virus and genome, cuts chunks as `virpack predict` does, and writes shards.

    python3 training/data.py --data ../shared/data --out SHARDS

README.md beside this file says what each step decides and why. Everything is drawn with one fixed seed.
"""
import argparse
import collections
import itertools
import json
import pathlib
import pickle
import random
import re
import time

import numpy as np

import sequences as seq
import sources
from proteins import RESIDUE_K, RESIDUE_ONE_IN, phage_proteins, write_proteins
from sequences import fasta
from sources import DEVELOPMENT, PROPHAGE, SEED, TEST, TRAIN, VALIDATION, WHOLE, Record

SPLITS = ["train", "validation", "test", "prophage-like", "whole groups", "development"]
SPLIT_ORDER = TRAIN, VALIDATION, TEST, WHOLE, DEVELOPMENT, PROPHAGE
SHARE = {TEST: 0.20, VALIDATION: 0.07}
# Group: class, share of its class in training, most chunks in training.
GROUPS = {
    "plant virus": (1, 0.22, 34_000),
    "human virus": (1, 0.05, 20_000),
    "phage": (1, 0.22, 20_000),
    "refseq virus": (1, 0.12, 10_000),
    "bacteria": (0, 0.17, 70_000),
    "archaea": (0, 0.06, 11_000),
    "human": (0, 0.09, 16_000),
    "fungi": (0, 0.05, 14_000),
    "protozoa": (0, 0.05, 12_000),
    "refseq cell": (0, 0.08, 10_000),
    # Groups of training/extra; the ten above keep the split that they have had from the first version on.
    "viral gene": (1, 0.25, 26_000),
    "more phage": (1, 0.08, 5_000),
    "animal virus": (1, 0.07, 5_000),
    "retrovirus": (1, 0.03, 2_000),
    "CRESS virus": (1, 0.04, 2_000),
    "more bacteria": (0, 0.12, 43_000),
    "prokaryote gene": (0, 0.12, 34_000),
    "mRNA": (0, 0.09, 20_000),
    "more human": (0, 0.05, 10_000),
    "plant": (0, 0.06, 2_500),
    "organelle": (0, 0.05, 3_000),
    "transposon": (0, 0.04, 6_500),
    "plant transposon": (0, 0.03, 3_000),
    "rRNA": (0, 0.05, 5_000),
    "mitovirus and narnavirus": (1, 0.0, 0),
    "bornavirus": (1, 0.0, 0),
    "hepadnavirus": (1, 0.0, 0),
    "lentivirus": (1, 0.0, 0),
    "far prokaryote": (0, 0.0, 0),
    "fly": (0, 0.0, 0),
    "fly transposon": (0, 0.0, 0),
    "fungal mitochondrion": (0, 0.0, 0),
    "rRNA of fungi and archaea": (0, 0.0, 0),
}
NAMES = list(GROUPS)
FIRST = NAMES[:10]  # the groups that are split by `split`
MOST_HELD_OUT = {TEST: 3_000, VALIDATION: 800, PROPHAGE: 3_000, WHOLE: 1_500, DEVELOPMENT: 1_500}
LENGTHS = (500, 300)
REGION = 500_000

# Near-duplicates: canonical 21-mers, one in 4 of them; a training chunk with a tenth of them held out goes.
K, ONE_IN, MOST_CONTAINED = 21, 4, 0.10
# Viruses that share this much of the smaller one's sketch (one 21-mer in 16) are one virus.
SKETCH, SAME_VIRUS = 16, 0.10
# Prophages: residue 9-mers (one in 2) that a chunk's six frames share with phage proteins, or 21-mers with phages.
PROPHAGE_KMERS = 6
PROPHAGE_NUCLEOTIDES = 0.20
PROPHAGE_WINDOW, PROPHAGE_SHARE = 20_000, 0.15
NEWER_PROKARYOTES = "more bacteria", "prokaryote gene", "far prokaryote"
# Of the viruses of people only the genus is certain enough to split by; which are held out is fixed here.
GENERA = [
    ("ebola", "Ebolavirus", TRAIN), ("EBOV", "Ebolavirus", TRAIN), ("G5012", "Ebolavirus", TRAIN),
    ("KJ660346", "Ebolavirus", TRAIN), ("Lassa", "Mammarenavirus", TRAIN), ("LASV", "Mammarenavirus", TRAIN),
    ("Influenza", "Alphainfluenzavirus", TRAIN), ("herpesvirus 3", "Varicellovirus", TRAIN),
    ("Hepatitis C", "Hepacivirus", VALIDATION), ("HIV", "Lentivirus", TEST), ("hinovirus", "Enterovirus", TEST),
    ("polio", "Enterovirus", TEST), ("Coxsackie", "Enterovirus", TEST), ("RBV16", "Lyssavirus", TEST),
    ("JQ685920", "Lyssavirus", TEST), ("Orungo", "Orbivirus", TEST),
]  # fmt: skip
ARCHAEAL_ASSEMBLIES = {"GCF_000016385", "GCF_000145295"}

def stem(name):
    """A virus's name without what tells relatives apart: bracketed parts, numbers, single letters, kinds of satellite."""
    name = re.sub(r"\(.*?\)|\[.*?\]", " ", name)
    words = [w for w in re.split(r"[\s\-_/,]+", name.lower()) if w]
    noise = {"alphasatellite", "betasatellite", "satellite", "rna", "dna", "virus", "associated", "strain"}
    kept = [w for w in words if w not in noise and not re.fullmatch(r"[a-z]?\d*|[ivx]+|alpha|beta|gamma|delta", w)]
    return " ".join(kept[:3]) or " ".join(words)


def records(data):
    """Every nucleotide record with its group and what it is split by, and the splits that are fixed beforehand."""
    nucleotide, training = data / "nucleotide", data / "training"
    fixed, out = {}, []

    def add(group, key, name, letters):
        out.append(Record(group, f"{group}:{key}", name, seq.encode(letters)))

    for header, letters in fasta(nucleotide / "plant_viruses.fasta.gz"):
        name, species = header.split(maxsplit=1)
        add("plant virus", stem(species.split(" | ")[0]), name, letters)
    seen = set()
    for path in sorted((training / "viral_ngs").iterdir()):
        for header, letters in fasta(path):
            if letters in seen or len(set(letters.upper())) < 4:
                continue
            seen.add(letters)
            if "Tomato mosaic" in header:
                add("plant virus", stem("Tomato mosaic virus"), header.split()[0], letters)
                continue
            genus, split = next((g, s) for word, g, s in GENERA if word.lower() in header.lower())
            fixed[f"human virus:{genus}"] = split
            add("human virus", genus, header.split()[0], letters)
    for header, letters in fasta(training / "labelled/marvel_phage.fasta.gz"):
        add("phage", header.split("|")[0], header.split()[0], letters)
    for header, letters in fasta(nucleotide / "lambda_phage.fa.gz"):
        add("phage", "NC_001416", header.split()[0], letters)
    for header, letters in fasta(training / "labelled/virosense_v1.fasta.gz"):
        kind, accession = re.match(r"(vir|cel)_(.*?)\.\d+_f", header).groups()
        add("refseq virus" if kind == "vir" else "refseq cell", accession, header.split()[0], letters)
    for path in sorted((training / "prokaryotes").iterdir()):
        assembly = path.name.split(".")[0]
        group = "archaea" if assembly in ARCHAEAL_ASSEMBLIES else "bacteria"
        for header, letters in fasta(path):
            add(group, assembly, header.split()[0], letters)
    for path in sorted([*nucleotide.iterdir(), *training.glob("*.fa*")]):
        group = next((g for g in ("archaea", "bacteria") if path.name.startswith(g)), None)
        if re.match("ecoli|hpylori|saureus|vcholerae", path.name):
            group = "bacteria"
        if group:
            for header, letters in fasta(path):
                add(group, path.name.split(".")[0], header.split()[0], letters)
    for header, letters in fasta(training / "labelled/marvel_bacteria.fasta.gz"):
        add("bacteria", header.split("|")[0], header.split()[0], letters)
    for header, letters in fasta(nucleotide / "human_scaffolds_1Mb.fa.gz"):
        add("human", header.split()[0], header.split()[0], letters)
    for group, name in ("human", "human_chrX_part.fa.gz"), ("protozoa", "plasmodium_falciparum.fa.gz"), (
        "fungi", "ustilago_maydis_genome.fasta.gz"):  # fmt: skip
        for header, letters in fasta(training / name):
            for start in range(0, len(letters), REGION):
                contig = header.split()[0]
                key = f"{contig}/{start // REGION}" if group == "human" else contig
                add(group, key, f"{contig}/{start}", letters[start : start + REGION])
    return out, fixed


def sketch(record, one_in):
    return np.unique(seq.kmers(record.bases, K, one_in))


def same_viruses(all_records):
    """The component of each key: viruses that share k-mers are one, whatever they are called."""
    parent = {}

    def find(key):
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    sketches = collections.defaultdict(list)
    for record in all_records:
        find(record.key)
        if GROUPS[record.group][0]:
            sketches[record.key].append(sketch(record, SKETCH))
    keys = list(sketches)
    sketches = [np.unique(np.concatenate(sketches[key])) for key in keys]
    hashes = np.concatenate(sketches)
    owners = np.repeat(np.arange(len(keys)), [len(s) for s in sketches])
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    shared = collections.Counter()
    bounds = np.flatnonzero(np.diff(hashes)) + 1
    for group in np.split(owners, bounds):
        if 1 < len(group) <= 200:
            shared.update((a, b) for i, a in enumerate(group) for b in group[i + 1 :])
    # A name split over sources by its accession (phages, RefSeq fragments) is one too.
    for (a, b), count in shared.items():
        if count >= max(3, SAME_VIRUS * min(len(sketches[a]), len(sketches[b]))):
            parent[find(keys[a])] = find(keys[b])
    by_accession = {}
    for key in keys:
        group, _, accession = key.partition(":")
        if group in ("phage", "refseq virus", "more phage"):
            parent[find(key)] = find(by_accession.setdefault(accession, key))
    return {key: find(key) for key in parent}


def split(all_records, component, fixed):
    """The split of each component, group by group, by bases."""
    size, groups = collections.Counter(), collections.defaultdict(set)
    for record in all_records:
        size[component[record.key]] += len(record.bases)
        groups[record.group].add(component[record.key])
    chosen = {component[key]: where for key, where in fixed.items()}
    for group in FIRST:
        own = sorted(groups[group] - set(chosen))
        random.Random(f"{SEED} {group}").shuffle(own)
        total = sum(size[c] for c in groups[group])
        # One virus or genome shall not be all of a held-out set, where there are enough of them.
        most = 0.05 * total if len(own) > 40 else total
        for where in (TEST, VALIDATION):
            held = sum(size[c] for c in groups[group] if chosen.get(c) == where)
            for c in own:
                if held >= SHARE[where] * total or (group == "human virus"):
                    break
                if c not in chosen and size[c] <= most:
                    chosen[c], held = where, held + size[c]
    return {c: chosen.get(c, TRAIN) for c in size}


def cut(record, length):
    """Starts of the chunks of full length without other letters, and how many there are of any kind."""
    places = seq.reference.chunks(len(record.bases), length)
    odd = np.concatenate(([0], np.cumsum(record.bases == seq.OTHER)))
    starts = [a for a, b in places if b - a == length and odd[b] == odd[a]]
    return np.array(starts, np.int64), len(places)


def prophage_like(all_records, proteins):
    """For each record of prokaryotes, which places of it look like a phage: a list of (start, end)."""
    proteome = np.unique(np.concatenate([seq.residue_kmers(p, RESIDUE_K, RESIDUE_ONE_IN) for p in proteins]))
    first = np.unique(np.concatenate([sketch(r, ONE_IN) for r in all_records if r.group in ("phage", "refseq virus")]))
    # The newer phages flag places of newer genomes only: the older held-out chunks stay what they were.
    newer = [first] + [sketch(r, ONE_IN) for r in all_records if r.group in ("more phage", "viral gene")]
    newer, masked = np.unique(np.concatenate(newer)), {}
    for i, record in enumerate(all_records):
        if record.group not in ("bacteria", "archaea", "refseq cell", *NEWER_PROKARYOTES):
            continue
        phages = newer if record.group in NEWER_PROKARYOTES else first
        step, size = 500, len(record.bases)
        residues, nucleotides, sampled = (np.zeros(size // step + 1, np.int64) for _ in range(3))
        for frame, ids in enumerate(seq.translations(record.bases[None])):
            hashes, places = seq.placed_residue_kmers(ids[0], RESIDUE_K, RESIDUE_ONE_IN)
            places = frame % 3 + 3 * places[seq.contained(proteome, hashes)]
            places = places if frame < 3 else size - 1 - places
            residues += np.bincount(places // step, minlength=len(residues))
        hashes, places = seq.placed_kmers(record.bases, K, ONE_IN)
        sampled += np.bincount(places // step, minlength=len(sampled))
        nucleotides += np.bincount(places[seq.contained(phages, hashes)] // step, minlength=len(sampled))
        flags = (residues >= PROPHAGE_KMERS) | (nucleotides > PROPHAGE_NUCLEOTIDES * np.maximum(sampled, 1))
        # A region is masked whole where enough of it is flagged: the genes between known ones are the phage's too.
        window = PROPHAGE_WINDOW // step
        if len(flags) >= window:
            dense = np.convolve(flags, np.ones(window), "same") >= PROPHAGE_SHARE * window
            dense &= np.convolve(flags, np.ones(9), "same") > 0
            flags = flags | dense
        if flags.any():
            masked[i] = [(p * step, (p + 1) * step) for p in np.flatnonzero(flags).tolist()]
    return masked


def overlaps(starts, length, places):
    """Which chunks have a base in the places."""
    if not places or not len(starts):
        return np.zeros(len(starts), bool)
    edges = np.array(places)
    first = np.searchsorted(edges[:, 1], starts, side="right")
    inside = first < len(edges)
    return inside & (edges[np.minimum(first, len(edges) - 1), 0] < starts + length)


def take(chunks, most, rng):
    """At most so many chunks, the keys by turns, so that no large genome crowds out the others."""
    if len(chunks) <= most:
        return chunks
    by_key = collections.defaultdict(list)
    for chunk in chunks:
        by_key[chunk[0]].append(chunk)
    for own in by_key.values():
        rng.shuffle(own)
    kept, level = [], 0
    rows = sorted(by_key.values(), key=len)
    # The level that fills `most`: small genomes give all they have.
    left, room = len(rows), most
    for own in rows:
        level = room // left
        if len(own) > level:
            break
        room, left = room - len(own), left - 1
    for own in rows:
        kept += own[: max(level, 1)]
    return sorted(kept[:most] if len(kept) > most else kept)


def shares_held(chunks, held, block=2_000):
    """Of each chunk, the share of its sampled k-mers that are held out; many chunks at a time, one letter apart."""
    while part := list(itertools.islice(chunks, block)):
        size = len(part[0]) + 1
        apart = np.full((len(part), size), seq.OTHER, np.uint8)
        apart[:, :-1] = part
        hashes, places = seq.placed_kmers(apart.ravel(), K, ONE_IN)
        sampled = np.bincount(places // size, minlength=len(part))
        found = np.bincount(places[seq.contained(held, hashes)] // size, minlength=len(part))
        yield from found / np.maximum(sampled, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--split", type=pathlib.Path, help="a file to keep the prophage-like places in, for records.py")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()

    def say(*words):
        print(f"[{time.time() - began:6.1f} s]", *words, flush=True)

    counts = collections.Counter()
    all_records, component, where, masked, proteins = prepared(args.data, args.split, counts, say)
    chosen = {}
    for length in LENGTHS:
        candidates = collections.defaultdict(list)
        for i, record in enumerate(all_records):
            split_of = where[component[record.key]]
            if split_of == TRAIN and length != LENGTHS[0] or split_of == PROPHAGE:
                continue
            starts, cut_in_all = cut(record, length)
            # Fragments shorter than a chunk are chunks of their own in predict; the trainer takes whole ones only.
            counts[length, record.group, "not whole or other letters"] += cut_in_all - len(starts)
            is_masked = overlaps(starts, length, masked.get(i))
            for start, prophage in zip(starts.tolist(), is_masked.tolist()):
                candidates[record.group, PROPHAGE if prophage else split_of].append(
                    (component[record.key], i, start, split_of)
                )
        for group, (_, _, most) in GROUPS.items():
            for which in range(len(SPLITS)):
                own = candidates[group, which]
                counts[length, group, f"{SPLITS[which]} before caps"] = len(own)
                if which == PROPHAGE:  # told of, never trained on: only those of held-out genomes are scored
                    own = [c for c in own if c[3] == TEST]
                rng = random.Random(f"{SEED} {group} {which} {length}")
                limit = most * 2 if which == TRAIN else MOST_HELD_OUT[which]
                chosen[length, group, which] = take(own, limit, rng)
    say("chunks drawn; near-duplicates")

    held = []
    for i, record in enumerate(all_records):
        if where[component[record.key]] in (VALIDATION, TEST, WHOLE):
            held.append(sketch(record, ONE_IN))
    held = np.unique(np.concatenate(held))
    say(f"{len(held)} held-out k-mers")
    for group, (_, _, most) in GROUPS.items():
        for which in (TRAIN, DEVELOPMENT):  # the latter is trained on in the end
            own = chosen[LENGTHS[0], group, which]
            bases = (all_records[i].bases[start : start + LENGTHS[0]] for _, i, start, _ in own)
            kept = [chunk for chunk, share in zip(own, shares_held(bases, held)) if share < MOST_CONTAINED]
            counts[LENGTHS[0], group, "near-duplicates removed"] += len(own) - len(kept)
            chosen[LENGTHS[0], group, which] = take(kept, most, random.Random(f"{SEED} {group} last"))

    keys = sorted({component[r.key] for r in all_records})
    number = {key: n for n, key in enumerate(keys)}
    shards = {}
    for length in LENGTHS:
        rows = [
            (all_records[i].bases[start : start + length], NAMES.index(group), which, number[key], i, start)
            for (cut_to, group, which), own in chosen.items()
            if cut_to == length
            for key, i, start, _ in own
        ]
        bases = np.stack([row[0] for row in rows])
        check(bases[:: max(1, len(bases) // 200)])
        group = np.array([row[1] for row in rows], np.uint8)
        shards[length] = bases, group, np.array([row[2] for row in rows], np.uint8)
        np.savez_compressed(
            args.out / f"chunks_{length}.npz",
            bases=seq.pack(bases),
            group=group,
            viral=np.array([GROUPS[n][0] for n in NAMES], np.uint8)[group],
            split=shards[length][2],
            key=np.array([row[3] for row in rows], np.uint32),
            record=np.array([row[4] for row in rows], np.uint32),
            start=np.array([row[5] for row in rows], np.uint32),
        )
    say("chunks written; proteins")
    write_proteins(args, proteins, shards, counts)
    facts = {
        "seed": SEED, "groups": NAMES, "classes": [GROUPS[n][0] for n in NAMES], "splits": SPLITS,
        "weights": [GROUPS[n][1] for n in NAMES], "keys": keys, "records": [r.name for r in all_records],
        "counts": {" | ".join(map(str, key)): n for key, n in sorted(counts.items(), key=str)},
    }  # fmt: skip
    (args.out / "facts.json").write_text(json.dumps(facts))
    table(chosen, counts)
    say(f"{sum(p.stat().st_size for p in args.out.iterdir()) / 2**20:.1f} MiB in {args.out}")


def prepared(data, kept, counts, say):
    """Records, their components, the split of each component, prophage-like places, proteins of phages.

    `kept`: a file to keep the masks in, or to take them from.
    """
    all_records, fixed = records(data)
    say(f"{len(all_records)} records, {sum(len(r.bases) for r in all_records) / 1e6:.1f} Mb")
    component = same_viruses(all_records)
    where = split(all_records, component, fixed)
    say(f"{len(component)} keys, {len(set(component.values()))} components")
    all_records += together(all_records, sources.records(data, fasta), component, where, counts, say)
    proteins = phage_proteins(data)
    if kept and kept.exists():
        masked = pickle.loads(kept.read_bytes())
    else:
        masked = prophage_like(all_records, proteins)
        if kept:
            kept.write_bytes(pickle.dumps(masked))
    say(f"prophage-like places in {len(masked)} records")
    return all_records, component, where, masked, proteins


def together(first, extra, component, where, counts, say):
    """The records of `extra` that stay; `component` and `where` are told of them."""
    extra_component = same_viruses([record for _, record in extra])
    viruses = [(where[component[r.key]], sketch(r, SKETCH)) for r in first if GROUPS[r.group][0]]
    shared, size = collections.Counter(), collections.Counter()
    sets = {role: np.unique(np.concatenate([s for w, s in viruses if (w == TRAIN) == (role == TRAIN)])) for role in (TRAIN, TEST)}
    for _, record in extra:
        if GROUPS[record.group][0]:
            own = sketch(record, SKETCH)
            size[record.key] += len(own)
            for role, hashes in sets.items():
                shared[role, record.key] += int(seq.contained(hashes, own).sum())
    # Of viruses of the older splits: those that validated or tested go, those that trained train.
    same, trained = ({key for key in size if shared[role, key] >= max(3, SAME_VIRUS * size[key])} for role in (TEST, TRAIN))
    extra = sources.roles(extra, extra_component, {extra_component[key] for key in trained})
    known = [(where[component[record.key]], record) for record in first]
    kin = sources.relatives(known + extra, lambda group: bool(GROUPS[group][0]), RESIDUE_K, RESIDUE_ONE_IN)
    out = []
    for role, record in extra:
        gone = "kin of a family held out" if record.key in kin or role == PROPHAGE else None
        # What is held out whole may be kin of the older held-out viruses.
        gone = "a held-out virus" if record.key in same and role != WHOLE else gone
        counts["extra", record.group, gone or "records kept"] += 1
        if not gone:
            component[record.key] = extra_component[record.key]
            where[extra_component[record.key]] = role
            out.append(record)
    for role, record in known:
        if role == TRAIN and record.key in kin:
            counts["first", record.group, "kin of a family held out"] += 1
            where[component[record.key]] = PROPHAGE  # no split: left out
    say(f"{len(out)} records more, {sum(len(r.bases) for r in out) / 1e6:.1f} Mb; {len(same)} keys are held-out viruses, {len(kin)} kin of families held out")
    return out


def check(bases):
    """The frames of chunks, here and in dev/frames.py, are the same."""
    letters = np.array(list("TCAG"))
    for row in bases:
        plain = [(name, peptide) for name, _, peptide in seq.reference.frames("".join(letters[row]))]
        here = [
            (f"{'FR'[i // 3]}{i % 3 + 1}", "".join(seq.ALPHABET[t] for t in ids[0]))
            for i, ids in enumerate(seq.translations(row[None]))
            if (ids != seq.STOP).all()
        ]
        assert plain == here, (plain, here)


def table(chosen, counts):
    """The counts at 500 bases, as the model's card shows them."""
    names = [SPLITS[s] for s in SPLIT_ORDER]
    print("\n| group | class | " + " | ".join(names) + " | keys train / validation / test | near-duplicates removed | prophage-like of all |")
    print("| --- " * (5 + len(names)) + "|")
    for group, (viral, _, _) in GROUPS.items():
        cells = [len(chosen[500, group, s]) for s in SPLIT_ORDER]
        keys = [len({c[0] for c in chosen[500, group, s]}) for s in (TRAIN, VALIDATION, TEST)]
        print(
            f"| {group} | {'viral' if viral else 'cellular'} | {' | '.join(map(str, cells))} | {' / '.join(map(str, keys))} "
            f"| {counts[500, group, 'near-duplicates removed']} | {counts[500, group, 'prophage-like before caps']} |"
        )
    for key, n in sorted(counts.items(), key=str):
        if key[0] == "proteins":
            print(*key[1:], n)


if __name__ == "__main__":
    main()
