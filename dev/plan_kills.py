#!/usr/bin/env python3
"""Kills jobs that make the parts of a plan, at random moments, and compares the parts with those of an undisturbed run.

    python3 dev/plan_kills.py INPUT [--model NAME] [--part-tokens N] [--kills 100] [--jobs 2] [--virpack PATH]

Two or more jobs run at once over the same parts. Each is killed by SIGKILL after a random time, and another starts. Between
kills, files of finished parts are removed at random, so that something is always missing. At the end all parts are made and
committed, and their SHA-256 compared. Nothing but Python's standard library is needed.
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def hashes(plan: Path) -> dict[str, str]:
    return {part.name: hashlib.sha256(part.read_bytes()).hexdigest() for part in plan.glob("part-*.parquet")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--model", default="virpack-mini")
    parser.add_argument("--part-tokens", default="20000")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most-seconds", type=float, default=3.0, help="the longest that a job lives")
    parser.add_argument("--virpack", default="virpack")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    folder = Path(tempfile.mkdtemp(prefix="virpack-kills-"))
    plan = folder / "plan"

    def virpack(*words: str) -> None:
        subprocess.run([arguments.virpack, *words], check=True, stderr=subprocess.DEVNULL)

    def make(*words: str) -> list[str]:
        return [arguments.virpack, "embed", "--plan", str(plan), "--device", "cpu", "-q", *words]

    virpack("plan", arguments.input, "-o", str(plan), "--model", arguments.model, "--part-tokens", arguments.part_tokens)
    begun = time.monotonic()
    subprocess.run(make(), check=True)
    undisturbed = hashes(plan)
    print(f"{len(undisturbed)} parts in {time.monotonic() - begun:.1f} s, undisturbed")
    for part in list(plan.glob("part-*")) + list((plan / "_parts").iterdir()):
        part.unlink()

    kills = ended = 0
    jobs: list[tuple[subprocess.Popen, float]] = []
    while kills < arguments.kills:
        while len(jobs) < arguments.jobs:
            share = chance.choice([(), ("--part", f"1/{arguments.jobs}"), ("--part", f"{arguments.jobs}/{arguments.jobs}")])
            until = time.monotonic() + chance.uniform(0, arguments.most_seconds)
            jobs.append((subprocess.Popen(make("--threads", "1", *share), stderr=subprocess.DEVNULL), until))
        time.sleep(0.002)
        for job, until in list(jobs):
            if job.poll() is None and time.monotonic() < until:
                continue
            if job.poll() is None:
                job.kill()
                kills += 1
            elif job.returncode != 0:
                print(f"a job ended with {job.returncode}")
                return 1
            else:
                ended += 1
            job.wait()
            jobs.remove((job, until))
            made = sorted(plan.glob("part-*")) + sorted((plan / "_parts").glob("[0-9]*"))
            for file in made if len(made) > len(undisturbed) else []:
                if chance.random() < 0.1:
                    file.unlink(missing_ok=True)
    for job, _ in jobs:
        job.kill()
        job.wait()
    left = sum(name.startswith(".") for _, _, names in os.walk(plan) for name in names)
    subprocess.run(make(), check=True)
    virpack("commit", str(plan))
    same = hashes(plan) == undisturbed
    still = sum(name.startswith(".") for _, _, names in os.walk(plan) for name in names)
    print(f"{kills} kills, {ended} jobs that ended: {'the same bytes' if same else 'OTHER BYTES'} in all parts; "
          f"{left} temporary files before the commit, {still} behind it")
    shutil.rmtree(folder)
    return 0 if same and still == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
