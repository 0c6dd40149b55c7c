"""``dev/scale.py``, which docs/howto/clusters.md takes its times from, where the result is known."""

from __future__ import annotations

import random
import runpy
from pathlib import Path

import pytest

SCALE = runpy.run_path(str(Path(__file__).parents[2] / "dev" / "scale.py"), run_name="scale")
# Its classes are those of that run.
World, Pool, Array, Arrays, simulate, parts_of = (
    SCALE[name] for name in ("World", "Pool", "Array", "Arrays", "simulate", "parts_of")
)
STILL = {"start": 0.0, "load": 0.0, "spread": 0.0}


@pytest.mark.parametrize("share", [Pool, Array, Arrays])
def test_like_machines_take_the_ideal_time(share: type) -> None:
    outcome = simulate([10.0] * 400, 20, World(2.0, **STILL), share, 1)
    assert (outcome.end, outcome.used, outcome.lost) == (100.0, 2000.0, 0.0)


def test_parts_are_all_tokens_and_within_their_size() -> None:
    parts = parts_of(1e6, 10_000, random.Random(1))
    assert sum(parts) == pytest.approx(1e6) and max(parts) <= 10_000


def test_an_array_waits_for_its_slowest_share_and_a_pool_for_one_part() -> None:
    # Half of the machines have a tenth of the rate: two fast ones make 20 parts while two slow ones make 2.
    world = World(1.0, slow=0.5, **STILL)
    seed = next(seed for seed in range(100) if _slow(seed, 4) == 2)
    assert simulate([1.0] * 44, 4, world, Array, seed).end == pytest.approx(110.0)
    assert simulate([1.0] * 44, 4, world, Pool, seed).end == pytest.approx(20.0)


def _slow(seed: int, machines: int) -> int:
    """The number of slow machines, as `simulate` draws them."""
    chance = random.Random(seed)
    return sum(bool((chance.lognormvariate(0, 0.0), chance.random() < 0.5)[1]) for _ in range(machines))


@pytest.mark.parametrize("share", [Pool, Array, Arrays])
def test_machines_that_are_taken_away_lose_their_part_only(share: type) -> None:
    world = World(1.0, lifetime=50.0, replace=5.0, **STILL)
    outcome = simulate([10.0] * 200, 10, world, share, 3)
    # 2,000 seconds of work; a machine loses half a part in 50 seconds on average.
    assert outcome.end > 200 and 0 < outcome.lost < 400
    assert outcome.used >= 2000 + outcome.lost - 10 * 10
