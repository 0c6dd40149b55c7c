"""Options of runs: their words are checked here, and passed to Rust under these names."""

from __future__ import annotations

import os
from typing import Any

from virpack._errors import InputError

DTYPES = ("float32", "float32-strict", "float16", "bfloat16", "int8")
DTYPES_OUT = ("float32", "float16", "bfloat16")
FORMATS = ("npy", "parquet", "arrow", "safetensors", "h5")
POOLS = ("mean", "cls", "max")


def choice(name: str, given: str | None, words: tuple[str, ...], optional: bool = False) -> str | None:
    """The word, if it is one of the allowed ones."""
    if given is None and optional:
        return None
    if given not in words:
        allowed = ", ".join(map(repr, words)) + (" or None" if optional else "")
        raise InputError(f"{name} is {given!r}", f"it must be one of {allowed}")
    return given


def runs_on(device: str, dtype: str | None, threads: int | None, device_timeout: int | None) -> dict[str, Any]:
    """The device and the precision of a model."""
    return {
        "device": device,
        "dtype": choice("dtype", dtype, DTYPES, optional=True),
        "threads": threads,
        "device_timeout": device_timeout,
    }


def embedder(model: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Which model embeds, and what it returns for a record."""
    device = {name: options.pop(name) for name in ("device", "dtype", "threads", "device_timeout")}
    rows(options)
    return {"model": os.fspath(model), "runs_on": runs_on(**device), **options}


def rows(options: dict[str, Any]) -> None:
    """Checks the options that affect rows."""
    choice("pool", options["pool"], POOLS, optional=True)
    choice("long_records", options["long_records"], ("truncate", "window", "skip", "error"))
    if options["window_overlap"] is not None and options["long_records"] != "window":
        raise InputError("window_overlap is given, and long records are not cut into windows", 'long_records="window" does')


def output(path: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Where embeddings are written, and in which format."""
    choice("format", options["format"], FORMATS, optional=True)
    choice("dtype_out", options["dtype_out"], DTYPES_OUT)
    if options["resume"] and not options["checkpoint"]:
        raise InputError("resume is given without checkpoint")
    if os.fspath(path) == "-":
        raise InputError("the output is '-'", "a file's name; without an output the values are returned")
    return {"output": os.fspath(path), **options}
