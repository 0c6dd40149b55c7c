"""Packs records into batches, with the names of virnucpro."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from virpack import _virpack

_logger = logging.getLogger("virpack.packing")

# Below this share of full tokens a packing is worth a look. One batch shows nothing: it ends where the records end.
_LOW_EFFICIENCY = 0.85
_FEW_BATCHES = 10


class GreedyPacker:
    """First-Fit Decreasing: longest records first, each into the first batch with room for it.

    Parameters
    ----------
    max_tokens_per_batch
        Most tokens in a batch.
    max_sequence_length
        Most residues of a sequence; a longer one is truncated. 1,022 is the limit of ESM-2.

    Examples
    --------
    >>> from virpack import GreedyPacker
    >>> packer = GreedyPacker(63)
    >>> records = [{"id": str(n), "sequence": "M" * n} for n in (48, 26, 26, 7)]
    >>> [[record["id"] for record in batch] for batch in packer.pack_sequences(records)]
    [['48', '7'], ['26', '26']]
    """

    def __init__(self, max_tokens_per_batch: int, max_sequence_length: int = 1022) -> None:
        self.max_tokens_per_batch = max_tokens_per_batch
        self.max_sequence_length = max_sequence_length

    def sort_by_length(self, sequences: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Sort records by length, the longest first, and those of one length by id.

        Parameters
        ----------
        sequences
            Records with ``id`` and ``sequence``.

        Returns
        -------
        list
            The same records in a new list.
        """
        return sorted(sequences, key=lambda record: (-len(record["sequence"]), record["id"]))

    def pack_sequences(self, sequences: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
        """Pack records into batches; each record is in one batch.

        A sequence takes two tokens more than it has letters. A record that is too long is in its batch as a copy,
        truncated and with ``truncated=True``. The caller's records are never changed.

        Parameters
        ----------
        sequences
            Records with ``id`` and ``sequence``.

        Returns
        -------
        list of lists
            The records of each batch, the longest first.

        Raises
        ------
        InputError
            A ``ValueError``: a record that no batch can hold.
        """
        records = sequences if isinstance(sequences, list) else list(sequences)
        batches, truncated, tokens = _virpack.pack_records(records, self.max_tokens_per_batch, self.max_sequence_length)
        for record_id, length in truncated:
            _logger.warning(
                "Sequence %s exceeds max_length (%d > %d), truncated to its beginning",
                record_id,
                length,
                self.max_sequence_length,
            )
        # The last batch has the remaining records.
        capacity = (len(batches) - 1) * self.max_tokens_per_batch
        if len(batches) >= _FEW_BATCHES and tokens < _LOW_EFFICIENCY * capacity:
            _logger.warning(
                "Batches of %d tokens are %.1f %% full: collect more records before packing, or use a larger token budget",
                self.max_tokens_per_batch,
                100 * tokens / capacity,
            )
        return batches

    def compute_efficiency(self, batches: Sequence[Sequence[Mapping[str, Any]]]) -> float:
        """Tokens as a share of what the batches could hold; 0.0 for no batch.

        Parameters
        ----------
        batches
            Batches of `pack_sequences`.
        """
        if not batches or self.max_tokens_per_batch <= 0:
            return 0.0
        tokens = sum(len(record["sequence"]) + 2 for batch in batches for record in batch)
        return tokens / (len(batches) * self.max_tokens_per_batch)

    def _tokenized_length(self, sequence: str) -> int:
        return len(sequence) + 2
