"""The parts of a plan on a Dask cluster: each worker keeps the model loaded.

    python examples/clusters/dask/embed.py PLAN [ADDRESS]

ADDRESS is that of a scheduler whose workers have one thread each (`dask worker --nthreads 1`) and see PLAN; without one, two workers are
started here. A worker that is lost is replaced by Dask, and its part is made again; a part that fails is listed at the end.
"""

from __future__ import annotations

import os
import sys

from dask.distributed import Client, Worker, WorkerPlugin, as_completed, get_worker

import virpack


class Warm(WorkerPlugin):
    """The plan and its model, which each worker opens as it joins, and keeps."""

    name = "virpack"

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def setup(self, worker: Worker) -> None:
        self.plan = virpack.Plan(self.directory)
        self.embedder = self.plan.embedder()


def make(number: int) -> virpack.Part:
    """Makes a part, on a worker."""
    warm: Warm = get_worker().plugins["virpack"]
    return warm.plan.embed(number, warm.embedder)


def main() -> int:
    directory = os.path.abspath(sys.argv[1])
    plan = virpack.Plan(directory)
    missing = set(plan.missing())
    parts = [part for part in plan.parts if part.number in missing]
    here = {} if sys.argv[2:] else {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with Client(*sys.argv[2:3], **here) as client:
        client.register_plugin(Warm(directory))
        # The longest first.
        futures = {client.submit(make, part.number, priority=part.tokens, pure=False): part.number for part in parts}
        failed = 0
        for future in as_completed(futures):
            error = future.exception()
            if error is not None:
                failed += 1
                print(f"part {futures[future]} failed: {error}", file=sys.stderr)
    print(f"{len(parts) - failed} of {len(plan.parts)} parts made, {len(plan.parts) - len(parts)} were there, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
