"""What a run reports: to the logger ``virpack``, and to a callback of the caller."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("virpack")


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    records : int
        Records that are done.
    tokens : int
        Tokens computed, special tokens included.
    chunks : int or None
        Chunks judged, in `predict`.
    bytes : int
        Bytes read.
    total_bytes : int or None
        Bytes of all inputs, where they are files.
    done : float or None
        The share of the work that is done, from 0 to 1, where the inputs are files.
    """

    records: int
    tokens: int
    chunks: int | None
    bytes: int
    total_bytes: int | None
    done: float | None


ProgressCallback = Callable[[Progress], object]


def warn(remarks: Iterable[str]) -> None:
    """Warns of what a reader passed over."""
    for remark in remarks:
        logger.warning("%s", remark)


def hook(progress: ProgressCallback | None) -> Callable[[str, Any], None]:
    """What the engine calls in the caller's thread; what `progress` raises ends the run."""

    def tell(kind: str, what: Any) -> None:
        if kind != "progress":
            logger.log(logging.WARNING if kind == "warning" else logging.INFO, what)
        elif progress is not None:
            progress(Progress(**what))

    return tell
