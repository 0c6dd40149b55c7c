"""Token budgets."""

from __future__ import annotations

from virpack import _options, _virpack


def calculate_token_budget(
    device: str = "auto",
    model: str = "virpack-mini/peptide",
    *,
    max_length: int | None = None,
    min_tokens: int | None = None,
    max_tokens: int | None = None,
) -> int:
    """Calculate the largest token budget for a model on a device.

    The device reports its free memory and the memory that the model needs.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    model
        A name or a directory, as in ``virpack embed``. Nothing is downloaded for a model whose shape is known by its name.
    max_length
        Most residues, or bases, of a sequence; None for the model's own limit.
    min_tokens
        The smallest budget; None for one that holds the longest sequence.
    max_tokens
        The largest budget; None: up to where more tokens bring no speed on the device.

    Returns
    -------
    int
        A multiple of 128 within the limits, or the smallest budget if there is no such multiple.

    Raises
    ------
    OutOfMemory
        The smallest budget does not fit; the error has the bytes ``available`` and ``needed``.
    """
    given = {"device": device, "max_length": max_length, "min_tokens": min_tokens, "max_tokens": max_tokens}
    return _virpack.calculate_token_budget(model=_options.path("model", model), **_options.checked(given))
