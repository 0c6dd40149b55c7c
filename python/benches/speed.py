"""Packing and loading, against virnucpro's own code in the same run.

    python python/benches/speed.py --original VIRNUCPRO_BROAD

VIRNUCPRO_BROAD is a checkout of github.com/broadinstitute/virnucpro-broad; it needs `pip install fair-esm biopython`. Without it
only virpack is measured. Install virpack as a release build first. Each number is the best of several runs.

Workload: 5 M lengths, and proteins with the lengths of UniProt's Swiss-Prot (log-normal, median 290), of at most 1,022 residues. Both
sides read the same FASTA file, tokenize for ESM-2 and pack into 4,096 tokens by a buffer of 2,000 records.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import virpack
import virpack.torch as vt

RESIDUES = np.frombuffer(b"LAGVSERTIDPKQNFYMHWC", dtype=np.uint8)
BUDGET, LONGEST = 4096, 1022


def best(work: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def lengths_of(count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    lengths = np.random.default_rng(1).lognormal(np.log(290), 0.6, count)
    return np.clip(lengths, 20, LONGEST).astype(np.uint32)


def records_of(count: int) -> list[dict[str, str]]:
    random = np.random.default_rng(2)
    return [
        {"id": f"protein_{place}", "sequence": random.choice(RESIDUES, length).tobytes().decode()}
        for place, length in enumerate(lengths_of(count).tolist())
    ]


def while_others_run(work: Callable[[], Any]) -> tuple[float, int]:
    """The best time of some work, and what a Python thread counted meanwhile."""
    done, count = threading.Event(), 0

    def other() -> None:
        nonlocal count
        while not done.is_set():
            count += 1

    thread = threading.Thread(target=other)
    thread.start()
    seconds = best(work, 5)
    done.set()
    thread.join()
    return seconds, count


def consume(batches: Iterable[dict[str, Any]]) -> int:
    return sum(len(batch["input_ids"]) for batch in batches if batch)


def measure_lengths() -> None:
    lengths = lengths_of(5_000_000) + 2
    seconds, count = while_others_run(lambda: virpack.pack_lengths(lengths, BUDGET))
    rate = len(lengths) / seconds / 1e6
    print(f"pack_lengths                  {rate:8.1f} M lengths/s, while another thread counted to {count:,}")


def measure_packer(original: Any) -> None:
    for count in (2_000, 50_000):
        records = records_of(count)
        ours = best(lambda: virpack.GreedyPacker(BUDGET).pack_sequences(records), 20)
        line = f"GreedyPacker, {count:6,} records {count / ours / 1e6:8.2f} M records/s"
        if original:
            theirs = best(lambda: original.GreedyPacker(BUDGET).pack_sequences(records), 10)
            line += f", {theirs / ours:.1f} x virnucpro's"
        print(line)


def measure_batches(original: Any, folder: Path) -> None:
    path = folder / "proteins.fasta"
    path.write_text("".join(f">{record['id']}\n{record['sequence']}\n" for record in records_of(10_000)))
    tokens = consume(vt.PackedDataset(path))
    ours = best(lambda: consume(vt.PackedDataset(path)), 3)
    line = f"batches of FASTA, tokenized   {tokens / ours / 1e6:8.1f} M tokens/s"
    if original:
        theirs = best(lambda: consume(of_virnucpro(original, path)), 1)
        line += f", {theirs / ours:.1f} x virnucpro's collator"
    print(line)


def of_virnucpro(original: Any, path: Path) -> Iterable[dict[str, Any]]:
    """Batches as virnucpro makes them: Biopython, fair-esm's batch converter, its collator."""
    import esm  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from Bio import SeqIO  # type: ignore[import-not-found,import-untyped,unused-ignore]

    converter = esm.Alphabet.from_architecture("ESM-1b").get_batch_converter()
    collator = original.VarlenCollator(converter, max_tokens_per_batch=BUDGET)
    for record in SeqIO.parse(path, "fasta"):  # type: ignore[no-untyped-call,unused-ignore]
        yield collator({"id": record.id, "sequence": str(record.seq)[:1024], "file": path.name})
    yield from collator.flush()


def original_at(folder: Path | None) -> Any:
    """virnucpro's packer and collator, without the rest of its package."""
    if folder is None:
        return None
    import importlib
    import types

    for name in ("virnucpro", "virnucpro.data"):
        module = types.ModuleType(name)
        module.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = module
    packing = importlib.import_module("virnucpro.data.packing")
    collators = importlib.import_module("virnucpro.data.collators")
    return types.SimpleNamespace(GreedyPacker=packing.GreedyPacker, VarlenCollator=collators.VarlenCollator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--original", type=Path, metavar="VIRNUCPRO_BROAD")
    original = original_at(parser.parse_args().original)
    logging.disable(logging.CRITICAL)
    print(f"virpack {virpack.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    measure_lengths()
    measure_packer(original)
    with tempfile.TemporaryDirectory() as folder:
        measure_batches(original, Path(folder))


if __name__ == "__main__":
    main()
