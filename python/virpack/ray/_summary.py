"""The results of a run over the parts of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virpack._errors import Error

# The most failed parts that a message lists.
_LISTED = 10


@dataclass(frozen=True)
class FailedPart:
    """A part that could not be made.

    Attributes
    ----------
    number : int
        From 1.
    tries : int
        How often it was started.
    reason : str
        What happened the last time, with the record and its line if one is invalid.
    hint : str or None
        What to do about it.
    host : str
        The machine of the last try.
    """

    number: int
    tries: int
    reason: str
    hint: str | None
    host: str


@dataclass(frozen=True)
class Summary:
    """The results of a run over the parts of a plan.

    Attributes
    ----------
    parts : int
        The parts of the plan.
    there : int
        Those that existed when the run began.
    made : int
        Those that this run made.
    rows, skipped, tokens : int
        For the parts made: records with an embedding, records without, tokens computed.
    begun_again : int
        How often a part was started again, because its actor or node was lost, did not answer in time, or failed.
    seconds : float
    failed : list of FailedPart
        Ordered by their numbers.
    """

    parts: int
    there: int
    made: int
    rows: int
    skipped: int
    tokens: int
    begun_again: int
    seconds: float
    failed: list[FailedPart]

    def __str__(self) -> str:
        there = f", {self.there:,} were there" if self.there else ""
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        again = f", {self.begun_again:,} begun again" if self.begun_again else ""
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        rate = self.tokens / max(self.seconds, 1e-9)
        return (
            f"{self.made:,} of {self.parts:,} parts made{there}{failed}: {self.rows:,} rows{skipped}, {self.tokens:,} tokens "
            f"in {self.seconds:.1f} s ({rate:,.0f} tokens/s){again}"
        )


class PartsFailed(Error):
    """Parts that could not be made, after all others were.

    Attributes
    ----------
    summary : Summary
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None, **facts: Any) -> None:
        super().__init__(message, hint, **facts)

    @classmethod
    def of(cls, summary: Summary) -> PartsFailed:
        lines = [f"\n  part {part.number} on {part.host}: {_indented(part.reason)}" for part in summary.failed[:_LISTED]]
        if len(summary.failed) > _LISTED:
            lines.append(f"\n  and {len(summary.failed) - _LISTED} more")
        message = f"{len(summary.failed):,} of {summary.parts:,} parts could not be made:{''.join(lines)}"
        hint = next((part.hint for part in summary.failed if part.hint), None)
        again = "the next run makes only what is missing"
        return cls(message, f"{hint}; {again}" if hint else again, summary=summary)


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n    ")
