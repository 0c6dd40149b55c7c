"""Which records a process reads, so that all processes together read each record once."""

from __future__ import annotations

import torch.distributed
from torch.utils.data import get_worker_info

Shard = tuple[int, int]


def rank_shard() -> Shard:
    """Rank and number of ranks of torch.distributed; ``(0, 1)`` if it is not running."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def within(outer: Shard, inner: Shard) -> Shard:
    """The shard ``inner`` of the records in the shard ``outer``."""
    (i, n), (j, m) = outer, inner
    return i + n * j, n * m


class Sharded:
    """A dataset's facts about its own process, which are kept when the dataset is sent to a worker."""

    def __init__(self, shard: Shard | None) -> None:
        self._given = shard or (0, 1)
        self._rank: Shard | None = None

    def shard(self) -> Shard:
        """The records of this process: of the given shard, of the rank, of the worker."""
        worker = get_worker_info()
        workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return within(within(self._given, self._rank or rank_shard()), workers)

    def __getstate__(self) -> dict[str, object]:
        # A worker that is spawned does not belong to the process group.
        return {**self.__dict__, "_rank": self._rank or rank_shard()}
