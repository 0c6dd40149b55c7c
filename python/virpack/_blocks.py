"""The sources of records: files by their paths, or sequences from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice, zip_longest
from typing import TYPE_CHECKING, Any, Union

from virpack._errors import InputError
from virpack._source import Source, is_path, path_list

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Block = Union[
        tuple[list[str], list[Union[str, bytes]]],
        tuple[list[str], npt.NDArray[np.uint8], npt.NDArray[np.int64]],
    ]

# The number of records that are passed on at once.
_BLOCK = 512

# Marks the end of one of two iterables.
_ENDED = object()


def as_source(source: Source, ids: Iterable[Any] | None = None) -> list[str] | Iterator[_Block]:
    """The paths of files, or an iterator of blocks of records.

    A string is a path, because users name a file far more often than they pass one sequence.
    """
    if isinstance(source, (str, os.PathLike)):
        if ids is not None:
            raise InputError("ids are given for a file", "a file's records have ids of their own")
        path = os.fspath(source)
        if path.isalpha() and path.isupper() and not os.path.exists(path):
            raise InputError(f"there is no file {path[:60]!r}", "a single sequence is given in a list")
        return [path]
    if isinstance(source, bytes):
        raise InputError("the source is bytes", "give a path as str, or a list of sequences")
    if isinstance(source, Mapping):
        return _mapping(source, ids)
    column = _column(source)
    if column is not None:
        return column(ids)
    try:
        records = iter(source)
    except TypeError:
        raise InputError(
            f"the source is a {type(source).__name__}",
            "give paths of files, or sequences: strings, (id, sequence) pairs, mappings with id and sequence, SeqRecord",
        ) from None
    if ids is not None:
        return _blocks(_paired(ids, records))
    try:
        first = next(records)
    except StopIteration:
        return iter(())
    if is_path(first):
        return path_list([first, *records])
    return _blocks(_records(first, records))


def _text_ids(ids: Iterable[Any]) -> Iterator[str]:
    return (id if isinstance(id, str) else str(id) for id in ids)


def _paired(ids: Iterable[Any], sequences: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Each sequence with its id, if there is one for each."""
    for number, (id, sequence) in enumerate(zip_longest(_text_ids(ids), sequences, fillvalue=_ENDED)):
        if id is _ENDED or sequence is _ENDED:
            raise _unequal(number, fewer_ids=id is _ENDED)
        yield str(id), sequence


def _unequal(number: int, *, fewer_ids: bool) -> InputError:
    """The error if ids and sequences do not end together, but one of them after ``number``."""
    few, many = ("ids", "sequences") if fewer_ids else ("sequences", "ids")
    return InputError(f"there are {number} {few}, and more {many}", "give one id for each sequence")


def _records(first: Any, others: Iterator[Any]) -> Iterator[tuple[str, str | bytes]]:
    yield _record(0, first)
    for number, record in enumerate(others, 1):
        yield _record(number, record)


def _record(number: int, record: Any) -> tuple[str, str | bytes]:
    """A record's id and letters; its number is the id of a bare sequence."""
    if isinstance(record, (str, bytes)):
        return str(number), record
    if isinstance(record, tuple) and len(record) == 2:
        id, sequence = record
    elif isinstance(record, Mapping):
        if "sequence" not in record:
            raise InputError(f"record {number} has no sequence: its keys are {', '.join(map(repr, record))}")
        id, sequence = record.get("id", number), record["sequence"]
    elif hasattr(record, "seq"):
        # Biopython's SeqRecord, and the records of pyfaidx and pysam, which use other names.
        id, sequence = getattr(record, "id", getattr(record, "name", number)), record.seq
    elif hasattr(record, "sequence"):
        id, sequence = getattr(record, "id", getattr(record, "name", number)), record.sequence
    else:
        raise InputError(
            f"record {number} is a {type(record).__name__}",
            "records are strings, (id, sequence) pairs, mappings with id and sequence, or SeqRecord",
        )
    if sequence is None:
        raise InputError(f"record {number} ({id}) has no sequence: it is None")
    return str(id), sequence if isinstance(sequence, (str, bytes)) else str(sequence)


def _blocks(records: Iterator[tuple[str, Any]]) -> Iterator[_Block]:
    while block := list(islice(records, _BLOCK)):
        yield [id for id, _ in block], [_letters(id, sequence) for id, sequence in block]


def _letters(id: str, sequence: Any) -> str | bytes:
    if isinstance(sequence, (str, bytes)):
        return sequence
    if sequence is None or isinstance(sequence, float):
        raise InputError(f"record {id} has no sequence: it is {sequence}")
    return str(sequence)


def _mapping(source: Mapping[Any, Any], ids: Iterable[Any] | None) -> Iterator[_Block]:
    """A batch of columns, as `datasets` and Ray pass it, or sequences by their ids."""
    sequences = source.get("sequence")
    if sequences is None or isinstance(sequences, (str, bytes)):
        if ids is not None:
            raise InputError("ids are given for a mapping", "its keys, or its column id, are the ids")
        return _blocks((str(id), sequence) for id, sequence in source.items())
    if ids is None:
        ids = source.get("id")
    found = as_source(sequences if hasattr(sequences, "__array__") else list(sequences), _given(ids, sequences))
    assert not isinstance(found, list)
    return found


def _given(ids: Iterable[Any] | None, sequences: Any) -> Iterable[Any]:
    return range(len(sequences)) if ids is None else ids


def _column(source: Any) -> Callable[[Iterable[Any] | None], Iterator[_Block]] | None:
    """The reader of a column of pyarrow, polars or pandas; None for anything else."""
    package = type(source).__module__.partition(".")[0]
    kind = type(source).__name__
    if package == "pyarrow" and kind == "ChunkedArray":
        return lambda ids: _arrow(source.chunks, ids)
    if package == "pyarrow" and kind.endswith("Array"):
        return lambda ids: _arrow([source], ids)
    if package == "polars" and kind == "Series":
        return lambda ids: _text_column(source.to_list(), ids)
    if package == "pandas" and kind == "Series":
        return lambda ids: _text_column(source.tolist(), source.index if ids is None else ids)
    if package == "numpy" and kind == "ndarray":
        return lambda ids: _text_column(source.tolist(), ids)
    if package in ("pyarrow", "polars", "pandas") and kind in ("Table", "RecordBatch", "DataFrame"):
        return lambda ids: _table(source, ids)
    return None


def _text_column(values: list[Any], ids: Iterable[Any] | None) -> Iterator[_Block]:
    return _blocks(_paired(range(len(values)) if ids is None else ids, values))


def _table(source: Any, ids: Iterable[Any] | None) -> Iterator[_Block]:
    """The columns ``sequence``, and ``id`` if there is one, of a table."""
    names = list(getattr(source, "column_names", None) or source.columns)
    if "sequence" not in names:
        raise InputError(f"the table has no column sequence: it has {', '.join(map(str, names))}")
    if ids is None and "id" in names:
        column = source["id"]
        ids = column.to_pylist() if hasattr(column, "to_pylist") else column
    found = as_source(source["sequence"], ids)
    assert not isinstance(found, list)
    return found


def _arrow(chunks: Any, ids: Iterable[Any] | None) -> Iterator[_Block]:
    """Columns of Arrow: the letters are read in place, from one buffer."""
    import numpy as np
    import pyarrow as pa

    names = _text_ids(count() if ids is None else ids)
    number = 0
    for chunk in chunks:
        own_names = list(islice(names, len(chunk)))
        number += len(own_names)
        if len(own_names) < len(chunk):
            raise _unequal(number, fewer_ids=True)
        wide = pa.types.is_large_string(chunk.type) or pa.types.is_large_binary(chunk.type)
        if chunk.null_count:
            null = number - len(chunk) + chunk.is_null().to_pylist().index(True)
            raise InputError(f"record {null} of the column has no sequence: it is null")
        if not (wide or pa.types.is_string(chunk.type) or pa.types.is_binary(chunk.type)):
            yield from _blocks(zip(own_names, chunk.to_pylist()))
            continue
        _, offsets, letters = chunk.buffers()
        kind = np.int64 if wide else np.int32
        bounds = np.frombuffer(offsets, dtype=kind)[chunk.offset : chunk.offset + len(chunk) + 1]
        data = np.frombuffer(letters, dtype=np.uint8) if letters is not None else np.empty(0, dtype=np.uint8)
        for begin in range(0, len(chunk), _BLOCK):
            own = bounds[begin : begin + _BLOCK + 1].astype(np.int64)
            yield own_names[begin : begin + _BLOCK], data[own[0] : own[-1]], own - own[0]
    if ids is not None and next(names, None) is not None:
        raise _unequal(number, fewer_ids=False)
