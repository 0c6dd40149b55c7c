"""The token budget of a PyTorch model, with the name of virnucpro."""

from __future__ import annotations

import logging

import torch

from virpack import _virpack

_logger = logging.getLogger("virpack")

# Activations of one token of ESM-2 3B: measured for virpack's kernels in float16, twice that in float32.
_BYTES_PER_TOKEN = 61_440
_BYTES_PER_TOKEN_FLOAT32 = 2 * _BYTES_PER_TOKEN


def calculate_token_budget(
    device_id: int = 0,
    model_memory_gb: float = 5.0,
    safety_margin_gb: float = 2.0,
    bytes_per_token: int | None = None,
    min_tokens: int = 1024,
    max_tokens: int | None = None,
) -> int:
    """Calculate a token budget from the memory that is free now.

    For models that virpack runs, use `virpack.calculate_token_budget`, which knows their memory use.

    Parameters
    ----------
    device_id
        Number of the card. Without cards, the host's memory is used.
    model_memory_gb
        Memory of the model, in GB of 2^30 bytes.
    safety_margin_gb
        Memory that stays free, in GB of 2^30 bytes.
    bytes_per_token
        Activations of one token; None for those of ESM-2 3B.
    min_tokens, max_tokens
        The smallest and the largest budget; None for the largest means no limit.

    Returns
    -------
    int
        A multiple of 128, unless it is ``min_tokens``.

    Raises
    ------
    virpack.OutOfMemory
        The smallest budget does not fit.
    """
    free: int | None
    if torch.cuda.device_count() > device_id:
        free, where, typical = torch.cuda.mem_get_info(device_id)[0], f"GPU {device_id}", _BYTES_PER_TOKEN
    else:
        free, where, typical = _virpack.free_memory(), "host", _BYTES_PER_TOKEN_FLOAT32
    if free is None:
        _logger.warning("the system does not state its free memory: the token budget is %d", min_tokens)
        return min_tokens
    reserved = int((model_memory_gb + safety_margin_gb) * 2**30)
    budget = _virpack.fit_token_budget(free, reserved, bytes_per_token or typical, min_tokens, max_tokens)
    _logger.info("Token budget: %d (%s: %.1f GB free)", budget, where, free / 1e9)
    return budget
