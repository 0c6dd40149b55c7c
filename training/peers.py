"""Other programs on this project's held-out sequences, beside the built-in model.

    python3 training/peers.py --data SHARDS --records RECORDS --model MODEL --bin VENV/bin --out OUT [--each 250]

DeepMicroClass, Jaeger (`jaeger-bio`), geNomad's neural part and Seeker, with the weights that their packages on PyPI carry, installed
beforehand in the environment of `--bin`. Each reads the same sequences: at most so many a group of the test split (chunks of 500 and of 300 bases,
the first 3 kb of records), genomes and viruses by turns. Runs that are done are not made again. Prints a table in Markdown:
AUROC and recall at 1 % false positives, all groups and viruses against prokaryotes, 95 % intervals over viruses and genomes.
"""
import argparse
import csv
import os
import pathlib
import random
import subprocess
import time

import numpy as np

import data as d
import files
import metrics
import score_records
import shards

RECORD = 3_000
CLIP = 3.0
LETTERS = np.array(list("TCAG"))
PROKARYOTES = "bacteria", "archaea"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
OLD_KERAS = {"Seeker": {"TF_USE_LEGACY_KERAS": "1"}}  # its files are Keras 2's: `tf_keras` reads them


def column(path, name, score):
    """The score of each row of a table by tabs; what a program prints before its header is passed over."""
    lines = path.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.split("\t")[0] == name)
    return {row[name]: score(row) for row in csv.DictReader(lines[first:], delimiter="\t")}


def microclass(row):
    classes = "Eukaryote", "EukaryoteVirus", "Plasmid", "Prokaryote", "ProkaryoteVirus"
    values = [float(row[c] or 0) for c in classes]
    return (values[1] + values[4]) / max(sum(values), 1e-9)


# Name: command in the peer's environment, the file that it writes, how that is read, which lengths it takes.
PEERS = {
    "DeepMicroClass": (
        "python -m DeepMicroClass predict -i {fasta} -o {out} -d cpu", "{out}/{fasta.name}_pred_one-hot_hybrid.tsv",
        lambda path: column(path, "Sequence Name", microclass), (500, RECORD),
    ),
    # Jaeger's scores are sums of logits over windows; of a record of one window they are its logits.
    "Jaeger": (
        "jaeger predict -i {fasta} -o {out} --fsize {window} --stride {window} --cpu --workers 1 -m default -f", "{out}/default/{fasta.stem}_jaeger.tsv",
        lambda path: column(path, "contig_id", lambda r: float(r["phage_score"]) - max(float(r[f"{c}_score"]) for c in ("bacteria", "eukarya", "archaea"))),
        (500, 300, RECORD),
    ),
    "geNomad, neural part": (
        "genomad nn-classification --threads 1 {fasta} {out}", "{out}/{fasta.stem}_nn_classification/{fasta.stem}_nn_classification.tsv",
        lambda path: column(path, "seq_name", lambda row: float(row["virus_score"])), (500, 300, RECORD),
    ),
    "Seeker": (
        "predict-metagenome {fasta}", "{out}/stdout.txt",
        lambda path: column(path, "name", lambda row: float(row["score"])), (500, 300, RECORD),
    ),
}  # fmt: skip


def chunks_of(folder, length, each):
    """Names, bases, class, group and key of held-out chunks."""
    chunks, facts = shards.load(folder, length), shards.facts(folder)
    out = []
    for group in np.unique(chunks["group"][chunks["split"] == shards.TEST]):
        own = np.flatnonzero((chunks["split"] == shards.TEST) & (chunks["group"] == group))
        rows = d.take([(int(chunks["key"][i]), int(i)) for i in own], each, random.Random(f"{d.SEED} peers {length} {group}"))
        out += [(f"c{i}", "".join(LETTERS[chunks["bases"][i]]), int(chunks["viral"][i]), facts["groups"][group], key) for key, i in rows]
    return out


def records_of(folder, each):
    """The same of the first bases of held-out records."""
    letters = {header.split()[0]: text.decode() for header, text in d.fasta(folder / "test.fasta")}
    with open(folder / "records.tsv") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["split"] == "test" and int(row["bases"]) >= RECORD]
    out = []
    for group in sorted({row["group"] for row in rows}):
        own = [row for row in rows if row["group"] == group]
        taken = d.take([(row["key"], row["id"]) for row in own], each, random.Random(f"{d.SEED} peers {group}"))
        out += [(name, letters[name][:RECORD], d.GROUPS[group][0], group, key) for key, name in taken]
    return out


def ours(model, fasta, length):
    """A chunk's virus / (virus + others); of a record the mean of its chunks' clipped log-odds, at 500 bases."""
    owners, scores = score_records.scored(model, fasta, 500 if length == RECORD else length, "cpu")
    odds = np.clip(np.log(np.maximum(scores[:, 1], 1e-9)) - np.log(np.maximum(scores[:, 0], 1e-9)), -CLIP, CLIP)
    by_name = {}
    for (name, _, _), value in zip(owners, odds):
        by_name.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in by_name.items()}


def run(name, fasta, length, folder, commands):
    """What a peer says of each sequence, and how long it took; a run that is there is not made again."""
    command, result, read, lengths = PEERS[name]
    if length not in lengths:
        return None
    out = folder / f"{name.split(',')[0]}_{length}"
    out.mkdir(parents=True, exist_ok=True)
    window = min(length, 2_000)
    path = pathlib.Path(result.format(fasta=fasta, out=out))
    if not path.exists():
        began = time.time()
        words = command.format(fasta=fasta, out=out, window=window).split()
        with open(out / "stdout.part", "w") as stdout, open(out / "stderr.txt", "w") as stderr:
            done = subprocess.run([commands / words[0], *words[1:]], stdout=stdout, stderr=stderr, env={**os.environ, **ONE_THREAD, **OLD_KERAS.get(name, {})})
        if done.returncode:
            raise SystemExit(f"{name} ended with {done.returncode}; {out}/stderr.txt says why")
        (out / "stdout.part").rename(out / "stdout.txt")
        print(f"{name}, {length} bases: {time.time() - began:.0f} s", flush=True)
    return read(path)


def table(rows, scores):
    """Lines of Markdown for sequences of one length; one without a score counts as the least viral."""
    labels, keys = np.array([row[2] for row in rows]), np.unique([f"{row[3]}:{row[4]}" for row in rows], return_inverse=True)[1]
    group = np.array([row[3] for row in rows])
    sets = ("all", labels >= 0), ("viruses against prokaryotes", (labels == 1) | np.isin(group, PROKARYOTES)), (
        "phages against prokaryotes", (group == "phage") | np.isin(group, PROKARYOTES))  # fmt: skip
    lines = ["| | without a score | " + " | ".join(f"{name}: AUROC, recall at 1 %" for name, _ in sets) + " |", "| --- " * 5 + "|"]
    for name, found in scores.items():
        value = np.array([found.get(row[0], -np.inf) for row in rows])
        missing = int(np.isinf(value).sum())
        value[np.isinf(value)] = value[~np.isinf(value)].min() - 1
        cells = []
        for _, own in sets:
            area, _, recall = zip(*metrics.bootstrap(value[own], labels[own], keys[own]))
            cells.append(f"{metrics.show(*area)}, {metrics.show(*recall)}")
        lines.append(f"| {name} | {missing} | " + " | ".join(cells) + " |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--each", type=int, default=250)
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--lengths", type=int, nargs="*", default=[500, 300, RECORD])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model, lines = files.load(args.model), []
    for length in args.lengths:
        rows = records_of(args.records, args.each) if length == RECORD else chunks_of(args.data, length, args.each)
        fasta = args.out / f"held_out_{length}.fasta"
        fasta.write_text("".join(f">{row[0]}\n{row[1]}\n" for row in rows))
        scores = {"virpack-mini": ours(model, fasta, length)}
        for name in args.peers:
            found = run(name, fasta, length, args.out, args.bin.resolve())
            if found is not None:
                scores[name] = found
        viral = sum(row[2] for row in rows)
        lines += [f"#### {length} bases: {viral} viral, {len(rows) - viral} cellular", "", *table(rows, scores), ""]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
