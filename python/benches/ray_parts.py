"""What a part costs the driver of ``virpack.ray``: thousands of parts by actors that do nothing.

    python python/benches/ray_parts.py [PARTS]

Prints parts a second, and CPU time of the driver for each.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray  # noqa: E402

import virpack.ray  # noqa: E402

TINY = Path(__file__).parents[2] / "examples" / "esm2_tiny"


class Nothing(virpack.ray.EmbedPart):
    """Loads no model, and says that each part is made."""

    def ready(self) -> str:
        return "nothing"

    def make(self, number: int) -> virpack.Part:
        return virpack.Part(number, "nowhere", False, 1, 1, 0, 22, "0" * 64, 0.0)


def main(parts: int) -> None:
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False, logging_level="error")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "proteins.fasta")
        path.write_text("".join(f">p{number}\n{'MKTLLVAGST' * 2}\n" for number in range(parts)))
        plan = virpack.plan(path, Path(folder, "plan"), TINY, part_tokens=25)
        cpu = time.process_time()
        summary = virpack.ray.embed(plan, concurrency=2, num_gpus=0, worker=Nothing)
        cpu = time.process_time() - cpu
    assert summary.made == parts
    print(
        f"{parts:,} parts in {summary.seconds:.1f} s: {parts / summary.seconds:,.0f} parts/s, {1000 * cpu / parts:.2f} ms of the driver each"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
