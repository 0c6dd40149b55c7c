"""Datasets for ``torch.utils.data.DataLoader``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from torch.utils.data import IterableDataset

from virpack import _virpack
from virpack._errors import InputError
from virpack._reading import read
from virpack._run import logger, warn
from virpack._paths import path_list
from virpack._source import Source, as_source
from virpack.torch._batch import pinned
from virpack.torch._sharding import Shard, Sharded


class PackedDataset(IterableDataset[dict[str, Any]]):
    """Packed batches of token ids, made by Rust threads from files or from sequences in memory.

    Use it by itself, or as ``DataLoader(dataset, batch_size=None, num_workers=k)``. All workers of all ranks of
    torch.distributed together return each record once. One iteration in one process already reads, tokenizes and
    packs on its own threads, so that workers help only if one processor core cannot keep up.

    Parameters
    ----------
    source
        As that of `virpack.embed`: a path, or several; or sequences in memory. An iterator is used up by one iteration.
    model
        The tokens to make: ``esm2`` for every ESM-2 model, or a model's name or directory.
    token_budget
        Most tokens in a batch.
    buffer_size
        Records that are collected before they are packed.
    ids_dtype
        ``int64`` or ``int32``.
    pin_memory
        Whether tensors are in page-locked memory; without a card they are not.
    shard : (int, int), optional
        ``(i, n)``: only every ``n``-th record, from record ``i``, which counts from 0.
    max_length
        Most residues of a record; a longer one is truncated. None: the model's limit.

    Attributes
    ----------
    skipped : list of (int, str, str)
        Place, id and reason of each record without tokens, of the last iteration in this process.

    Yields
    ------
    dict
        ``input_ids`` [t]; ``cu_seqlens`` int32 [n + 1]; ``max_seqlen`` int; ``sequence_ids`` list of str [n]; ``num_sequences`` int;
        ``record_index`` int64 [n], places in the input from 0; ``lengths`` int64 [n], residues before truncation; ``truncated`` bool
        [n]; ``token_budget`` int.

    Raises
    ------
    InputError
        When the dataset is created, for options that contradict each other; during iteration, for a damaged input.
    """

    def __init__(
        self,
        source: Source,
        model: str = "esm2",
        *,
        token_budget: int = 4096,
        buffer_size: int = 2000,
        ids_dtype: str = "int64",
        pin_memory: bool = False,
        shard: Shard | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__()
        if ids_dtype not in ("int64", "int32"):
            raise InputError(f"ids_dtype is {ids_dtype!r}", "it must be int64 or int32")
        self.source = source
        self.model = model
        self.token_budget = token_budget
        self.pin_memory = pin_memory
        self.skipped: list[tuple[int, str, str]] = []
        tokenizer = _virpack.Tokenizer(model)
        self._options: _virpack._BatchOptions = {
            "token_budget": token_budget,
            "buffer_size": buffer_size,
            "max_length": tokenizer.max_length if max_length is None else max_length,
            "wide": ids_dtype == "int64",
        }
        self._sharded = Sharded(shard)
        # A budget that cannot hold the longest record is an error here, and not in a worker.
        _virpack.check_batches(self._options)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.skipped = []
        shard = self._sharded.shard()
        tokenizer = _virpack.Tokenizer(self.model)
        return self._batches(_virpack.Loader(as_source(self.source), tokenizer, self._options, 4, shard))

    def _batches(self, loader: _virpack.Loader) -> Iterator[dict[str, Any]]:
        for batch in loader:
            self.skipped += loader.take_skipped()
            tensors = _as_tensors(batch)
            yield pinned(tensors) if self.pin_memory else tensors
        self.skipped += loader.take_skipped()
        warn(loader.remarks())
        if self.skipped:
            (_, record_id, reason), others = self.skipped[0], len(self.skipped) - 1
            logger.warning("record %s is skipped (%s), and %d others", record_id, reason, others)


def _as_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a batch as tensors that share their memory."""
    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}


class SequenceDataset(IterableDataset[dict[str, Any]]):
    """Records of files in the form of virnucpro's collator.

    Records, and not files, are dealt to the workers of a DataLoader and to the ranks of torch.distributed: one file
    keeps all of them busy, and each record occurs once.

    Parameters
    ----------
    fasta_files
        FASTA, FASTQ or BAM files, plain or compressed.
    max_length
        Most residues of a record.
    shard : (int, int), optional
        As in `PackedDataset`.

    Yields
    ------
    dict
        ``id``, ``sequence`` and ``file`` (the file's name); ``truncated=True`` if the sequence is only a beginning.
    """

    def __init__(
        self,
        fasta_files: Union[str, "os.PathLike[str]", Iterable[Union[str, "os.PathLike[str]"]]],
        max_length: int = 1024,
        *,
        shard: Shard | None = None,
    ) -> None:
        super().__init__()
        if max_length < 1:
            raise InputError(f"max_length is {max_length}", "it must be at least 1")
        self.files = path_list(fasta_files)
        self.max_length = max_length
        self._sharded = Sharded(shard)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = {path: Path(path).name for path in self.files}
        for record in read(*self.files, shard=self._sharded.shard()):
            item: dict[str, Any] = {
                "id": record.id,
                "sequence": record.sequence[: self.max_length],
                "file": names.get(record.source, record.source),
            }
            if len(record.sequence) > self.max_length:
                item["truncated"] = True
            yield item
