"""Reports of runs: to the logger ``virpack``, and to a callback of the caller."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("virpack")


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes
    ----------
    records : int
        Finished records.
    tokens : int
        Tokens computed, special tokens included.
    chunks : int or None
        Chunks judged, in `predict`.
    bytes : int
        Bytes read.
    total_bytes : int or None
        Bytes of all inputs, if they are files.
    done : float or None
        The finished share of the work, from 0 to 1, if the inputs are files.
    """

    records: int
    tokens: int
    chunks: int | None
    bytes: int
    total_bytes: int | None
    done: float | None


ProgressCallback = Callable[[Progress], object]


def warn(remarks: Iterable[str]) -> None:
    """Warns about what a reader passed over, and about unusual records."""
    for remark in remarks:
        logger.warning("%s", remark)


def hook(progress: ProgressCallback | None) -> Callable[[str, Any], None]:
    """The hook that the engine calls in the caller's thread; an exception of `progress` ends the run."""

    def tell(kind: str, what: Any) -> None:
        if kind != "progress":
            logger.log(logging.WARNING if kind == "warning" else logging.INFO, what)
        elif progress is not None:
            progress(Progress(**what))

    return tell
