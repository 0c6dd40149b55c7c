"""Packs records into batches for Python, with the names of virnucpro."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

import torch
from torch.utils.data import get_worker_info

from virpack import _virpack
from virpack._errors import InputError
from virpack._greedy import GreedyPacker

_logger = logging.getLogger("virpack.collator")

Record = Mapping[str, Any]


class VarlenCollator:
    """Collects records, packs a full buffer and returns one batch for each call.

    It keeps records between calls, so it belongs to one process. A copy in a worker of a DataLoader, or in a child
    after a fork, would lose or repeat its records, and raises an error instead. `create_async_dataloader` and
    `PackedDataset` handle that.

    Parameters
    ----------
    batch_converter
        fair-esm's ``alphabet.get_batch_converter()`` or the like; None for virpack's own tokens of ESM-2.
    max_tokens_per_batch
        Most tokens in a batch. No batch has more.
    max_sequence_length
        Most residues of a record; a longer one is truncated.
    buffer_size
        Records that are collected before they are packed.
    enable_packing
        Whether records are packed. If not, each call returns a batch of its own records, in their order. Records that
        exceed the budget are in the next call's batch, or in that of `flush`.

    Attributes
    ----------
    buffer : list of records
        Records that wait to be packed.
    packed_queue : list of lists of records
        Packed batches that wait for their turn.
    packer : GreedyPacker or None
    skipped : list of (str, str)
        Id and reason of each record without tokens.
    """

    def __init__(
        self,
        batch_converter: Any = None,
        max_tokens_per_batch: int = 4096,
        max_sequence_length: int = 1022,
        buffer_size: int = 2000,
        enable_packing: bool = True,
    ) -> None:
        self.batch_converter = batch_converter
        self.max_tokens_per_batch = max_tokens_per_batch
        self.max_sequence_length = max_sequence_length
        self.buffer_size = buffer_size
        self.enable_packing = enable_packing
        self.padding_idx = 1 if batch_converter is None else batch_converter.alphabet.padding_idx
        self.buffer: list[Record] = []
        self.packed_queue: list[list[Record]] = []
        self.packer: GreedyPacker | None = None
        if enable_packing:
            self.packer = GreedyPacker(max_tokens_per_batch, max_sequence_length)
        self.skipped: list[tuple[str, str]] = []
        self._total_sequences_received = 0
        self._total_sequences_returned = 0
        self._process = os.getpid()

    def __call__(self, batch: Union[Record, Sequence[Record]]) -> dict[str, Any]:
        """Add records, and return a batch if one is ready.

        Parameters
        ----------
        batch
            A record with ``id`` and ``sequence``, or a list of them. An empty list requests a batch that is ready.

        Returns
        -------
        dict
            ``input_ids`` int64 [t]; ``cu_seqlens`` int32 [n + 1]; ``max_seqlen`` int; ``sequence_ids`` list of str [n];
            ``num_sequences`` int; ``truncated`` bool [n]; ``token_budget`` int. Empty if no batch is ready.

        Raises
        ------
        InputError
            A ``ValueError``: a record that no batch can hold.
        RuntimeError
            In a worker of a DataLoader, or in a fork of the process that gave it records.
        """
        self._check_process()
        records = [batch] if isinstance(batch, Mapping) else list(batch)
        self._total_sequences_received += len(records)
        if self.enable_packing:
            self.buffer.extend(records)
            if records and len(self.buffer) >= self.buffer_size:
                self._pack_buffer()
            return self._next()
        records, self.buffer = self.buffer + records, []
        return self._returned(self._tokenize_and_pack(records)) if records else {}

    def flush(self) -> list[dict[str, Any]]:
        """Return all remaining batches.

        Returns
        -------
        list of dict
            Batches as a call returns them.
        """
        self._check_process()
        batches = []
        while self.buffer or self.packed_queue:
            if not self.packed_queue:
                self._pack_buffer()
            if batch := self._next():
                batches.append(batch)
        return batches

    def reset(self) -> None:
        """Discard all records that wait."""
        self.buffer, self.packed_queue = [], []

    def _pack_buffer(self) -> None:
        batches = [self.buffer] if self.packer is None else self.packer.pack_sequences(self.buffer)
        self.buffer = []
        self.packed_queue.extend(batches)

    def _next(self) -> dict[str, Any]:
        """The next batch of the queue; a batch of skipped records only is passed over."""
        while self.packed_queue:
            if batch := self._tokenize_and_pack(self.packed_queue.pop(0)):
                return self._returned(batch)
        return {}

    def _returned(self, batch: dict[str, Any]) -> dict[str, Any]:
        self._total_sequences_returned += int(batch.get("num_sequences", 0))
        return batch

    def _tokenize_and_pack(self, batch: Sequence[Record]) -> dict[str, Any]:
        """The first records of ``batch`` that fit the budget; the others return to the buffer."""
        records = [self._truncated(record) for record in batch if self._has_residues(record)]
        if not records:
            return {}
        ids, input_ids, boundaries = self._tokens(records)
        fitting = int((boundaries <= self.max_tokens_per_batch).sum()) - 1
        if fitting == 0:
            raise InputError(
                f"record {ids[0]}: {int(boundaries[1])} tokens exceed the token budget of {self.max_tokens_per_batch}",
                "a larger token budget, or a smaller max_sequence_length",
            )
        if fitting < len(records):
            self._put_back(records[fitting:])
            boundaries = boundaries[: fitting + 1]
            input_ids = input_ids[: int(boundaries[-1])]
        return {
            "input_ids": input_ids,
            "cu_seqlens": boundaries,
            "max_seqlen": int((boundaries[1:] - boundaries[:-1]).max()),
            "sequence_ids": list(ids[:fitting]),
            "num_sequences": fitting,
            "truncated": torch.tensor([bool(record.get("truncated")) for record in records[:fitting]]),
            "token_budget": self.max_tokens_per_batch,
        }

    def _tokens(self, records: Sequence[Record]) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        """Ids, token ids int64 [t] and boundaries int32 [n + 1] of records."""
        if self.batch_converter is None:
            ids, starts = _virpack.Tokenizer("esm2").encode([record["sequence"] for record in records])
            return [record["id"] for record in records], torch.from_numpy(ids), torch.from_numpy(starts)
        pairs = [(record["id"], record["sequence"]) for record in records]
        labels, _, padded = self.batch_converter(pairs)
        lengths = (padded != self.padding_idx).sum(dim=1)
        inside = torch.arange(padded.shape[1]) < lengths[:, None]
        boundaries = torch.zeros(len(lengths) + 1, dtype=torch.int32)
        boundaries[1:] = lengths.cumsum(0)
        return list(labels), padded[inside].to(torch.int64), boundaries

    def _truncated(self, record: Record) -> Record:
        # With packing on, the packer has checked this.
        if self.enable_packing or len(record["sequence"]) <= self.max_sequence_length:
            return record
        _logger.warning(
            "Sequence %s exceeds max_length (%d > %d), truncated to its beginning",
            record["id"],
            len(record["sequence"]),
            self.max_sequence_length,
        )
        return {**record, "sequence": record["sequence"][: self.max_sequence_length], "truncated": True}

    def _has_residues(self, record: Record) -> bool:
        if record["sequence"]:
            return True
        _logger.warning("record %s is skipped: it is empty", record["id"])
        self.skipped.append((record["id"], "empty"))
        self._total_sequences_returned += 1
        return False

    def _put_back(self, records: Sequence[Record]) -> None:
        if not self.enable_packing and get_worker_info() is not None:
            raise RuntimeError(
                f"{len(records)} records pass the token budget, and a worker of a DataLoader would lose them\n"
                "hint: use create_async_dataloader or PackedDataset, or a smaller batch_size"
            )
        self.buffer[:0] = records

    def _check_process(self) -> None:
        if self.enable_packing and get_worker_info() is not None:
            raise RuntimeError(
                "VarlenCollator keeps records between calls, and a worker of a DataLoader would lose those at its end\n"
                "hint: use create_async_dataloader or PackedDataset"
            )
        if self._process != os.getpid():
            if self.buffer or self.packed_queue:
                raise RuntimeError(
                    f"this collator holds records of process {self._process}, and process {os.getpid()} is a fork of it\n"
                    "hint: make a collator in each process, or call reset()"
                )
            self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        if self.buffer or self.packed_queue:
            raise RuntimeError("a collator that holds records cannot be copied to another process\nhint: call flush() first")
        return self.__dict__
