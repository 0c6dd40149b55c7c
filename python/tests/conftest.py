"""Functions that several test files use."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

# A background job may make the tests, and every process that they start, ignore SIGINT: tests of Ctrl-C would wait
# forever.
signal.signal(signal.SIGINT, signal.default_int_handler)

RESIDUES = "LAGVSERTIDPKQNFYMHWC"


@pytest.fixture
def fasta(tmp_path: Path) -> Callable[..., Path]:
    """Writes a FASTA file of random proteins of these lengths; ids are `p0`, `p1`, …"""

    def write(lengths: list[int], name: str = "proteins.fasta", seed: int = 7) -> Path:
        letters = random.Random(seed)
        path = tmp_path / name
        with path.open("w") as out:
            for place, length in enumerate(lengths):
                out.write(f">p{place} of {length}\n{''.join(letters.choices(RESIDUES, k=length))}\n")
        return path

    return write


def records(lengths: list[int]) -> list[dict[str, str]]:
    """Records of these lengths, in the form of virnucpro's collator."""
    return [{"id": f"p{place}", "sequence": "M" * length} for place, length in enumerate(lengths)]
