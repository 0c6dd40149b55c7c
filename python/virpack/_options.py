"""Options of runs: their types and words are checked here, and passed to Rust under these names."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from typing import Any

from virpack._errors import InputError

DTYPES = ("float32", "float32-strict", "float16", "bfloat16", "int8")
DTYPES_OUT = ("float32", "float16", "bfloat16")
FORMATS = ("npy", "parquet", "arrow", "safetensors", "h5")
POOLS = ("mean", "cls", "max")

# The range of each whole number; None: no limit of its own.
_WHOLE: dict[str, tuple[int | None, int | None]] = {
    "buffer_size": (1, None),
    "device_timeout": (0, None),
    "genetic_code": (1, 33),
    "layer": (None, None),
    "length": (1, None),
    "max_length": (1, None),
    "max_tokens": (1, None),
    "min_length": (0, None),
    "min_tokens": (1, None),
    "part_tokens": (1, None),
    "rows": (1, None),
    "threads": (1, None),
    "token_budget": (1, None),
    "window_overlap": (0, None),
}
_NUMBERS = ("min_chunk_score", "min_score", "prevalence")
_FLAGS = ("checkpoint", "force", "packing", "report", "resume")
_TEXTS = ("device", "shard")

# What must be given; every other option may be None.
_REQUIRED = ("device", "genetic_code", "min_length", "part_tokens", "prevalence", "rows", *_FLAGS)

# The largest number that Rust takes.
_LARGEST = 2**63 - 1


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their types checked: a wrong one is named with what it must be."""
    return {name: _checked(name, value) for name, value in options.items()}


def _checked(name: str, value: Any) -> Any:
    or_none = "" if name in _REQUIRED else " or None"
    if value is None and or_none:
        return None
    try:
        if name in _WHOLE:
            least, most = _WHOLE[name]
            number = _not_a_flag(operator.index, value)
            if (least is None or number >= least) and abs(number) <= (most or _LARGEST):
                return number
            raise ValueError
        if name in _NUMBERS:
            return _not_a_flag(float, value)
        if name in _FLAGS and not isinstance(value, bool) or name in _TEXTS and not isinstance(value, str):
            raise TypeError
        return value
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}", f"it must be {_kind(name)}{or_none}") from None


def _not_a_flag(convert: Any, value: Any) -> Any:
    # Python takes True as 1, and float("1") as 1.0.
    if isinstance(value, (bool, str, bytes)):
        raise TypeError
    return convert(value)


def _kind(name: str) -> str:
    if name in _WHOLE:
        least, most = _WHOLE[name]
        if most is not None:
            return f"a whole number from {least} to {most}"
        return "a whole number" if least is None else f"a whole number of at least {least}"
    if name in _NUMBERS:
        return "a number"
    if name in _FLAGS:
        return "True or False"
    return 'a text such as "2/8"' if name == "shard" else 'a text such as "auto", "cpu" or "cuda:0"'


def choice(name: str, given: str | None, words: tuple[str, ...], optional: bool = False) -> str | None:
    """The word, if it is one of the allowed ones."""
    if given is None and optional:
        return None
    if given not in words:
        allowed = ", ".join(map(repr, words)) + (" or None" if optional else "")
        raise InputError(f"{name} is {given!r}", f"it must be one of {allowed}")
    return given


def path(name: str, given: Any) -> str:
    """A path, or a name, as text."""
    if not isinstance(given, (str, os.PathLike)):
        raise InputError(f"{name} is {given!r}", "it must be a path, or a name, as str or pathlib.Path")
    return os.fspath(given)


def runs_on(device: str, dtype: str | None, threads: int | None, device_timeout: int | None) -> dict[str, Any]:
    """The device and the precision of a model."""
    numbers = checked({"device": device, "threads": threads, "device_timeout": device_timeout})
    return {**numbers, "dtype": choice("dtype", dtype, DTYPES, optional=True)}


def embedder(model: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Which model embeds, and what it returns for a record."""
    device = {name: options.pop(name) for name in ("device", "dtype", "threads", "device_timeout")}
    return {"model": path("model", model), "runs_on": runs_on(**device), **rows(options)}


def rows(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that affect rows, checked."""
    choice("pool", options["pool"], POOLS, optional=True)
    choice("long_records", options["long_records"], ("truncate", "window", "skip", "error"))
    if options["window_overlap"] is not None and options["long_records"] != "window":
        raise InputError("window_overlap is given, and long records are not cut into windows", 'long_records="window" does')
    return checked(options)


def output(path_: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Where embeddings are written, and in which format."""
    choice("format", options["format"], FORMATS, optional=True)
    choice("dtype_out", options["dtype_out"], DTYPES_OUT)
    options = checked(options)
    if options["resume"] and not options["checkpoint"]:
        raise InputError("resume is given without checkpoint")
    return {"output": output_path(path_, "file"), **options}


def output_path(given: str | os.PathLike[str], kind: str) -> str:
    """The path of an output, which is a file or a directory."""
    found = path("output", given)
    if found in ("", "-"):
        raise InputError(f"the output is {found!r}", f"name a {kind}; without an output the values are returned")
    return found


def resumable(found: Any, resume: bool) -> None:
    """Checks that a run that resumes reads files: nothing is kept of sequences in memory."""
    if resume and not isinstance(found, list):
        raise InputError("resume is given for sequences in memory", "only a run of files can be resumed")
