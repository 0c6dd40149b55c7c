#!/usr/bin/env python3
"""Kills `virpack embed` on a card in the middle, resumes it, and compares with an undisturbed run: other neighbours in each batch.

    python3 dev/killed.py --virpack PATH --scratch DIR [--device cuda] MODEL[:RECORDS[:DTYPE,...]] ...

MODEL is a directory of weights, or a size (8M to 3B) whose random weights `random_models.py` makes in the scratch directory.
RECORDS records of 1 to 1,022 residues are embedded to an .npy file; the process gets SIGKILL when a third of the checkpoint
is written, and `--resume` finishes it. Prints a line a model and precision, and ends with 1 where a bit differs or nothing was
left to resume. Needs numpy, and torch and transformers where a size is given.
"""
import argparse, os, shutil, signal, subprocess, sys, time
from pathlib import Path
import numpy as np

PARTS = 30


def made_up(path, count):
    """Records of residues drawn by a fixed rule."""
    rng = np.random.default_rng(5)
    letters = np.frombuffer(b"LAGVSERTIDPKQNFYMHWC", np.uint8)
    with open(path, "wb") as out:
        for i in range(count):
            residues = letters[rng.integers(0, 20, [1, 1022][i] if i < 2 else rng.integers(1, 1023))]
            out.write(b">%d\n%s\n" % (i, residues.tobytes()))


def differing(first, second):
    """Rows and bits that differ."""
    a, b = (np.load(path, mmap_mode="r") for path in (first, second))
    if a.shape != b.shape:
        sys.exit(f"killed: {first} has {a.shape}, {second} {b.shape}")
    apart = np.bitwise_xor(a.view(np.uint32), b.view(np.uint32))
    return int(apart.any(axis=1).sum()), int(np.unpackbits(apart[apart != 0].view(np.uint8)).sum())


def check(o, name, directory, records, dtype):
    """Whether a killed and resumed run gives the bits of an undisturbed one."""
    fasta, whole, killed = (o.scratch / f"killed_{what}" for what in ("records.fasta", "whole.npy", "again.npy"))
    made_up(fasta, records)
    partial = Path(f"{killed}.partial")
    for path in o.scratch.glob("killed_*.npy*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    command = [o.virpack, "embed", fasta, "--model", directory, "--device", o.device, "--dtype", dtype, "-q", "--force",
               "--checkpoint-records", str(max(records // PARTS, 1)), "-o"]
    begun = time.monotonic()
    subprocess.run([*command, whole], check=True, timeout=o.timeout)
    seconds = time.monotonic() - begun
    process = subprocess.Popen([*command, killed])
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < o.timeout:
        if partial.is_dir() and sum(1 for _ in partial.iterdir()) > PARTS // 3:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if killed.exists() or not partial.is_dir():
        print(f"{name} {dtype}: the run was over before it was killed; give it more than {records} records")
        return False
    parts = sum(1 for _ in partial.iterdir())
    resumed = [word for word in command if word != "--force"]
    subprocess.run([*resumed, killed, "--resume"], check=True, timeout=o.timeout)
    rows, bits = differing(whole, killed)
    print(f"{name} {dtype}: {records} records in {seconds:.1f} s; killed with {parts} files kept, resumed: {rows} rows differ, "
          f"{bits} bits", flush=True)
    return rows == 0


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--virpack", required=True); a.add_argument("--scratch", type=Path, required=True)
    a.add_argument("--device", default="cuda"); a.add_argument("--timeout", type=float, default=120)
    a.add_argument("models", nargs="+")
    o = a.parse_args()
    o.scratch.mkdir(parents=True, exist_ok=True)
    same = True
    for spec in o.models:
        name, records, dtypes = (spec.split(":") + ["2000", "f16"][spec.count(":"):])[:3]
        directory = name
        if not os.path.isdir(name):
            import random_models
            directory = random_models.esm2(name, str(o.scratch))
        for dtype in dtypes.split(","):
            same = check(o, name, directory, int(records), dtype) and same
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
