"""Blocks of records, in the form that Rust takes: ids and letters of single records, or of a column of Arrow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice, zip_longest
from typing import TYPE_CHECKING, Any, Union

from virpack._errors import InputError
from virpack._paths import ends_as_file

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Block = Union[
        tuple[list[str], list[Union[str, bytes]]],
        tuple[list[str], npt.NDArray[np.uint8], npt.NDArray[np.int64]],
    ]

# The number of records that are passed on at once.
_BLOCK = 512

# A gap in a sequence; before the extension in the name of a file.
_POINT = ord(".")

# What a class without a text of its own has.
_NO_TEXT: Any = object.__str__

# Marks the end of one of two iterables.
_ENDED = object()


def of_records(records: Iterable[Any]) -> Iterator[Block]:
    """The blocks of records, each with its id; the number of a bare sequence, from 0, is its id."""
    return _blocks(_with_letters(number, *_record(number, record)) for number, record in enumerate(records))


def of_pairs(ids: Iterable[Any], sequences: Iterable[Any]) -> Iterator[Block]:
    """The blocks of ids and sequences, which must be as many."""
    return _blocks(_paired(ids, sequences))


def of_column(chunks: Iterable[Any], ids: Iterable[Any] | None) -> Iterator[Block]:
    """The blocks of columns of Arrow: the letters are read in place, from one buffer."""
    import numpy as np
    import pyarrow as pa

    names = (_id(number, id) for number, id in enumerate(count() if ids is None else ids))
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
            yield from _of_values(number - len(chunk), zip(own_names, chunk.to_pylist()))
            continue
        _, offsets, letters = chunk.buffers()
        kind = np.int64 if wide else np.int32
        bounds = np.frombuffer(offsets, dtype=kind)[chunk.offset : chunk.offset + len(chunk) + 1]
        data = np.frombuffer(letters, dtype=np.uint8) if letters is not None else np.empty(0, dtype=np.uint8)
        for begin in range(0, len(chunk), _BLOCK):
            own = bounds[begin : begin + _BLOCK + 1].astype(np.int64)
            names_here, letters_here = own_names[begin : begin + _BLOCK], data[own[0] : own[-1]]
            if (letters_here == _POINT).any():
                # One of these may be the name of a file.
                pairs = zip(names_here, chunk[begin : begin + _BLOCK].to_pylist())
                yield from _of_values(number - len(chunk) + begin, pairs)
            else:
                yield names_here, letters_here, own - own[0]
    if ids is not None and next(names, None) is not None:
        raise _unequal(number, fewer_ids=False)


def _of_values(first: int, pairs: Iterable[tuple[str, Any]]) -> Iterator[Block]:
    """The blocks of ids and sequences, of which the first is record ``first``."""
    return _blocks(_with_letters(number, id, sequence) for number, (id, sequence) in enumerate(pairs, first))


def _blocks(records: Iterator[tuple[str, str | bytes]]) -> Iterator[Block]:
    while block := list(islice(records, _BLOCK)):
        yield [id for id, _ in block], [letters for _, letters in block]


def _paired(ids: Iterable[Any], sequences: Iterable[Any]) -> Iterator[tuple[str, str | bytes]]:
    for number, (id, sequence) in enumerate(zip_longest(ids, sequences, fillvalue=_ENDED)):
        if id is _ENDED or sequence is _ENDED:
            raise _unequal(number, fewer_ids=id is _ENDED)
        yield _with_letters(number, _id(number, id), sequence)


def _unequal(number: int, *, fewer_ids: bool) -> InputError:
    """The error if ids and sequences do not end together, but one of them after ``number``."""
    few, many = ("ids", "sequences") if fewer_ids else ("sequences", "ids")
    return InputError(f"there are {number} {few}, and more {many}", "give one id for each sequence")


def _record(number: int, record: Any) -> tuple[str, Any]:
    """A record's id and its sequence."""
    if isinstance(record, (str, bytes)):
        return str(number), record
    if type(record) is tuple and len(record) == 2:
        return _id(number, record[0]), record[1]
    if isinstance(record, os.PathLike):
        raise InputError(f"record {number} is a path among sequences", "give paths alone, or sequences alone")
    if isinstance(record, Mapping):
        if "sequence" not in record:
            raise InputError(f"record {number} has no sequence: its keys are {', '.join(map(repr, record))}")
        return _id(number, record.get("id", number)), record["sequence"]
    # Biopython's SeqRecord has `seq`, the records of virpack, pyfaidx and pysam have other names.
    for name in ("seq", "sequence"):
        if hasattr(record, name):
            return _id(number, getattr(record, "id", getattr(record, "name", number))), getattr(record, name)
    if isinstance(record, tuple) and len(record) == 2:
        return _id(number, record[0]), record[1]
    if is_missing(record) or is_letters(record):
        return str(number), record
    raise InputError(
        f"record {number} is a {type(record).__name__}",
        "records are strings, (id, sequence) pairs, mappings with id and sequence, or SeqRecord",
    )


def _id(number: int, id: Any) -> str:
    if isinstance(id, str):
        return id
    if is_missing(id):
        raise InputError(f"record {number} has no id: it is {id}", "give each record an id, or give none")
    return id.decode(errors="replace") if isinstance(id, bytes) else str(id)


def _with_letters(number: int, id: str, sequence: Any) -> tuple[str, str | bytes]:
    """A record's id and letters, which are never made of a value that is something else."""
    if isinstance(sequence, bytearray):
        sequence = bytes(sequence)
    is_text = isinstance(sequence, (str, bytes))
    if is_text and not ends_as_file(sequence):
        return id, sequence
    record = f"record {number} ({id[:60]})"
    if is_text:
        raise InputError(f"{record} is the name of a file: {sequence!r}", "give paths alone, without ids")
    if is_missing(sequence):
        raise InputError(f"{record} has no sequence: it is {sequence}", "leave it out, or give its letters")
    if not is_letters(sequence):
        raise InputError(f"{record} has a {type(sequence).__name__} as its sequence", "give str, bytes or Biopython's Seq")
    return id, str(sequence)


def is_letters(value: Any) -> bool:
    """Whether a value is the letters of a sequence: text, or an object like Biopython's ``Seq``, which has a text of its own."""
    if isinstance(value, (str, bytes, bytearray)):
        return True
    # Numbers have no length, lists have no text of their own, and arrays are columns.
    return type(value).__str__ is not _NO_TEXT and hasattr(value, "__len__") and not hasattr(value, "__array__")


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, and what pandas has for them."""
    if isinstance(value, float):
        return value != value
    return value is None or type(value).__name__ in ("NAType", "NaTType")
