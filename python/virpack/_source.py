"""The inputs of virpack: paths, or sequences in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union

from virpack._errors import InputError

# The extensions of sequence files; no sequence ends with one.
_ENDING = re.compile(r"\.(fa|fas|fasta|faa|fna|ffn|frn|fq|fastq|seq|txt|bam|sam|cram|gz|bgz|zst|bz2|xz)$", re.IGNORECASE)

# A path, paths, or sequences: of text, of (id, text), of mappings or objects with an id and a sequence, or a column of text.
Source = Union[str, "os.PathLike[str]", Iterable[Any]]


def paths_of(source: Source) -> list[str] | None:
    """The paths that a source names; None if it holds sequences.

    A string is a path, and so is everything that ``os.fspath`` takes. Strings in a list are sequences, unless the first
    looks like a file's name.
    """
    if isinstance(source, (str, os.PathLike)):
        return [os.fspath(source)]
    if isinstance(source, (list, tuple)) and source and is_path(source[0]):
        return path_list(source)
    return None


def is_path(item: Any) -> bool:
    """Whether an item of a list is a path: by its type, by its form, or because the file exists."""
    if isinstance(item, str):
        return item == "-" or "/" in item or _ENDING.search(item) is not None or _is_file(item)
    return isinstance(item, os.PathLike)


def _is_file(text: str) -> bool:
    return 0 < len(text) < 256 and os.path.isfile(text)


def path_list(paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[str]:
    """Paths as strings, for functions that only take paths."""
    if isinstance(paths, (str, os.PathLike)):
        return [os.fspath(paths)]
    found = []
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise InputError(f"the source has paths and a {type(path).__name__}", "give paths alone, or sequences alone")
        found.append(os.fspath(path))
    return found


def records_of(source: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Id and sequence of each record of a source in memory; a sequence without an id has its place, from 0, as id.

    Raises
    ------
    InputError
        An item of another form than those above, with its place.
    """
    for place, item in enumerate(_items(source)):
        yield _record(place, item)


def _items(source: Iterable[Any]) -> Iterable[Any]:
    # Columns of pyarrow, polars and pandas give Python values by one of these.
    for method in ("to_pylist", "to_list", "tolist"):
        convert = getattr(source, method, None)
        if convert is not None:
            items: list[Any] = convert()
            return items
    return source


def _record(place: int, item: Any) -> tuple[str, str]:
    if isinstance(item, str):
        return str(place), item
    if isinstance(item, (bytes, bytearray)):
        return str(place), item.decode("ascii")
    if isinstance(item, os.PathLike):
        raise InputError(f"item {place} is a path among sequences", "give paths alone, or sequences alone")
    if isinstance(item, Mapping):
        return str(item.get("id", place)), _text(place, item["sequence"])
    if isinstance(item, tuple) and len(item) == 2:
        return str(item[0]), _text(place, item[1])
    # Records of virpack have `sequence`, those of Biopython have `seq`.
    sequence = getattr(item, "sequence", None)
    if sequence is None:
        sequence = getattr(item, "seq", None)
    if sequence is None:
        raise InputError(
            f"item {place} is of type {type(item).__name__}, and holds no sequence",
            "give text, (id, text), a mapping with `id` and `sequence`, or a Biopython record",
        )
    return str(getattr(item, "id", place)), _text(place, sequence)


def _text(place: int, sequence: Any) -> str:
    if isinstance(sequence, (bytes, bytearray)):
        return sequence.decode("ascii")
    if sequence is None:
        raise InputError(f"item {place} has no sequence")
    return str(sequence)
