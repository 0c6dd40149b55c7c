#!/usr/bin/env python3
"""How long a plan takes on 1 to 10,000 cards, where machines are slow, late and taken away: the tables of docs/howto/clusters.md.

    python3 dev/scale.py                 # both tables
    python3 dev/scale.py --dollars 2.5   # another price of a card for an hour

The first table is arithmetic: tokens by the rates that BENCHMARKS.md measured. The second is a simulation of parts on machines by a heap
of events, with seeds: machines of unlike speeds, one in a hundred at a tenth of the rate, and machines that are taken away after an
exponentially distributed time, with the part that they were making, and replaced. A pool gives the longest part that waits to the next
machine that is free, as `virpack.ray` does. An array gives each job every N-th part, as `--part I/N` does, and a job whose machine is taken
away is queued again. Nothing but Python's standard library is needed.
"""

from __future__ import annotations

import argparse
import heapq
import random
from dataclasses import dataclass

# Thousand tokens/s of one H200, proteins, float16 (BENCHMARKS.md; 8M from a file to a file), and values of a row.
MODELS = {
    "ESM-2 8M": (14_100, 320),
    "ESM-2 150M": (1_336, 640),
    "ESM-2 650M": (411.7, 1280),
    "ESM-2 3B": (105.6, 2560),
}
# Ten to this power sequences, cards, most tokens of a part.
CASES = (
    (8, 8, 50e6),
    (9, 8, 50e6),
    (9, 100, 50e6),
    (9, 1_000, 50e6),
    (9, 1_000, 10e6),
    (10, 1_000, 50e6),
    (10, 10_000, 50e6),
    (10, 10_000, 10e6),
)
# Of a sequence: 330 residues and two special tokens.
TOKENS = 332


@dataclass(frozen=True)
class World:
    """What machines do. Times in seconds."""

    rate: float  # tokens/s of a usual machine
    start: float = 120.0  # from the machine to the first part: image, model
    load: float = 60.0  # from one job to the next on a machine: model
    spread: float = 0.05  # of rates, the deviation of their logarithm
    slow: float = 0.0  # share of machines at a tenth of the rate
    lifetime: float = float("inf")  # mean until a machine is taken away
    replace: float = 300.0  # until there is another


@dataclass(frozen=True)
class Outcome:
    """Seconds until the last part is made; seconds of machines that were held, and that went into parts which were lost."""

    end: float
    used: float
    lost: float


def parts_of(tokens: float, most: float, chance: random.Random) -> list[float]:
    """Parts as `virpack plan` makes them: each ends before the record that would not fit."""
    parts = []
    while tokens > 0:
        parts.append(min(tokens, most - chance.random() * 2 * TOKENS))
        tokens -= parts[-1]
    return parts


class Pool:
    """The longest part that waits, to whichever machine is free."""

    def __init__(self, parts: list[float], _machines: int) -> None:
        self.waiting = [-part for part in parts]
        heapq.heapify(self.waiting)

    def take(self, _machine: int) -> tuple[float, bool] | None:
        """The next part of a machine, and whether a new job begins with it; None where none waits."""
        return (-heapq.heappop(self.waiting), False) if self.waiting else None

    def put_back(self, _machine: int, part: float) -> None:
        heapq.heappush(self.waiting, -part)


class Array:
    """Every N-th part to each job, `each` jobs for a machine, the next one to whichever machine is free."""

    each = 1

    def __init__(self, parts: list[float], machines: int) -> None:
        jobs = machines * self.each
        self.waiting = [parts[number::jobs] for number in range(jobs)]
        self.at: dict[int, list[float]] = {}

    def take(self, machine: int) -> tuple[float, bool] | None:
        begins = False
        while not self.at.get(machine):
            if not self.waiting:
                return None
            self.at[machine], begins = self.waiting.pop(), True
        return self.at[machine].pop(), begins

    def put_back(self, machine: int, part: float) -> None:
        # The job is queued again.
        self.waiting.append([*self.at.pop(machine), part])


class Arrays(Array):
    """Ten times as many jobs as machines."""

    each = 10


def simulate(parts: list[float], machines: int, world: World, share: type[Pool | Array], seed: int) -> Outcome:
    """Runs all parts; a machine without a part is let go, unless a part comes back."""
    chance = random.Random(seed)
    work = share(parts, machines)
    used = lost = end = 0.0
    left = len(parts)
    # When, the machine's number, and what happens.
    events: list[tuple[float, int, str]] = []
    rates, gone, begun = [0.0] * machines, [0.0] * machines, [0.0] * machines
    # The part in progress, 0 without one, and since when.
    making, since = [0.0] * machines, [0.0] * machines
    idle: set[int] = set()

    def begin(machine: int, now: float) -> None:
        rates[machine] = world.rate * chance.lognormvariate(0, world.spread) * (0.1 if chance.random() < world.slow else 1)
        gone[machine] = now + (chance.expovariate(1 / world.lifetime) if world.lifetime < float("inf") else 1e18)
        begun[machine] = now
        making[machine] = 0.0
        ready = now + world.start
        heapq.heappush(events, (min(ready, gone[machine]), machine, "ready" if ready <= gone[machine] else "gone"))

    def go_on(machine: int, now: float) -> None:
        nonlocal used
        taken = work.take(machine)
        if taken is None:
            used += now - begun[machine]
            idle.add(machine)
            return
        part, begins = taken
        # A machine's first job begins with it.
        late = world.load if begins and now - begun[machine] > world.start else 0.0
        making[machine], since[machine] = part, now
        done = now + late + part / rates[machine]
        heapq.heappush(events, (min(done, gone[machine]), machine, "done" if done <= gone[machine] else "gone"))

    for machine in range(machines):
        begin(machine, 0.0)
    while left:
        now, machine, what = heapq.heappop(events)
        if what == "begin":
            begin(machine, now)
        elif what == "gone":
            used += now - begun[machine]
            if making[machine]:
                lost += now - since[machine]
                work.put_back(machine, making[machine])
                making[machine] = 0.0
            # One that had nothing left to do, if there is one, and another machine.
            if idle:
                begin(idle.pop(), now)
            heapq.heappush(events, (now + world.replace, machine, "begin"))
        else:
            if what == "done":
                making[machine], left, end = 0.0, left - 1, now
            go_on(machine, now)
    return Outcome(end, used, lost)


def sizing(dollars: float, terabyte: float) -> None:
    print("| model | sequences | tokens | card-days | cards for a day | dollars | rows in float16 | dollars a month |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for model, (rate, hidden) in MODELS.items():
        for power in (8, 9, 10):
            tokens = TOKENS * 10**power
            days = tokens / (rate * 1000) / 86_400
            storage = 10**power * hidden * 2 / 1e12
            print(
                f"| {model} | 10^{power} | {tokens:.2g} | {shown(days)} | {max(1, -int(-days // 1)):,} | {shown(days * 24 * dollars)} "
                f"| {shown(storage)} TB | {shown(storage * terabyte)} |"
            )


def shown(number: float) -> str:
    """Two digits, or all before the point."""
    if number >= 10:
        digits = len(str(int(number))) - 2
        return f"{round(number, -digits):,.0f}"
    return f"{number:.2g}"


def time_of(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def scaling(lifetime: float) -> None:
    rate = MODELS["ESM-2 650M"][0] * 1000
    calm = World(rate)
    slow = World(rate, slow=0.01)
    spot = World(rate, slow=0.01, lifetime=lifetime * 3600)
    print("| sequences | cards | part | parts | ideal | pool, calm | pool, slow | pool, slow, taken away | lost | array, the same | 10 x array |")
    print("| --- " * 11 + "|")
    for power, cards, most in CASES:
        tokens = float(TOKENS * 10**power)
        parts = parts_of(tokens, most, random.Random(power))
        ideal = tokens / rate / cards
        runs = [simulate(parts, cards, world, Pool, seed=1) for world in (calm, slow, spot)]
        arrays = [simulate(parts, cards, spot, share, seed=1) for share in (Array, Arrays)]
        lost = 100 * runs[2].lost / runs[2].used
        cells = [time_of(run.end) for run in [*runs, *arrays]]
        print(
            f"| 10^{power} | {cards:,} | {most / 1e6:.0f} M | {len(parts):,} | {time_of(ideal)} | {cells[0]} | {cells[1]} | {cells[2]} "
            f"| {lost:.1f} % | {cells[3]} | {cells[4]} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dollars", type=float, default=3.0, help="of a card for an hour [default: 3]")
    parser.add_argument("--terabyte", type=float, default=23.0, help="dollars of 1 TB for a month [default: 23]")
    parser.add_argument("--lifetime", type=float, default=6.0, help="hours until a machine is taken away, on average [default: 6]")
    arguments = parser.parse_args()
    sizing(arguments.dollars, arguments.terabyte)
    print()
    scaling(arguments.lifetime)


if __name__ == "__main__":
    main()
