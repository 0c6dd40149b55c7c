"""Verdicts on records: viral or not."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from virpack import _options, _virpack
from virpack._embeddings import Summary, or_existing
from virpack._errors import InputError
from virpack._run import ProgressCallback, hook, warn
from virpack._source import as_source

if TYPE_CHECKING:
    import pandas as _pd
    import polars as _pl

# The published pipelines: the chunk length in bases, by name.
_PRESETS = {"virnucpro-500": 500, "virnucpro-300": 300}

# The types of columns other than text.
_INTEGERS = {
    "length",
    "chunks",
    "chunks_classified",
    "chunks_viral",
    "chunk",
    "start",
    "end",
    "region",
    "record",
    "frames",
}
_FLOATS = {
    "viral_fraction",
    "virus_score",
    "fdr",
    "max_score_other",
    "max_score_virus",
    "score",
    "score_other",
    "score_virus",
    "mean_score_virus",
}
_FLAGS = {"is_virus"}
_WORDS = {"True": True, "False": False}

Path_ = str | os.PathLike[str]

Table = dict[str, npt.NDArray[Any]]
"""A table by columns: int64, float64 (NaN for a missing value), or objects (str; True, False or None for flags)."""


class Verdicts:
    """Verdicts on records, and their scores: the tables of ``virpack predict`` as columns.

    Attributes
    ----------
    records : dict of arrays [n]
        A row for each record: ``sequence_id``, ``virus_score``, ``call`` (``viral``, ``uncertain``, ``cellular``), ``fdr``, …
    chunks : dict of arrays
        A row for each chunk of a record.
    frames : dict of arrays
        A row for each open reading frame.
    regions : dict of arrays
        A row for each run of viral chunks.
    report : dict
        The contents of ``run.json``.
    """

    def __init__(self, directory: Path_, report: dict[str, Any]) -> None:
        directory = Path(directory)
        self.records = _table(directory / "sequences.tsv")
        self.chunks = _table(directory / "chunks.tsv")
        self.frames = _table(directory / "frames.tsv")
        self.regions = _table(directory / "regions.tsv")
        self.report = report

    def __len__(self) -> int:
        return len(self.records["sequence_id"])

    def __repr__(self) -> str:
        calls = [f"{int((self.records['call'] == call).sum())} {call}" for call in ("viral", "uncertain", "cellular")]
        return f"Verdicts({len(self)} records: {', '.join(calls)})"

    def to_pandas(self, table: str = "records") -> _pd.DataFrame:
        """A table as a data frame: ``records``, ``chunks``, ``frames`` or ``regions``."""
        found: _pd.DataFrame = _frame("pandas", self._named(table))
        return found

    def to_polars(self, table: str = "records") -> _pl.DataFrame:
        """A table as a data frame: ``records``, ``chunks``, ``frames`` or ``regions``."""
        columns = self._named(table)
        texts = {name: bool if name in _FLAGS else str for name, column in columns.items() if column.dtype == object}
        values = {name: column.tolist() if name in texts else column for name, column in columns.items()}
        found: _pl.DataFrame = _frame("polars", values, schema_overrides=texts)
        return found

    def _named(self, table: str) -> Table:
        _options.choice("table", table, ("records", "chunks", "frames", "regions"))
        found: Table = getattr(self, table)
        return found


@overload
def predict(
    source: Path_ | Iterable[Any],
    output: None = None,
    *,
    model: Path_ | None = ...,
    preset: str | None = ...,
    classifier: Path_ | None = ...,
    nucleotide_classifier: Path_ | None = ...,
    protein_model: Path_ | None = ...,
    nucleotide_model: Path_ | None = ...,
    length: int | None = ...,
    min_length: int = ...,
    genetic_code: int = ...,
    min_score: float | None = ...,
    prevalence: float = ...,
    min_chunk_score: float | None = ...,
    device: str = ...,
    dtype: str | None = ...,
    threads: int | None = ...,
    device_timeout: int | None = ...,
    token_budget: int | None = ...,
    buffer_size: int | None = ...,
    progress: ProgressCallback | None = ...,
) -> Verdicts: ...
@overload
def predict(
    source: Path_ | Iterable[Any],
    output: Path_,
    *,
    model: Path_ | None = ...,
    preset: str | None = ...,
    classifier: Path_ | None = ...,
    nucleotide_classifier: Path_ | None = ...,
    protein_model: Path_ | None = ...,
    nucleotide_model: Path_ | None = ...,
    length: int | None = ...,
    min_length: int = ...,
    genetic_code: int = ...,
    min_score: float | None = ...,
    prevalence: float = ...,
    min_chunk_score: float | None = ...,
    compat: str | None = ...,
    device: str = ...,
    dtype: str | None = ...,
    threads: int | None = ...,
    device_timeout: int | None = ...,
    token_budget: int | None = ...,
    buffer_size: int | None = ...,
    resume: bool = ...,
    checkpoint: bool = ...,
    force: bool = ...,
    progress: ProgressCallback | None = ...,
) -> Summary: ...
def predict(
    source: Path_ | Iterable[Any],
    output: Path_ | None = None,
    *,
    model: Path_ | None = None,
    preset: str | None = None,
    classifier: Path_ | None = None,
    nucleotide_classifier: Path_ | None = None,
    protein_model: Path_ | None = None,
    nucleotide_model: Path_ | None = None,
    length: int | None = None,
    min_length: int = 0,
    genetic_code: int = 1,
    min_score: float | None = None,
    prevalence: float = 0.1,
    min_chunk_score: float | None = None,
    compat: str | None = None,
    device: str = "auto",
    dtype: str | None = None,
    threads: int | None = None,
    device_timeout: int | None = None,
    token_budget: int | None = None,
    buffer_size: int | None = None,
    resume: bool = False,
    checkpoint: bool = True,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> Verdicts | Summary:
    """Find viruses: a verdict and scores for each contig or read, as ``virpack predict`` gives them.

    Parameters
    ----------
    source
        A path, or several, of FASTA, FASTQ or BAM of nucleotides; or sequences, as `virpack.embed` takes them.
    output
        A directory for the tables instead of returning them; it is created if it is missing.
    model
        A directory of two models with their classifiers; None: virpack-mini, which is built in.
    preset
        ``virnucpro-500`` or ``virnucpro-300``: the published pipeline, with the classifier from the working directory, or
        `classifier`.
    classifier, nucleotide_classifier, protein_model, nucleotide_model
        A classifier of your own, and the models that it takes.
    length
        Bases of a chunk; None: the length in the training of the classifier.
    min_length
        Shorter records have a row and are not computed.
    genetic_code
        NCBI's number.
    min_score
        The lowest ``virus_score``, 0 to 1, of a viral record; None: 0.7.
    prevalence
        The share of viral records that you expect, on which ``fdr`` depends.
    min_chunk_score
        The lowest ``score_virus`` of a viral chunk, which must also reach its ``score_other``; None: no minimum.
    compat
        With an output: write VirNucPro's two files too, with the columns of ``virnucpro`` or ``broad``.
    device, dtype, threads, device_timeout, token_budget, buffer_size
        As those of `virpack.embed`.
    resume, checkpoint, force
        With an output: continue an unfinished run of the same files, or return the results of a complete one; write
        checkpoints during a run of files; replace existing tables.
    progress
        Called with a `Progress` several times a second. An exception that it raises ends the run.

    Returns
    -------
    Verdicts
        Without `output`: the tables as columns.
    Summary
        With `output`: the files, and the contents of ``run.json``.

    Raises
    ------
    InputError, ModelError, DeviceError, OutOfMemory, OutputError
        Each an `Error` with ``hint`` and ``exit_code``.

    Examples
    --------
    >>> import virpack
    >>> verdicts = virpack.predict([("contig", "ATGGCTAGC" * 60)])
    >>> verdicts.records["length"]
    array([540])
    """
    if (model is not None) + (preset is not None or classifier is not None) > 1:
        raise InputError("model is given with a preset or a classifier", "a model's directory has its classifiers")
    _options.choice("compat", compat, ("virnucpro", "broad"), optional=True)
    options: dict[str, Any] = {
        "model": _text("model", model),
        "name": preset,
        "classifier": _classifier(preset, classifier),
        "nucleotide_classifier": _text("nucleotide_classifier", nucleotide_classifier),
        "protein_model": _text("protein_model", protein_model),
        "nucleotide_model": _text("nucleotide_model", nucleotide_model),
        "runs_on": _options.runs_on(device, dtype, threads, device_timeout),
        "compat": compat if compat is not None or preset is None else "virnucpro",
    }
    numbers = {
        "length": length,
        "min_length": min_length,
        "genetic_code": genetic_code,
        "min_score": min_score,
        "prevalence": prevalence,
        "min_chunk_score": min_chunk_score,
        "token_budget": token_budget,
        "buffer_size": buffer_size,
        "resume": resume,
        "checkpoint": checkpoint,
        "force": force,
    }
    options.update(_options.checked(numbers))
    others = (nucleotide_classifier, protein_model, nucleotide_model)
    if options["classifier"] is None and any(other is not None for other in others):
        raise InputError("a model is given without its classifier", "name the classifier that it was trained with")
    if output is not None:
        options["output"] = _options.output_path(output, "directory")
        found = as_source(source)
        _options.resumable(found, resume)
        return or_existing("records", lambda: _summary(_virpack.predict_source(found, options, True, hook(progress))))
    if resume or force:
        raise InputError("resume and force are for an output", "name one with output=")
    found = as_source(source)
    # An interrupted run may still write its end there.
    with tempfile.TemporaryDirectory(prefix="virpack-", ignore_cleanup_errors=True) as scratch:
        directory = Path(scratch, "verdicts")
        options.update(output=os.fspath(directory), checkpoint=False)
        written = _virpack.predict_source(found, options, False, hook(progress))
        return Verdicts(directory, _summary(written).report)


def _classifier(preset: str | None, classifier: Path_ | None) -> str | None:
    if preset is not None:
        _options.choice("preset", preset, tuple(_PRESETS))
    if classifier is not None or preset is None:
        return _text("classifier", classifier)
    names = [f"{_PRESETS[preset]}_model.{ending}" for ending in ("pth", "safetensors")]
    found = next((name for name in names if os.path.exists(name)), None)
    if found is None:
        raise InputError(f"{preset} needs {names[0]}, which is not in the working directory", "name the classifier's file")
    return found


def _summary(written: tuple[str, list[Any], int, list[str]]) -> Summary:
    report, files, records, remarks = written
    warn(remarks)
    return Summary(report, [os.fspath(file) for file in files], records, 0)


def _text(name: str, path: Path_ | None) -> str | None:
    return None if path is None else _options.path(name, path)


def _table(path: Path) -> Table:
    """The columns of a table, whose cells with a quote are quoted as in CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file, delimiter="\t")
    columns = zip(*rows) if rows else [()] * len(names)
    return {name: _array(name, column) for name, column in zip(names, columns)}


def _array(name: str, column: tuple[str, ...]) -> npt.NDArray[Any]:
    if name in _FLAGS:
        return np.array([_WORDS.get(value) for value in column], dtype=object)
    if name in _INTEGERS and "NA" not in column:
        return np.array([int(value) for value in column], dtype=np.int64)
    if name in _FLOATS or name in _INTEGERS:
        return np.array([np.nan if value == "NA" else float(value) for value in column], dtype=np.float64)
    return np.array(column, dtype=object)


def _frame(package: str, columns: Any, **options: Any) -> Any:
    try:
        return __import__(package).DataFrame(columns, **options)
    except ImportError as error:
        raise ImportError(f"Verdicts.to_{package} needs {package}: pip install {package}") from error
