"""Packs lengths into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from virpack import _virpack
from virpack._errors import InputError

_ALGORITHMS = {
    "best-fit-decreasing": "bfd",
    "first-fit-decreasing": "ffd",
    "next-fit-decreasing": "nfd",
    "next-fit": "nf",
}


class Packing(Sequence[npt.NDArray[np.uint32]]):
    """Which lengths share a batch: a sequence of arrays of positions, one for each batch.

    Attributes
    ----------
    order : uint32 array [n]
        All positions, batch by batch.
    starts : uint32 array [batches + 1]
        The start of each batch in ``order``, from 0.
    token_budget : int
        Most tokens in a batch.
    tokens : int
        Tokens in all batches.
    """

    __slots__ = ("order", "starts", "token_budget", "tokens")

    def __init__(
        self,
        order: npt.NDArray[np.uint32],
        starts: npt.NDArray[np.uint32],
        token_budget: int,
        tokens: int,
    ) -> None:
        self.order = order
        self.starts = starts
        self.token_budget = token_budget
        self.tokens = tokens

    @property
    def efficiency(self) -> float:
        """Tokens as a share of what the batches can hold, from 0 to 1; 1 if there is no batch."""
        return self.tokens / (len(self) * self.token_budget) if len(self) else 1.0

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.uint32]: ...
    @overload
    def __getitem__(self, index: slice) -> list[npt.NDArray[np.uint32]]: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[np.uint32] | list[npt.NDArray[np.uint32]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        index %= len(self)
        return self.order[self.starts[index] : self.starts[index + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.uint32]]:
        starts = self.starts.tolist()
        for start, end in zip(starts, starts[1:]):
            yield self.order[start:end]

    def __repr__(self) -> str:
        return f"Packing({len(self.order)} sequences in {len(self)} batches, {100 * self.efficiency:.1f} % full)"


def pack_lengths(
    lengths: npt.ArrayLike,
    token_budget: int = 4096,
    *,
    algorithm: str = "best-fit-decreasing",
    max_sequences: int | None = None,
) -> Packing:
    """Pack sequences of known lengths into batches under a token budget.

    Other threads keep running. The same lengths always give the same batches.

    Parameters
    ----------
    lengths : array of integers [n]
        Tokens of each sequence, special tokens included. A ``uint32`` array is read without a copy.
    token_budget
        Most tokens in a batch.
    algorithm
        ``best-fit-decreasing``, ``first-fit-decreasing``, ``next-fit-decreasing`` or ``next-fit``.
    max_sequences
        Most sequences in a batch; None for any number.

    Returns
    -------
    Packing
        An array of positions in ``lengths`` for each batch; every position is in one batch.

    Raises
    ------
    InputError
        A ``ValueError``: a length of 0 or over the budget, with its index in ``position``; an unknown algorithm.

    Examples
    --------
    >>> import virpack
    >>> [batch.tolist() for batch in virpack.pack_lengths([30, 60, 50, 40, 20], 100)]
    [[1, 3], [2, 0, 4]]
    """
    array = _as_uint32(lengths)
    order, starts, tokens = _virpack.pack_lengths(array, token_budget, _short(algorithm), max_sequences)
    return Packing(order, starts, token_budget, tokens)


def _short(algorithm: str) -> str:
    """Rust's name of an algorithm."""
    if algorithm not in _ALGORITHMS:
        raise InputError(f"algorithm is {algorithm!r}", f"it must be one of {', '.join(_ALGORITHMS)}")
    return _ALGORITHMS[algorithm]


def _as_uint32(lengths: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """The lengths as Rust reads them; a value outside uint32 is an error, and never becomes another value."""
    array = np.asarray(lengths)
    if array.ndim != 1:
        raise ValueError(f"lengths must be an array of one dimension, not of {array.ndim}")
    if array.size == 0:
        return np.empty(0, dtype=np.uint32)
    if array.dtype.kind not in "iu":
        raise TypeError(f"lengths must be integers, not {array.dtype}")
    if array.dtype != np.uint32 and (int(array.min()) < 0 or int(array.max()) >= 2**32):
        wrong = int(np.flatnonzero((array < 0) | (array > np.uint64(2**32 - 1)))[0])
        raise ValueError(f"length {wrong} is {array[wrong]}; lengths are from 1 to {2**32 - 1}")
    return np.ascontiguousarray(array, dtype=np.uint32)
