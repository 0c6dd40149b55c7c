"""Actors of `virpack.ray` with a card each, as many as there are, beside one: rate, busy cards, the same bytes.

    python dev/random_models.py /dev/shm/cards 650M orf:190000
    python python/benches/ray_cards.py /dev/shm/cards/random_650M /dev/shm/cards/orf.fasta --directory /dev/shm/cards/plan

The plan has two parts for each card. All actors make it; then one actor makes two of the parts again. The time is that from the
beginning of the first part to the end of the last, without loading models. Run it twice: the first time compiles kernels.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import threading
import time
from pathlib import Path

import ray

import virpack
import virpack.ray


class Busy:
    """What `nvidia-smi` says of each card, five times a second."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int, float]] = []
        query = ["nvidia-smi", "--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        self._process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or []:
            card, percent = line.split(",")
            self.samples.append((time.time(), int(card), float(percent)))

    def between(self, begin: float, end: float) -> dict[int, float]:
        """The mean of each card, in percent."""
        cards: dict[int, list[float]] = {}
        for at, card, percent in self.samples:
            if begin < at < end:
                cards.setdefault(card, []).append(percent)
        return {card: sum(all_) / len(all_) for card, all_ in cards.items()}

    def stop(self) -> None:
        self._process.kill()


def run(plan: Path, actors: int, busy: Busy) -> float:
    """Makes the missing parts, and returns tokens/s."""
    made: list[tuple[float, virpack.Part]] = []
    virpack.ray.embed(plan, concurrency=actors, num_gpus=1, on_part=lambda part: made.append((time.time(), part)))
    begin, end = min(at - part.seconds for at, part in made), max(at for at, _ in made)
    rate = sum(part.tokens for _, part in made) / (end - begin)
    shares = ", ".join(f"card {card} {percent:.1f} %" for card, percent in busy.between(begin + 0.5, end - 0.5).items())
    print(f"{actors} actors: {len(made)} parts in {end - begin:.1f} s, {rate:,.0f} tokens/s, busy: {shares}", flush=True)
    return rate


def hashes(plan: Path) -> dict[str, str]:
    return {part.name: hashlib.sha256(part.read_bytes()).hexdigest() for part in plan.glob("part-*.parquet")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("--directory", type=Path, required=True, help="of the plan, which is made")
    parser.add_argument("--part-tokens", type=int, default=8_000_000)
    arguments = parser.parse_args()
    ray.init(include_dashboard=False, object_store_memory=200_000_000)
    cards = int(ray.cluster_resources()["GPU"])
    plan = virpack.plan(arguments.input, arguments.directory, arguments.model, part_tokens=arguments.part_tokens)
    if len(plan.parts) != 2 * cards:
        raise SystemExit(f"{len(plan.parts)} parts for {cards} cards: the input has another size than this needs")
    busy = Busy()
    every = run(arguments.directory, cards, busy)
    before = hashes(arguments.directory)
    for number in (1, 2):
        (arguments.directory / f"part-{number:06}.parquet").unlink()
        (arguments.directory / "_parts" / f"{number:06}.json").unlink()
    one = run(arguments.directory, 1, busy)
    busy.stop()
    print(f"{every / one:.2f} x; the same bytes: {hashes(arguments.directory) == before}")


if __name__ == "__main__":
    main()
