"""Embeddings in memory, and the results of a run to a file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from virpack import _virpack
from virpack._errors import InputError, OutputError
from virpack._run import logger

if TYPE_CHECKING:
    import anndata as _anndata
    import pandas as _pd
    import polars as _pl
    import pyarrow as _pa


class Skipped(NamedTuple):
    """A record without an embedding.

    Attributes
    ----------
    record : int
        Its place in the source, from 0.
    line : int
        The line of its header in a file, or its number in memory, from 1.
    id : str
    length : int
        Residues, or bases.
    reason : str
        ``empty``, ``too_short`` or ``too_long``.
    """

    record: int
    line: int
    id: str
    length: int
    reason: str


class Embeddings:
    """Embeddings of records, in the order of the source.

    Attributes
    ----------
    ids : list of str [n]
    values : float32 array [n, hidden]
        With ``pool=None`` the rows of all residues end to end, [residues, hidden].
    records : int64 array [n]
        Each record's place in the source, from 0; it differs from the row number if records were skipped.
    lengths : int64 array [n]
        Residues, or bases, of each record, before truncation.
    truncated : bool array [n]
        Whether only the record's beginning was embedded.
    unknown : int64 array [n]
        Letters that the model does not know.
    gaps : int64 array [n]
        Gap characters, ``-`` and ``.``.
    sources : list of str [n] or None
        With several files: the file of each record, as it was given.
    residues : int64 array [n] or None
        With ``pool=None``: the number of rows in ``values`` of each record.
    skipped : list of Skipped
        The records without an embedding, each with its reason.
    """

    def __init__(self, rows: _virpack.Rows) -> None:
        self.ids: list[str] = rows.ids
        self.values: npt.NDArray[np.float32] = rows.values
        self.records: npt.NDArray[np.int64] = rows.records
        self.lengths: npt.NDArray[np.int64] = rows.lengths
        self.truncated: npt.NDArray[np.bool_] = rows.truncated
        self.unknown: npt.NDArray[np.int64] = rows.unknown
        self.gaps: npt.NDArray[np.int64] = rows.gaps
        self.sources: list[str] | None = rows.sources
        self.residues: npt.NDArray[np.int64] | None = rows.residues
        self.skipped = [Skipped(*skipped) for skipped in rows.skipped]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Each id with its values, [hidden] or [residues, hidden]."""
        return ((id, self[row]) for row, id in enumerate(self.ids))

    def __getitem__(self, row: int) -> npt.NDArray[np.float32]:
        """The values of a record, [hidden] or [residues, hidden]; a view."""
        if self.residues is None:
            found: npt.NDArray[np.float32] = self.values[row]
            return found
        if not -len(self) <= row < len(self):
            raise IndexError(f"record {row} of {len(self)}")
        row %= len(self)
        return self.values[self._ends[row] - self.residues[row] : self._ends[row]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if dtype is None or np.dtype(dtype) == self.values.dtype:
            return self.values.copy() if copy else self.values
        if copy is False:
            raise ValueError(f"the values are float32: {dtype} is a copy")
        return self.values.astype(dtype)

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"Embeddings({len(self)} records, values {list(self.values.shape)}{skipped})"

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        assert self.residues is not None
        ends: npt.NDArray[np.int64] = np.cumsum(self.residues)
        return ends

    def to_dict(self) -> dict[str, npt.NDArray[np.float32]]:
        """Each record's values by its id; views.

        Raises
        ------
        InputError
            An id that occurs twice: one of its rows would be lost.
        """
        found = dict(self)
        if len(found) < len(self):
            twice = next(id for id, times in Counter(self.ids).items() if times > 1)
            raise InputError(f"the id {twice!r} comes twice", "iterate over the embeddings, or give ids of your own")
        return found

    def to_arrow(self) -> _pa.Table:
        """A table with the columns of a written Parquet file.

        They are ``id``, with several files ``source``, ``length``, ``truncated``, ``unknown``, ``gaps`` and ``embedding``.
        ``embedding`` is a fixed-size list of float32 over the same memory; with ``pool=None`` a list of such lists.
        """
        pa = _package("pyarrow", "to_arrow")
        hidden = self.values.shape[1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(self.values.reshape(-1)), hidden)
        if self.residues is not None:
            offsets = np.concatenate([np.zeros(1, dtype=np.int64), self._ends])
            column = pa.LargeListArray.from_arrays(pa.array(offsets), column)
        columns = self._columns()
        for name in {"id", "source"} & columns.keys():
            columns[name] = pa.array(columns[name], pa.string())
        return pa.table({**columns, "embedding": column})

    def to_polars(self) -> _pl.DataFrame:
        """The table of `to_arrow`, with ``embedding`` as ``pl.Array(pl.Float32, hidden)``."""
        polars = _package("polars", "to_polars")
        if self.residues is not None:
            residues: _pl.DataFrame = polars.from_arrow(self.to_arrow())
            return residues
        shape = polars.Array(polars.Float32, self.values.shape[1])
        embedding = polars.Series("embedding", self.values, dtype=shape)
        columns = polars.DataFrame(self._columns(), schema_overrides={"id": str, "source": str})
        frame: _pl.DataFrame = columns.with_columns(embedding)
        return frame

    def to_pandas(self) -> _pd.DataFrame:
        """A frame with the ids as index, the columns of `to_arrow`, and ``embedding`` as arrays."""
        pandas = _package("pandas", "to_pandas")
        columns = self._columns()
        index = pandas.Index(columns.pop("id"), name="id")
        embedding = pandas.Series([self[row] for row in range(len(self))], index=index, dtype=object)
        return pandas.DataFrame(columns, index=index).assign(embedding=embedding)

    def to_anndata(self) -> _anndata.AnnData:
        """``X`` are the values, ``obs`` the ids, lengths and flags; not for ``pool=None``."""
        package = _package("anndata", "to_anndata")
        if self.residues is not None:
            raise InputError("AnnData has one row for each record", "embed with a pool")
        pandas = _package("pandas", "to_anndata")
        columns = self._columns()
        obs = pandas.DataFrame(columns, index=pandas.Index(columns.pop("id"), name="id"))
        return package.AnnData(X=self.values, obs=obs)

    def _columns(self) -> dict[str, Any]:
        """The columns of a written Parquet file before ``embedding``."""
        return {
            "id": self.ids,
            **({} if self.sources is None else {"source": self.sources}),
            "length": self.lengths,
            "truncated": self.truncated,
            "unknown": self.unknown,
            "gaps": self.gaps,
        }


class Summary:
    """The results of a run that wrote files.

    Attributes
    ----------
    files : list of str
        The files written, the requested one first.
    rows : int
        Records with an embedding, or with a row.
    skipped : int
        Records without one.
    report : dict
        The contents of ``OUT.run.json``.
    """

    def __init__(self, report: str, files: list[str], rows: int, skipped: int) -> None:
        self.files = files
        self.rows = rows
        self.skipped = skipped
        self.report: dict[str, Any] = json.loads(report)

    def __repr__(self) -> str:
        output = self.files[0] if self.files else self.report.get("output")
        return f"Summary({output!r}, {self.rows} rows, {self.skipped} skipped)"


def or_existing(rows: str, run: Callable[[], Summary]) -> Summary:
    """The results of a run; if its output is complete already, those in the report of the run that made it.

    ``rows`` is the name of the count of rows in the report.
    """
    try:
        return run()
    except OutputError as error:
        path = error.facts.get("complete_report")
        if path is None:
            raise
        logger.info("%s", error.message)
    text = Path(path).read_text(encoding="utf-8")
    report = json.loads(text)
    names = dict.fromkeys([*report["files"], Path(path).name])
    files = [os.fspath(Path(path).with_name(name)) for name in names]
    return Summary(text, files, report["counts"][rows], report["counts"].get("skipped", 0))


def _package(name: str, function: str) -> Any:
    """A package that virpack does not require."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(f"Embeddings.{function} needs {name}: pip install {name}") from error
