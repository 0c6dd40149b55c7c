"""Reads records and open frames from files, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from virpack import _virpack
from virpack._run import warn
from virpack._errors import InputError
from virpack._paths import path_list


class Record(NamedTuple):
    """One sequence of an input.

    Attributes
    ----------
    id : str
        The first word of the header.
    description : str
        The rest of the header.
    sequence : str
        Letters as they are in the file, without line ends.
    record_index : int
        The record's place over all inputs, from 0.
    source : str
        The input's path.
    line : int
        The line of the header in that input, from 1; in BAM the record's number.
    """

    id: str
    description: str
    sequence: str
    record_index: int
    source: str
    line: int


class OpenFrame(NamedTuple):
    """A reading frame of a chunk without a stop codon.

    Attributes
    ----------
    id : str
        The record's id.
    record_index : int
        The record's place over all inputs, from 0.
    chunk : int
        The chunk's number in its record, from 1.
    start : int
        The chunk's first base in its record, from 0.
    frame : str
        ``F1`` to ``R3``.
    nucleotides : str
        The bases in reading direction, in capitals, U as T.
    protein : str
        The protein that they encode.
    """

    id: str
    record_index: int
    chunk: int
    start: int
    frame: str
    nucleotides: str
    protein: str


def read(*paths: str | os.PathLike[str], shard: tuple[int, int] | None = None) -> Iterator[Record]:
    """Read FASTA, FASTQ or BAM, plain or compressed, record by record in bounded memory.

    Parameters
    ----------
    *paths
        Files, which are read one after the other. Each is opened before the first record, so that a mistyped name
        fails immediately.
    shard : (int, int), optional
        ``(i, n)``: only every ``n``-th record, from record ``i``, which counts from 0.

    Yields
    ------
    Record

    Raises
    ------
    InputError
        A file that is missing or damaged, with its place, after all records before it.

    Examples
    --------
    >>> import virpack
    >>> for record in virpack.read("examples/proteins.fasta"):
    ...     print(record.id, len(record.sequence))
    sp|P0CG48|UBC_HUMAN 76
    sp|P01308|INS_HUMAN 110
    sp|P00698|LYSC_CHICK 129
    sp|P42212|GFP_AEQVI 238
    """
    return _records(_virpack.Reader(_each(paths), shard or (0, 1)))


def _each(paths: tuple[str | os.PathLike[str], ...]) -> list[str]:
    if paths and isinstance(paths[0], (list, tuple)):
        raise InputError(f"the paths are in a {type(paths[0]).__name__}", "give them one by one, as in read(*paths)")
    return path_list(paths)


def _records(reader: _virpack.Reader) -> Iterator[Record]:
    yield from map(Record._make, reader)
    warn(reader.remarks())


def frames(
    *paths: str | os.PathLike[str],
    length: int = 500,
    genetic_code: int = 1,
    shard: tuple[int, int] | None = None,
) -> Iterator[OpenFrame]:
    """Cut nucleotide records into chunks and find the open reading frames of each, as VirNucPro does.

    Parameters
    ----------
    *paths
        Files of nucleotides, as in `read`.
    length
        Bases of a chunk. Chunks of one record overlap so that all have this length.
    genetic_code
        NCBI's number of the genetic code.
    shard : (int, int), optional
        As in `read`.

    Yields
    ------
    OpenFrame
        In input order: record by record, chunk by chunk, frame by frame.

    Raises
    ------
    InputError
        As in `read`, and a record that holds a protein.
    """
    return _frames(_virpack.Frames(_each(paths), length, genetic_code, shard or (0, 1)))


def _frames(reader: _virpack.Frames) -> Iterator[OpenFrame]:
    yield from map(OpenFrame._make, reader)
    warn(reader.remarks())
