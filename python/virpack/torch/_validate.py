"""Checks whether a model returns the same rows for packed sequences and for each of them alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from virpack.torch._batch import Batch, to_device
from virpack.torch._collator import VarlenCollator
from virpack.torch._runner import AsyncInferenceRunner

# Twice the difference that float32 itself leaves between two orders of the same sums.
THRESHOLD = 2e-5


def validate_packed_equivalence(
    model: Any,
    batch_converter: Any,
    sequences: Sequence[tuple[str, str]],
    device: Any,
    threshold: float = THRESHOLD,
    *,
    token_budget: int = 4096,
    layer: int | None = None,
    forward: Callable[[Any, Batch], torch.Tensor] | None = None,
) -> tuple[bool, dict[str, Any]]:
    """Compare the rows of packed sequences with those of each sequence alone.

    The model is not changed: run it in float32. A cosine alone would miss a wrong scale, so the largest difference
    decides.

    Parameters
    ----------
    model, device, layer, forward
        As in `AsyncInferenceRunner`.
    batch_converter
        As in `VarlenCollator`; None for virpack's tokens of ESM-2.
    sequences : list of (id, sequence)
        An id may occur more than once: every sequence has its own result.
    threshold
        The largest difference allowed between two rows, as a share of the largest value of the row's sequence.
    token_budget
        Most tokens in a packed batch.

    Returns
    -------
    passed : bool
    details : dict
        ``per_sequence``, a list of (id, cosine, difference) in the order of ``sequences``; ``strict_pass_rate``; ``min_similarity`` and
        ``max_similarity``, cosines of mean rows; ``max_difference``; ``failed_sequences``, ids; ``num_sequences``.
    """
    runner = AsyncInferenceRunner(model, device, layer=layer, forward=forward)
    # Ids are places, so that no sequence is lost if two ids are equal.
    records = [{"id": str(place), "sequence": sequence} for place, (_, sequence) in enumerate(sequences)]
    packed = _rows(runner, batch_converter, token_budget, records)
    results = []
    for place, (sequence_id, _) in enumerate(sequences):
        alone = _rows(runner, batch_converter, token_budget, [records[place]])[str(place)]
        results.append((sequence_id, *_compared(packed[str(place)], alone)))
    failed = [sequence_id for sequence_id, _, difference in results if not difference <= threshold]
    cosines = [cosine for _, cosine, _ in results] or [1.0]
    return not failed, {
        "per_sequence": results,
        "strict_pass_rate": 1.0 - len(failed) / max(len(results), 1),
        "min_similarity": min(cosines),
        "max_similarity": max(cosines),
        "max_difference": max((difference for _, _, difference in results), default=0.0),
        "failed_sequences": failed,
        "num_sequences": len(results),
    }


def _rows(
    runner: AsyncInferenceRunner, batch_converter: Any, token_budget: int, records: list[dict[str, str]]
) -> dict[str, torch.Tensor]:
    """The rows of each record's tokens, float64 on the CPU, by id."""
    collator = VarlenCollator(batch_converter, token_budget, max_sequence_length=token_budget - 2)
    collator.buffer.extend(records)
    rows = {}
    for batch in collator.flush():
        with torch.inference_mode():
            hidden = runner.hidden(to_device(batch, runner.device)).double().cpu()
        boundaries = batch["cu_seqlens"].tolist()
        for sequence_id, start, end in zip(batch["sequence_ids"], boundaries, boundaries[1:]):
            rows[sequence_id] = hidden[start:end]
    return rows


def _compared(packed: torch.Tensor, alone: torch.Tensor) -> tuple[float, float]:
    """Cosine of the mean rows, and the largest difference as a share of the largest value."""
    cosine = torch.nn.functional.cosine_similarity(packed.mean(0), alone.mean(0), dim=0)
    scale = alone.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    return float(cosine), float((packed - alone).abs().max() / scale)
