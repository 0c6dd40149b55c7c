"""Is the time left that `virpack predict` tells within a factor of two of the truth?

    cargo build --release
    python3 dev/progress.py target/release/virpack ../shared/data/nucleotide

Runs the built-in model on genomes with a line of JSON every second, and compares the time left at a quarter, half and three
quarters of the run with the time that it then took. The last column is the longest time between two events that had chunks to
tell, from the beginning to the end.
"""

import gzip
import json
import pathlib
import subprocess
import sys
import tempfile


def records(path, most):
    """The first records of a file, with at most so many letters in all."""
    with gzip.open(path, "rt") as file:
        text, letters = [], 0
        for part in file.read().split(">")[1:]:
            header, _, body = part.partition("\n")
            sequence = body.replace("\n", "")[: most - letters]
            text.append(f">{header.split()[0]}\n{sequence}\n")
            letters += len(sequence)
            if letters >= most:
                break
    return "".join(text)


def run(virpack, fasta, folder):
    command = [virpack, "predict", fasta, "-o", folder / "out", "--force", "--no-checkpoint", "--device", "cpu"]
    command += ["--log-format", "json", "--log-interval", "1"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    events = [json.loads(line) for line in said.splitlines()]
    summary = next(event for event in events if event["event"] == "summary")
    return [event for event in events if event["event"] == "progress"], summary["seconds"]["all"]


def main(virpack, data):
    data = pathlib.Path(data)
    million = 1_000_000
    mix = [("hpylori_G27.fasta.gz", million // 2), ("human_scaffolds_1Mb.fa.gz", million // 2), ("lambda_phage.fa.gz", million)]
    inputs = {
        "human scaffolds, few open frames": records(data / "human_scaffolds_1Mb.fa.gz", 2 * million),
        "H. pylori, one contig": records(data / "hpylori_G27.fasta.gz", million),
        "plant viruses": records(data / "plant_viruses.fasta.gz", million),
        "mix": "".join(records(data / name, most) for name, most in mix),
    }
    print("| input | run | told at 1/4: left, truth | 1/2 | 3/4 | longest silence |")
    print("| --- | --- | --- | --- | --- | --- |")
    worst = 1.0
    for name, text in inputs.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "input.fa").write_text(text)
            events, seconds = run(virpack, folder / "input.fa", folder)
        cells = []
        for share in [0.25, 0.5, 0.75]:
            event = min(events, key=lambda event: abs(event["seconds"] - share * seconds))
            truth, left = seconds - event["seconds"], event["seconds_left"]
            factor = max(left / truth, truth / left) if left and truth > 0 else float("inf")
            worst = max(worst, factor)
            cells.append(f"{left or float('nan'):.1f} s, {truth:.1f} s ({factor:.2f})")
        times = [0.0] + [event["seconds"] for event in events if event["chunks"]] + [seconds]
        silence = max(b - a for a, b in zip(times, times[1:]))
        print(f"| {name} | {seconds:.1f} s | {' | '.join(cells)} | {silence:.1f} s |", flush=True)
    print(f"worst factor: {worst:.2f}")
    return 0 if worst <= 2 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
