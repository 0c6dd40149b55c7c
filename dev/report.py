#!/usr/bin/env python3
"""Measures `virpack report` on a made-up run of a million chunks: seconds and peak memory.

    python3 dev/report.py VIRPACK [FOLDER]

A real run of `virpack predict` on examples/contigs.fasta gives run.json and the calibration; tables and input are made up, 2,000 records of
500 chunks. Needs NumPy.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RECORDS, CHUNKS, LENGTH = 2_000, 500, 500


def make(program: str, folder: Path) -> None:
    """Makes the directory of a finished run."""
    contigs = Path(__file__).resolve().parent.parent / "examples/contigs.fasta"
    subprocess.run([program, "predict", contigs, "-o", folder, "--quiet", "--force"], check=True)
    random.seed(1)
    headers = {name: (folder / name).open().readline() for name in ["sequences.tsv", "chunks.tsv", "frames.tsv"]}
    sequences, chunks, frames = [(folder / name).open("w") for name in headers]
    for table, header in zip([sequences, chunks, frames], headers.values()):
        table.write(header)
    fasta = (folder / "input.fasta").open("w")
    letters = "ACGT" * (CHUNKS * LENGTH // 4)
    for record in range(RECORDS):
        name = f"contig_{record}"
        fasta.write(f">{name} made up\n{letters}\n")
        sequences.write(f"{name}\tmade up\t{CHUNKS * LENGTH}\t{CHUNKS}" + "\tNA" * 9 + "\tclassified\n")
        bias = random.random()
        for chunk in range(CHUNKS):
            start = chunk * LENGTH
            scores = []
            for frame in range(random.choice([0, 1, 1, 1, 2, 2])):
                virus = np.float32(min(0.999, max(0.001, random.gauss(bias, 0.2))))
                other = np.float32(1) - virus
                scores.append((other, virus))
                label = "virus" if virus > other else "others"
                end = start + (LENGTH - frame) // 3 * 3 + frame
                place = f"{chunk + 1}\tF{frame + 1}\t{start + frame + 1}\t{end}\t+"
                frames.write(f"{name}\t{place}\t{label}\t{other}\t{virus}\t{record}\n")
            other, virus = (max(both) for both in zip(*scores)) if scores else (np.float32(0.5),) * 2
            status = "classified" if scores else "classified_nucleotide"
            place = f"{chunk + 1}\t{start + 1}\t{start + LENGTH}\t{len(scores)}\t{virus >= other}"
            chunks.write(f"{name}\t{place}\t{other}\t{virus}\t{status}\t{record}\n")
    for file in (sequences, chunks, frames, fasta):
        file.close()
    # In pieces: what this process holds would count as memory of those that it starts.
    with (folder / "input.fasta").open("rb") as file:
        sum = hashlib.file_digest(file, "sha256").hexdigest()
    run = json.loads((folder / "run.json").read_text())
    path = folder / "input.fasta"
    run["inputs"] = [{"path": os.fspath(path), "bytes": path.stat().st_size, "sha256": sum}]
    (folder / "run.json").write_text(json.dumps(run))


def main() -> None:
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else temporary) / "run"
        make(program, folder)
        for options in [["--strict"], ["--relaxed"], ["--plot"]]:
            ran = subprocess.Popen([program, "report", folder, *options], stderr=subprocess.PIPE, text=True)
            said = ran.stderr.read().splitlines()
            _, status, usage = os.wait4(ran.pid, 0)
            assert status == 0, said
            print(" ".join(options), f"{said[-1]}, {usage.ru_maxrss / 1000:.0f} MB at most")
        print(f"report.html {(folder / 'report.html').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
