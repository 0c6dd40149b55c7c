#!/usr/bin/env python3
"""Kills actors and drivers of `virpack.ray` at random moments, and compares the parts with those of one undisturbed process.

    python3 dev/ray_kills.py INPUT [--model NAME] [--part-tokens N] [--kills 100] [--seed N]

A Ray cluster of this machine runs a driver that makes all parts of a plan. Its actors are killed by SIGKILL after random times, and one time in
ten the driver is, after which another begins. While nothing runs, files of finished parts are removed at random, so that something is
always missing. Finally all parts are made and committed, and their SHA-256 compared. Needs Ray and virpack's Python package.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster  # noqa: E402

import virpack  # noqa: E402

# Actors may be killed as often as it happens.
DRIVER = "import sys, ray, virpack.ray as v; ray.init(address=sys.argv[1], log_to_driver=False); v.embed(sys.argv[2], num_gpus=0, concurrency=2, tries=1000)"


def hashes(plan: virpack.Plan) -> dict[str, str]:
    return {part.name: hashlib.sha256(part.read_bytes()).hexdigest() for part in Path(plan.directory).glob("part-*.parquet")}


def actors(ancestor: int) -> list[int]:
    """Processes of actors among the descendants of a process: not those of another cluster."""
    parents: dict[int, int] = {}
    titles: dict[int, bytes] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(process.name)] = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue

    def descends(process: int) -> bool:
        while process in parents and process != ancestor:
            process = parents[process]
        return process == ancestor

    return [process for process, title in titles.items() if title.startswith(b"ray::EmbedPart") and descends(process)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--model", default="virpack-mini/peptide")
    parser.add_argument("--part-tokens", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--most-seconds", type=float, default=1.0, help="the longest between two kills")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    folder = Path(tempfile.mkdtemp(prefix="virpack-kills-"))
    plan = virpack.plan(arguments.input, folder / "plan", arguments.model, part_tokens=arguments.part_tokens)
    with plan.embedder(device="cpu", threads=1) as embedder:
        for number in plan.missing():
            plan.embed(number, embedder)
    undisturbed = hashes(plan)
    print(f"{len(undisturbed)} parts, undisturbed")
    for part in [*folder.glob("plan/part-*"), *folder.glob("plan/_parts/*")]:
        part.unlink()

    node = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    raylet = cluster.head_node.all_processes["raylet"][0].process.pid
    drivers = killed_drivers = killed_actors = ended = 0
    driver: subprocess.Popen[bytes] | None = None
    while killed_actors + killed_drivers < arguments.kills:
        if driver is None or driver.poll() is not None:
            if driver is not None:
                if driver.returncode not in (0, -signal.SIGKILL):
                    print(f"a driver ended with {driver.returncode}")
                    return 1
                ended += driver.returncode == 0
            for file in [*folder.glob("plan/part-*"), *folder.glob("plan/_parts/[0-9]*")] if not plan.missing() else []:
                if chance.random() < 0.4:
                    file.unlink()
            driver = subprocess.Popen([sys.executable, "-c", DRIVER, cluster.address, plan.directory], stderr=subprocess.DEVNULL)
            drivers += 1
        time.sleep(chance.uniform(0, arguments.most_seconds))
        there = actors(raylet)
        if there and chance.random() < 0.1:
            driver.kill()
            driver.wait()
            killed_drivers += 1
        elif there:
            os.kill(chance.choice(there), signal.SIGKILL)
            killed_actors += 1
    assert driver is not None
    failed = driver.wait() != 0 and driver.returncode != -signal.SIGKILL
    left = sum(name.startswith(".") for _, _, names in os.walk(plan.directory) for name in names)
    subprocess.run([sys.executable, "-c", DRIVER, cluster.address, plan.directory], stderr=subprocess.DEVNULL, check=True)
    cluster.shutdown()
    committed = plan.commit()
    same = hashes(plan) == undisturbed and committed.rows == plan.records
    print(
        f"{killed_actors} actors and {killed_drivers} drivers of {drivers + 1} killed, {ended} ended by themselves: "
        f"{'the same bytes' if same else 'OTHER BYTES'} in all parts; {left} temporary files before the commit, "
        f"{left - committed.removed} behind it"
    )
    shutil.rmtree(folder)
    return 0 if same and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
