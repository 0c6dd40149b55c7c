"""The state of an actor: a plan, and its loaded model."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import ray

from virpack._embed import Embedder
from virpack._errors import Error, InputError
from virpack._plan import Part, Plan


class Place(NamedTuple):
    """Where an actor runs."""

    node: str
    host: str
    process: int


class EmbedPart:
    """Makes parts of a plan with a model that is loaded once.

    `embed` has one in each of its actors. It is also a class for Ray Data's ``map_batches``, with ``batch_size=1``
    and the rows of `part_rows`. A part with an invalid record is then returned as a row with an ``error``, and Ray
    Data decides what happens after any other failure.

    Parameters
    ----------
    directory
        The directory of the plan, as this machine sees it.
    name
        The plan's name; None: any plan in the directory.
    device, threads, device_timeout, token_budget, buffer_size, packing
        As those of `virpack.Plan.embedder`.
    """

    def __init__(self, directory: str, name: str | None = None, **options: Any) -> None:
        # Everything that may fail is in `open`, whose errors reach the driver unchanged.
        self.directory = directory
        self._name = name
        self._options = options
        self._opened: tuple[Plan, Embedder] | None = None

    def where(self) -> Place:
        """Where this process runs."""
        return Place(ray.get_runtime_context().get_node_id(), socket.gethostname(), os.getpid())

    def open(self) -> tuple[Plan, Embedder]:
        """Open the plan and load its model, if this is the first call."""
        if self._opened is None:
            plan = Plan(self.directory)
            if self._name not in (None, plan.name):
                raise InputError(
                    f"{self.directory} has another plan on {socket.gethostname()} than where the run was begun",
                    "keep the plan on a disk that all machines share, under one path",
                )
            _expect_inputs(plan.inputs)
            self._opened = plan, plan.embedder(**self._options)
        return self._opened

    def ready(self) -> str:
        """Load the model; the device that it is on, for people."""
        return self.open()[1].device

    def make(self, number: int) -> Part:
        """Make a part, unless it exists and is complete."""
        plan, embedder = self.open()
        return plan.embed(number, embedder)

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Make the parts of a batch of Ray Data: a row for each, with its ``error``, empty if there is none."""
        columns: dict[str, list[Any]] = {name: [] for name in ("part", "rows", "skipped", "tokens", "seconds", "sha256", "error")}
        for number in batch["part"]:
            try:
                part = self.make(int(number))
                row: tuple[Any, ...] = (part.rows, part.skipped, part.tokens, part.seconds, part.sha256, "")
            except InputError as error:
                row = (0, 0, 0, 0.0, "", str(error))
            for column, value in zip(columns.values(), (int(number), *row), strict=True):
                column.append(value)
        return {name: np.array(column) for name, column in columns.items()}


def _expect_inputs(inputs: list[str]) -> None:
    """Check that this machine sees the inputs. A machine that does not would quickly fail all parts that it gets."""
    # A missing disk has none of them.
    for path in {*inputs[:1], *inputs[-1:]}:
        if os.path.isabs(path) and not os.path.exists(path):
            raise InputError(
                f"{path}: the input is not there on {socket.gethostname()}",
                "keep the inputs on a disk that all machines share, under the paths that they were planned with",
            )


def is_final(error: BaseException) -> bool:
    """Whether a part that failed with this error would fail again, on any actor."""
    return isinstance(error, InputError)


def told(error: BaseException) -> tuple[str, str | None]:
    """The message of an error, and its hint."""
    if isinstance(error, Error):
        return error.message, error.hint
    return f"{type(error).__name__}: {error}", None
