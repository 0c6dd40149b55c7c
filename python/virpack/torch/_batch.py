"""Converts a packed batch to the forms that models take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import torch

from virpack._errors import InputError

# The output of the datasets and the collator: `input_ids [t]`, `cu_seqlens [n + 1]` and more.
Batch = Mapping[str, Any]


def _boundaries(batch: Union[Batch, torch.Tensor]) -> torch.Tensor:
    """The boundaries of a batch, int64 [n + 1], checked."""
    cu_seqlens = batch if isinstance(batch, torch.Tensor) else batch["cu_seqlens"]
    if cu_seqlens.dim() != 1 or cu_seqlens.numel() == 0 or int(cu_seqlens[0]) != 0:
        raise InputError("cu_seqlens must be of one dimension and start with 0")
    boundaries: torch.Tensor = cu_seqlens.to(torch.int64)
    if bool((boundaries[1:] <= boundaries[:-1]).any()):
        raise InputError("cu_seqlens must increase from each sequence to the next")
    return boundaries


def _sequence_of_tokens(boundaries: torch.Tensor) -> torch.Tensor:
    """The sequence of each token, int64 [t]."""
    lengths = boundaries[1:] - boundaries[:-1]
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def position_ids(batch: Union[Batch, torch.Tensor], *, start: int = 0) -> torch.Tensor:
    """Number the tokens of each sequence.

    Parameters
    ----------
    batch : batch, or int tensor [n + 1]
        A packed batch or its ``cu_seqlens``.
    start
        The number of each sequence's first token: 2 for models with absolute positions and padding index 1, such as ESM-1b.

    Returns
    -------
    int64 tensor [t]

    Examples
    --------
    >>> position_ids(torch.tensor([0, 3, 5])).tolist()
    [0, 1, 2, 0, 1]
    """
    boundaries = _boundaries(batch)
    places = torch.arange(int(boundaries[-1]), device=boundaries.device)
    return places - boundaries[_sequence_of_tokens(boundaries)] + start


def to_padded(batch: Batch, *, padding_idx: int = 1) -> dict[str, torch.Tensor]:
    """Lay a packed batch out with a row for each sequence, which every attention implementation takes.

    Parameters
    ----------
    batch
        A packed batch of n sequences.
    padding_idx
        The token that fills rows; 1 for ESM-2.

    Returns
    -------
    dict
        ``input_ids`` [n, max_seqlen], of the batch's type, and ``attention_mask`` int64 [n, max_seqlen].
    """
    rows, columns, shape = _places(batch)
    ids = batch["input_ids"]
    padded = ids.new_full(shape, padding_idx)
    padded[rows, columns] = ids
    mask = torch.zeros(shape, dtype=torch.int64, device=ids.device)
    mask[rows, columns] = 1
    return {"input_ids": padded, "attention_mask": mask}


def _places(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """Row and column of each token in the padded layout, and its shape."""
    boundaries = _boundaries(batch)
    lengths = boundaries[1:] - boundaries[:-1]
    longest = int(lengths.max()) if len(lengths) else 0
    return _sequence_of_tokens(boundaries), position_ids(boundaries), (len(lengths), longest)


def from_padded(batch: Batch, hidden: torch.Tensor) -> torch.Tensor:
    """Take the rows of a packed batch from a model's output for its padded layout.

    Parameters
    ----------
    batch
        The packed batch that was laid out by `to_padded`.
    hidden : tensor [n, max_seqlen, h]

    Returns
    -------
    tensor [t, h]
    """
    rows, columns, shape = _places(batch)
    if tuple(hidden.shape[:2]) != shape:
        raise InputError(
            f"hidden is of shape {tuple(hidden.shape)}; the batch is {shape[0]} sequences of up to {shape[1]} tokens"
        )
    return hidden[rows, columns]


def hf_kwargs(batch: Batch, model: Any = None, *, attn_implementation: str | None = None) -> dict[str, Any]:
    """The arguments with which a transformers model takes a packed batch.

    transformers uses the boundaries with flash attention only. With eager or SDPA attention it silently ignores them,
    and every sequence attends to its neighbours; these are refused here.

    Parameters
    ----------
    batch
        A packed batch of t tokens.
    model
        A transformers model, whose ``config`` names its attention.
    attn_implementation
        The name of the attention, if there is no model.

    Returns
    -------
    dict
        ``input_ids`` [1, t], ``position_ids`` [1, t], ``cu_seq_lens_q`` and ``cu_seq_lens_k`` int32 [n + 1], ``max_length_q`` and
        ``max_length_k``.

    Raises
    ------
    InputError
        A ``ValueError``: the attention is not flash attention, or is not named.
    """
    name = attn_implementation or getattr(getattr(model, "config", None), "_attn_implementation", None)
    if name is None or not name.removeprefix("paged|").startswith("flash_attention"):
        raise InputError(
            f"attention {name or 'without a name'!r} does not heed the boundaries of a packed batch",
            "give the model to_padded(batch), or load it with attn_implementation='flash_attention_2'",
        )
    boundaries = batch["cu_seqlens"].to(torch.int32)
    return {
        "input_ids": batch["input_ids"].unsqueeze(0),
        "position_ids": position_ids(batch).unsqueeze(0),
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": int(batch["max_seqlen"]),
        "max_length_k": int(batch["max_seqlen"]),
    }


def block_mask(batch: Union[Batch, torch.Tensor]) -> torch.Tensor:
    """Which tokens may attend to which: those of one sequence.

    It is for ``scaled_dot_product_attention``, where True means *may see*. It takes t² bytes.

    Parameters
    ----------
    batch : batch, or int tensor [n + 1]
        A packed batch or its ``cu_seqlens``.

    Returns
    -------
    bool tensor [1, 1, t, t]
    """
    owner = _sequence_of_tokens(_boundaries(batch))
    return (owner[:, None] == owner[None, :])[None, None]


def pool(batch: Batch, hidden: torch.Tensor, mode: str = "mean") -> torch.Tensor:
    """One row for each sequence.

    Parameters
    ----------
    batch
        A packed batch of n sequences and t tokens, each sequence between two special tokens.
    hidden : tensor [t, h] or [n, max_seqlen, h]
        A row for each token, packed or in the layout of `to_padded`.
    mode
        ``mean`` over residues, in float64 and without the special tokens, or ``bos``: the row of the first token.

    Returns
    -------
    float32 tensor [n, h]

    Raises
    ------
    InputError
        A sequence without residues, or shapes that do not fit.
    """
    if hidden.dim() == 3:
        hidden = from_padded(batch, hidden)
    boundaries = _boundaries(batch).tolist()
    if hidden.dim() != 2 or hidden.shape[0] != boundaries[-1]:
        raise InputError(f"hidden is of shape {tuple(hidden.shape)}; the batch has {boundaries[-1]} tokens")
    if mode == "bos":
        return hidden[boundaries[:-1]].float()
    if mode != "mean":
        raise InputError(f"mode is {mode!r}", "it must be mean or bos")
    rows = []
    for sequence, (start, end) in enumerate(zip(boundaries, boundaries[1:])):
        if end - start < 3:
            raise InputError(f"sequence {sequence} of the batch has no residues")
        rows.append(hidden[start + 1 : end - 1].mean(dim=0, dtype=torch.float64))
    return torch.stack(rows).float() if rows else hidden.new_empty((0, hidden.shape[1])).float()


def to_device(batch: Batch, device: Any) -> dict[str, Any]:
    """A batch with its tensors on a device; from pinned memory they are copied while the caller continues."""
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value for key, value in batch.items()
    }


def pinned(batch: Batch) -> dict[str, Any]:
    """A batch with its tensors in page-locked memory, if there is a card; otherwise the batch unchanged."""
    if not torch.cuda.is_available():
        return dict(batch)
    return {key: value.pin_memory() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
