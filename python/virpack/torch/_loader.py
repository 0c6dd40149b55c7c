"""Prepares batches ahead of the model, with the name of virnucpro."""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from virpack._errors import InputError
from virpack.torch._batch import pinned
from virpack.torch._budget import calculate_token_budget as calculate_token_budget
from virpack.torch._collator import VarlenCollator

_logger = logging.getLogger("virpack")

# How long a thread waits before it checks whether it must stop, in seconds.
_LOOK_EVERY = 0.1


class AsyncDataLoader:
    """An iterable of batches that a thread prepares ahead; `create_async_dataloader` makes it.

    Attributes
    ----------
    dataset : iterable of records
    collator : callable
        The function that makes batches of records.
    stats : dict
        ``batches``, ``sequences``, ``tokens`` and ``efficiency`` (tokens as a share of the budgets) of all batches
        returned so far.
    """

    def __init__(
        self,
        dataset: Iterable[Any],
        collator: Callable[[Any], Any],
        batch_size: int | None,
        prefetch: int,
        pin_memory: bool,
    ) -> None:
        self.dataset = dataset
        self.collator = collator
        self.batch_size = batch_size
        self.prefetch = prefetch
        self.pin_memory = pin_memory
        self._iteration: weakref.ref[_Iteration] | None = None
        self._counts = {"batches": 0, "sequences": 0, "tokens": 0, "capacity": 0}

    @property
    def stats(self) -> dict[str, Any]:
        counts = dict(self._counts)
        capacity = counts.pop("capacity")
        return {**counts, "efficiency": counts["tokens"] / capacity if capacity else 0.0}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        running = self._iteration and self._iteration()
        if running and running.is_running():
            raise RuntimeError("this loader is being iterated, and both iterations would share its collator's records")
        iteration = _Iteration(self)
        self._iteration = weakref.ref(iteration)
        return iteration

    def _items(self) -> Iterator[Any]:
        if self.batch_size is None:
            yield from self.dataset
            return
        micro_batch = []
        for item in self.dataset:
            micro_batch.append(item)
            if len(micro_batch) == self.batch_size:
                yield micro_batch
                micro_batch = []
        if micro_batch:
            yield micro_batch

    def _batches(self) -> Iterator[dict[str, Any]]:
        for item in self._items():
            batch = self.collator(item)
            while batch:
                yield batch
                # Other batches that are ready, and records that exceeded the budget.
                batch = self.collator([]) if isinstance(self.collator, VarlenCollator) else None
        flush = getattr(self.collator, "flush", None)
        if flush is not None:
            yield from flush()

    def _count(self, batch: dict[str, Any]) -> None:
        self._counts["batches"] += 1
        self._counts["sequences"] += int(batch.get("num_sequences", 0))
        if "input_ids" in batch:
            self._counts["tokens"] += int(batch["input_ids"].numel())
            self._counts["capacity"] += int(batch.get("token_budget", 0))


class _Iteration(Iterator[dict[str, Any]]):
    """One pass over a loader: a thread makes batches, and puts an error after them."""

    def __init__(self, loader: AsyncDataLoader) -> None:
        self._loader = loader
        self._process = os.getpid()
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=max(1, loader.prefetch))
        self._stop = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(
            target=_produce, args=(loader, self._queue, self._stop), name="virpack-loader", daemon=True
        )
        self._thread.start()

    def __next__(self) -> dict[str, Any]:
        if self._process != os.getpid():
            raise RuntimeError(
                f"this iterator was made in process {self._process}, and process {os.getpid()} is a fork of it\n"
                "hint: begin the iteration in the process that uses it"
            )
        if self._is_over:
            raise StopIteration
        kind, value = self._queue.get()
        if kind == "batch":
            self._loader._count(value)
            batch: dict[str, Any] = value
            return batch
        self._is_over = True
        if kind == "error":
            raise value
        raise StopIteration

    def is_running(self) -> bool:
        """Whether this pass may still return batches, in this process."""
        return self._process == os.getpid() and not self._is_over

    def close(self) -> None:
        """Stop the thread. Records in the collator are discarded."""
        if not self.is_running():
            return
        self._is_over = True
        self._stop.set()
        # A source that returns nothing, such as a pipe, blocks the thread, which is a daemon.
        self._thread.join(timeout=1.0)
        if isinstance(self._loader.collator, VarlenCollator) and not self._thread.is_alive():
            self._loader.collator.reset()

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self.close()


def _produce(loader: AsyncDataLoader, ready: queue.Queue[tuple[str, Any]], stop: threading.Event) -> None:
    """Puts batches into the queue, then the end or the error. It holds no reference to the iteration, which ends it."""

    def put(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put((kind, value), timeout=_LOOK_EVERY)
                return True
            except queue.Full:
                continue
        return False

    try:
        for batch in loader._batches():
            if not put("batch", pinned(batch) if loader.pin_memory else batch):
                return
    except BaseException as error:
        put("error", error)
    else:
        put("end", None)


def create_async_dataloader(
    dataset: Iterable[Any],
    collate_fn: Callable[[Any], Any],
    batch_size: int | None = None,
    num_workers: int = 4,
    prefetch_factor: int = 4,
    pin_memory: bool = True,
    timeout: float = 600.0,
    token_budget: int | None = None,
    device_id: int = 0,
    model_memory_gb: float = 5.0,
) -> AsyncDataLoader:
    """Make an iterable of packed batches that are prepared while the model runs.

    One thread reads and collates, so that the collator is never copied and each record occurs once, with packing on
    or off.

    Parameters
    ----------
    dataset
        An iterable of records, such as `SequenceDataset`.
    collate_fn
        `VarlenCollator`, or any callable that makes a batch of a record or of a list of records.
    batch_size
        Records that go to the collator in one call; None for one record.
    num_workers
        At least 1; no worker processes are started.
    prefetch_factor
        Most batches that wait for the model.
    pin_memory
        Whether tensors are in page-locked memory; without a card they are not.
    timeout
        Accepted and unused.
    token_budget
        Most tokens in a batch. None: from the card's free memory, or the collator's own budget if there is no card.
    device_id, model_memory_gb
        Values for that calculation.

    Returns
    -------
    AsyncDataLoader
        An iterable with ``collator`` and ``stats``.

    Raises
    ------
    InputError
        A ``ValueError``: fewer than one worker.
    """
    if num_workers < 1:
        raise InputError(f"num_workers is {num_workers}", "it must be at least 1")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}", "it must be at least 1, or None")
    if token_budget is None and torch.cuda.is_available():
        token_budget = calculate_token_budget(device_id=device_id, model_memory_gb=model_memory_gb)
    if token_budget is not None:
        _set_budget(collate_fn, token_budget)
    return AsyncDataLoader(dataset, collate_fn, batch_size, prefetch_factor, pin_memory)


def _set_budget(collator: Any, token_budget: int) -> None:
    collator.max_tokens_per_batch = token_budget
    if getattr(collator, "packer", None) is not None:
        collator.packer.max_tokens_per_batch = token_budget
