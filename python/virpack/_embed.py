"""Embeddings of files and of sequences: all at once, as a stream, or into a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from virpack import _options, _virpack
from virpack._embeddings import Embeddings, Summary, or_existing
from virpack._errors import Error, InputError
from virpack._run import ProgressCallback, hook, logger, warn
from virpack._source import Source, as_source

if TYPE_CHECKING:
    from typing_extensions import Self

# The model that needs no download.
DEFAULT_MODEL = "virpack-mini/peptide"


@overload
def embed(
    source: Source,
    model: str | os.PathLike[str] = ...,
    *,
    output: None = None,
    ids: Iterable[Any] | None = ...,
    pool: str | None = ...,
    layer: int | None = ...,
    device: str = ...,
    dtype: str | None = ...,
    threads: int | None = ...,
    device_timeout: int | None = ...,
    max_length: int | None = ...,
    min_length: int = ...,
    long_records: str = ...,
    window_overlap: int | None = ...,
    token_budget: int | None = ...,
    buffer_size: int | None = ...,
    packing: bool = ...,
    progress: ProgressCallback | None = ...,
) -> Embeddings: ...
@overload
def embed(
    source: Source,
    model: str | os.PathLike[str] = ...,
    *,
    output: str | os.PathLike[str],
    ids: Iterable[Any] | None = ...,
    pool: str | None = ...,
    layer: int | None = ...,
    device: str = ...,
    dtype: str | None = ...,
    threads: int | None = ...,
    device_timeout: int | None = ...,
    max_length: int | None = ...,
    min_length: int = ...,
    long_records: str = ...,
    window_overlap: int | None = ...,
    token_budget: int | None = ...,
    buffer_size: int | None = ...,
    packing: bool = ...,
    format: str | None = ...,
    dtype_out: str = ...,
    resume: bool = ...,
    checkpoint: bool = ...,
    shard: str | None = ...,
    report: bool = ...,
    force: bool = ...,
    progress: ProgressCallback | None = ...,
) -> Summary: ...
def embed(
    source: Source,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    output: str | os.PathLike[str] | None = None,
    ids: Iterable[Any] | None = None,
    pool: str | None = "mean",
    layer: int | None = None,
    device: str = "auto",
    dtype: str | None = None,
    threads: int | None = None,
    device_timeout: int | None = None,
    max_length: int | None = None,
    min_length: int = 0,
    long_records: str = "truncate",
    window_overlap: int | None = None,
    token_budget: int | None = None,
    buffer_size: int | None = None,
    packing: bool = True,
    format: str | None = None,
    dtype_out: str = "float32",
    resume: bool = False,
    checkpoint: bool = True,
    shard: str | None = None,
    report: bool = False,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> Embeddings | Summary:
    """Embed every record of a source.

    The values have the same bits as those that ``virpack embed`` writes for the same records. Other threads keep
    running, and Ctrl-C ends the run.

    Parameters
    ----------
    source
        A path, or several, of FASTA, FASTQ or BAM, plain or compressed; or sequences: strings, ``(id, sequence)`` pairs,
        mappings with ``id`` and ``sequence``, Biopython's ``SeqRecord``; a mapping of ids to sequences, or with the columns
        ``sequence`` and ``id``; a column of pyarrow, polars, pandas or NumPy, or a table with the column ``sequence``. An
        iterator is read as far as it is needed.
    model
        A name (``esm2_t33_650M_UR50D``), ``ORG/REPO`` on the Hugging Face Hub, a directory or a file of weights;
        ``virpack-mini/peptide`` and ``virpack-mini/nucleotide`` are built in.
    output
        A file to write instead of returning the values: ``.npy``, ``.parquet``, ``.arrows``, ``.safetensors`` or ``.h5``.
    ids
        An id for each sequence, if the source has none; by default they are numbered from 0.
    pool
        How the rows of a record's residues are pooled: ``mean``, ``cls``, ``max``, or None: each residue keeps its
        row.
    layer
        The layer, from 0 (the embeddings); negative numbers count from the end. None: the last.
    device
        ``auto`` (the first usable GPU, else the CPU), ``cpu``, ``cuda:N``, several as ``cuda:0,2``, or ``cuda:all``.
    dtype
        ``float32``, ``float32-strict``, ``float16``, ``bfloat16`` or ``int8`` (H100 and H200 only); None: float16 on
        a GPU, float32 on a CPU. Values are returned in float32.
    threads
        Threads that compute on a CPU; None: one for each core.
    device_timeout
        Seconds after which a device that returns nothing is given up; None: the run waits forever.
    max_length
        Most residues, or bases, of a record; None: 1,022, or 4,000 for a nucleotide model.
    min_length
        Fewest residues, or bases; shorter records are skipped.
    long_records
        What happens to records over `max_length`: ``truncate``, ``window``, ``skip`` or ``error``.
    window_overlap
        Residues that neighbouring windows share, with ``long_records="window"``; None: 128, at most half of `max_length`.
    token_budget
        Most tokens in a batch; None: as many as fit in the device's memory.
    buffer_size
        Records collected before packing; None: 2,000, or more if the token budget is large.
    packing
        Whether several records share a batch.
    format, dtype_out, resume, checkpoint, shard, report, force
        For `output`, like the options of ``virpack embed``: the format, whatever the extension of the name (``npy``,
        ``parquet``, ``arrow``, ``safetensors``, ``h5``); the type of the values in the file; continue an unfinished
        run of the same files, or return the results of a complete one; write checkpoints during a run of files; only every N-th record, ``"I/N"``; a page
        about the rows, ``OUTPUT.report.html``; replace an existing output.
    progress
        Called with a `Progress` several times a second. An exception that it raises ends the run.

    Returns
    -------
    Embeddings
        Without `output`: ids, and values float32 [n, hidden], in the order of the source.
    Summary
        With `output`: the files, and the contents of ``run.json``.

    Raises
    ------
    InputError, ModelError, DeviceError, OutOfMemory, OutputError
        Each an `Error` with ``hint`` and ``exit_code``.

    Examples
    --------
    >>> import virpack
    >>> embeddings = virpack.embed([("a", "MKTLLV"), ("b", "MKQ")])
    >>> embeddings.ids, embeddings.values.shape
    (['a', 'b'], (2, 128))
    """
    options = _options.embedder(
        model,
        pool=pool,
        layer=layer,
        device=device,
        dtype=dtype,
        threads=threads,
        device_timeout=device_timeout,
        max_length=max_length,
        min_length=min_length,
        long_records=long_records,
        window_overlap=window_overlap,
        token_budget=token_budget,
        buffer_size=buffer_size,
        packing=packing,
    )
    if output is None:
        if resume or shard is not None or report or force or format is not None or dtype_out != "float32":
            raise InputError("format, dtype_out, resume, shard, report and force are for an output", "name one with output=")
        found = as_source(source, ids)
        return _all(_virpack.Engine(options, hook(progress)), found, progress)
    written = _options.output(
        output,
        format=format,
        dtype_out=dtype_out,
        resume=resume,
        checkpoint=checkpoint,
        shard=shard,
        report=report,
        force=force,
    )
    found = as_source(source, ids)
    if isinstance(found, list):
        return or_existing("rows", lambda: _summary(_virpack.embed_files(found, options, written, hook(progress))))
    _options.resumable(found, resume)
    return _write(_virpack.Engine(options, hook(None)), found, written, progress)


class Embedder:
    """A model that is loaded once and embeds any number of times.

    A call after the first reads no file of the model. An embedder is a context manager, and threads may share it. It
    is pickled as its arguments: unpickling it loads the model. After a fork it raises an error: create it in the
    process that uses it.

    Parameters
    ----------
    model, pool, layer, device, dtype, threads, device_timeout, max_length, min_length, long_records, window_overlap, \
token_budget, buffer_size, packing
        As those of `embed`.

    Attributes
    ----------
    model : str
    hidden_size : int
        Values in a row.
    max_length : int
        Most residues, or bases, in a sequence.
    token_budget : int
        Most tokens in a batch.
    alphabet : str or None
        ``protein`` or ``nucleotide``; None if the model takes any letters.
    device : str
        The devices, for people.
    sha256 : str
        The SHA-256 of the weights, in hexadecimal digits.

    Examples
    --------
    >>> import virpack
    >>> with virpack.Embedder("virpack-mini/peptide") as embedder:
    ...     embedder.embed(["MKTLLV"]).values.shape
    (1, 128)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        pool: str | None = "mean",
        layer: int | None = None,
        device: str = "auto",
        dtype: str | None = None,
        threads: int | None = None,
        device_timeout: int | None = None,
        max_length: int | None = None,
        min_length: int = 0,
        long_records: str = "truncate",
        window_overlap: int | None = None,
        token_budget: int | None = None,
        buffer_size: int | None = None,
        packing: bool = True,
    ) -> None:
        arguments: dict[str, Any] = {
            "pool": pool,
            "layer": layer,
            "device": device,
            "dtype": dtype,
            "threads": threads,
            "device_timeout": device_timeout,
            "max_length": max_length,
            "min_length": min_length,
            "long_records": long_records,
            "window_overlap": window_overlap,
            "token_budget": token_budget,
            "buffer_size": buffer_size,
            "packing": packing,
        }
        self.model = os.fspath(model)
        self._made_by: tuple[Callable[..., Embedder], tuple[Any, ...]] = _restored, (self.model, arguments)
        options = _options.embedder(model, **arguments)
        self._engine: _virpack.Engine | None = _virpack.Engine(options, hook(None))

    @classmethod
    def _of(cls, model: str, engine: _virpack.Engine, made_by: tuple[Callable[..., Embedder], tuple[Any, ...]]) -> Embedder:
        """The embedder of a plan: an engine, and the function that makes it again after unpickling."""
        found = cls.__new__(cls)
        found.model, found._engine, found._made_by = model, engine, made_by
        return found

    @property
    def hidden_size(self) -> int:
        return self._open().hidden_size

    @property
    def max_length(self) -> int:
        return self._open().max_length

    @property
    def token_budget(self) -> int:
        return self._open().token_budget

    @property
    def alphabet(self) -> str | None:
        return self._open().alphabet

    @property
    def device(self) -> str:
        return "; ".join(self._open().devices)

    @property
    def sha256(self) -> str:
        return self._open().sha256

    def embed(self, source: Source, ids: Iterable[Any] | None = None, *, progress: ProgressCallback | None = None) -> Embeddings:
        """Embed all records of a source, as `virpack.embed` does.

        Returns
        -------
        Embeddings
            Values float32 [n, hidden], in the order of the source.
        """
        return _all(self._open(), as_source(source, ids), progress)

    def stream(
        self,
        source: Source,
        rows: int = 10_000,
        ids: Iterable[Any] | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> Iterator[Embeddings]:
        """Embed a source of any size in bounded memory.

        Parameters
        ----------
        rows
            Rows of values in each piece but the last; with ``pool=None`` at most this number, or one record.

        Returns
        -------
        iterator of Embeddings
            In the order of the source.
        """
        rows = _options.checked({"rows": rows})["rows"]
        return _pieces(self._open().stream(as_source(source, ids), rows, hook(progress)))

    def write(
        self,
        source: Source,
        output: str | os.PathLike[str],
        ids: Iterable[Any] | None = None,
        *,
        format: str | None = None,
        dtype_out: str = "float32",
        resume: bool = False,
        checkpoint: bool = True,
        shard: str | None = None,
        report: bool = False,
        force: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Summary:
        """Write the embeddings of a source to a file, as `virpack.embed` does with an output."""
        written = _options.output(
            output,
            format=format,
            dtype_out=dtype_out,
            resume=resume,
            checkpoint=checkpoint,
            shard=shard,
            report=report,
            force=force,
        )
        found = as_source(source, ids)
        _options.resumable(found, resume)
        return or_existing("rows", lambda: _write(self._open(), found, written, progress))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Add the column ``embedding``, float32 [n, hidden], to a batch with the column ``sequence`` and maybe ``id``.

        This fits ``datasets.Dataset.map(embedder, batched=True)`` and Ray's ``map_batches``.
        """
        if "sequence" not in batch:
            raise InputError(f"the batch has no column sequence: it has {', '.join(map(repr, batch))}")
        embeddings = self.embed({"sequence": batch["sequence"]})
        if embeddings.skipped:
            first = embeddings.skipped[0]
            raise InputError(
                f"record {first.record} of the batch has no embedding: it is {first.reason}",
                "leave such records out, or use Embedder.embed, which lists them",
            )
        if embeddings.residues is not None:
            raise InputError("a batch has one row for each record", "embed with a pool")
        return {**batch, "embedding": embeddings.values}

    def close(self) -> None:
        """Release the model's memory, after the runs in progress have ended."""
        self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._made_by

    def __repr__(self) -> str:
        return f"Embedder({self.model!r}{', closed' if self._engine is None else ''})"

    def _open(self) -> _virpack.Engine:
        if self._engine is None:
            raise Error("the embedder is closed", "make another one", exit_code=1)
        return self._engine


def _restored(model: str, arguments: dict[str, Any]) -> Embedder:
    return Embedder(model, **arguments)


def _all(engine: _virpack.Engine, source: Any, progress: ProgressCallback | None) -> Embeddings:
    [embeddings] = _pieces(engine.stream(source, None, hook(progress)))
    return embeddings


def _pieces(stream: _virpack.Pieces) -> Iterator[Embeddings]:
    for piece in stream:
        if isinstance(piece, list):
            warn(piece)
        else:
            warn(piece.noted)
            yield Embeddings(piece)


def _write(engine: _virpack.Engine, source: Any, output: dict[str, Any], progress: ProgressCallback | None) -> Summary:
    return _summary(engine.write(source, output, hook(progress)))


def _summary(written: tuple[str, list[Any], int, int, list[str]]) -> Summary:
    report, files, rows, skipped, remarks = written
    warn(remarks)
    if rows == skipped == 0:
        logger.warning("the output has no rows: there was no record")
    return Summary(report, [os.fspath(file) for file in files], rows, skipped)
