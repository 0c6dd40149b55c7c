"""The inputs of virpack: the one place that decides what a Python object is, files or sequences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Union

from virpack import _blocks
from virpack._blocks import is_letters, is_missing
from virpack._errors import InputError
from virpack._paths import is_path, path_list, refuse_open_file

if TYPE_CHECKING:
    from virpack._blocks import Block

# A path, paths, or sequences: of text, of (id, text), of mappings or objects with an id and a sequence, or a column of text.
Source = Union[str, "os.PathLike[str]", Iterable[Any]]

# What a single record is told, because its letters or its parts would be taken for records.
_IN_A_LIST = "a single record is given in a list: [record]"


def as_source(source: Source, ids: Iterable[Any] | None = None) -> list[str] | Iterator[Block]:
    """The paths of files, or an iterator of blocks of records.

    A string is a path, because users name a file far more often than they pass one sequence. Strings in a list are
    sequences, unless the first looks like a file's name.
    """
    if isinstance(source, (str, os.PathLike)):
        return _file(os.fspath(source), ids)
    _refuse_one_record(source, ids)
    ids = None if ids is None else _items(ids)
    if isinstance(source, Mapping):
        return _mapping(source, ids)
    column: Any = source
    package, kind = type(source).__module__.partition(".")[0], type(source).__name__
    if package in ("pyarrow", "polars", "pandas") and kind in ("Table", "RecordBatch", "DataFrame"):
        return _table(source, ids)
    if package == "pyarrow" and kind.endswith("Array"):
        chunks = column.chunks if kind == "ChunkedArray" else [column]
        if not any(is_path(chunk[0].as_py()) for chunk in chunks if len(chunk)):
            return _blocks.of_column(chunks, ids)
    items = _items(source)
    first = list(islice(items, 1))
    rest = chain(first, items)
    if first and is_path(first[0]):
        if ids is not None:
            raise InputError(f"ids are given for a file: {os.fspath(first[0])}", "a file's records have ids of their own")
        return path_list(rest)
    if ids is None and package == "pandas" and kind == "Series":
        ids = column.index
    return _blocks.of_records(rest) if ids is None else _blocks.of_pairs(ids, rest)


def _file(path: str, ids: Iterable[Any] | None) -> list[str]:
    if ids is not None:
        raise InputError("ids are given for a file", "a file's records have ids of their own")
    if (path.isalpha() and path.isupper() or "\n" in path) and not os.path.exists(path):
        raise InputError(f"there is no file {path[:60]!r}", "a single sequence is given in a list")
    return [path]


def _refuse_one_record(source: Any, ids: Iterable[Any] | None) -> None:
    """Raises if a source is not several records, but one of them, or an open file."""
    refuse_open_file(source)
    kind = type(source).__name__
    if isinstance(source, (bytes, bytearray)):
        raise InputError(f"the source is {kind}", "give a path as str, or a list of sequences")
    if any(base.__module__ == "Bio.Seq" for base in type(source).__mro__):
        raise InputError(f"the source is one sequence: a {kind}", _IN_A_LIST)
    if getattr(source, "shape", None) == ():
        raise InputError("the source is an array of no dimension", _IN_A_LIST)
    if isinstance(source, Mapping):
        if is_letters(source.get("sequence")):
            raise InputError("the source is one record: a mapping with a sequence", _IN_A_LIST)
    elif isinstance(source, tuple) and len(source) == 2 and not hasattr(source, "_fields"):
        if ids is None and all(is_letters(item) and not is_path(item) for item in source):
            raise InputError("the source is a tuple of two texts: two sequences, or an id and a sequence", "give a list")
    elif any(is_letters(getattr(source, name, None)) for name in ("seq", "sequence")):
        raise InputError(f"the source is one record: a {kind}", _IN_A_LIST)


def _items(source: Any) -> Iterator[Any]:
    # Columns of pyarrow, polars, pandas and NumPy give Python values by one of these.
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(source, method):
            return iter(getattr(source, method)())
    try:
        return iter(source)
    except TypeError:
        raise InputError(
            f"the source is a {type(source).__name__}",
            "give paths of files, or sequences: strings, (id, sequence) pairs, mappings with id and sequence, SeqRecord",
        ) from None


def _mapping(source: Mapping[Any, Any], ids: Iterable[Any] | None) -> Iterator[Block]:
    """A batch of columns, as `datasets` and Ray pass it, or sequences by their ids."""
    sequences = source.get("sequence")
    if is_missing(sequences):
        if ids is not None:
            raise InputError("ids are given for a mapping", "its keys, or its column id, are the ids")
        return _blocks.of_pairs(source.keys(), source.values())
    return _sequences(sequences, source.get("id") if ids is None else ids)


def _table(source: Any, ids: Iterable[Any] | None) -> Iterator[Block]:
    """The columns ``sequence``, and ``id`` if there is one, of a table."""
    names = list(getattr(source, "column_names", None) or source.columns)
    for name in ("sequence", "id"):
        if names.count(name) > 1:
            raise InputError(f"the table has {names.count(name)} columns {name}", "leave one of them")
    if "sequence" not in names:
        raise InputError(f"the table has no column sequence: it has {', '.join(map(str, names))}")
    return _sequences(source["sequence"], source["id"] if ids is None and "id" in names else ids)


def _sequences(column: Any, ids: Iterable[Any] | None) -> Iterator[Block]:
    """The records of a column, which holds no paths."""
    found = as_source(column, ids)
    if isinstance(found, list):
        raise InputError(f"the column sequence names a file: {found[0]}", "give the paths alone, in a list")
    return found
