"""Plans: one input in parts that many processes and machines make, and what joins them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from virpack import _options, _virpack
from virpack._embed import DEFAULT_MODEL, Embedder
from virpack._errors import InputError
from virpack._run import ProgressCallback, hook, logger, warn
from virpack._source import path_list

Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class PlannedPart:
    """A part of a plan: a range of bytes of an input.

    Attributes
    ----------
    number : int
        From 1.
    source : int
        The place of its file among the plan's inputs, from 0.
    start, end : int
        Its first byte, and the one behind its last.
    first_record : int
        The place of its first record among those of all inputs, from 0.
    records : int
    tokens : int
        As far as letters tell: a tokenizer that merges letters makes fewer.
    """

    number: int
    source: int
    start: int
    end: int
    first_record: int
    records: int
    tokens: int


@dataclass(frozen=True)
class Part:
    """A part that is made.

    Attributes
    ----------
    number : int
        From 1.
    path : str
        Its Parquet file.
    was_there : bool
        Whether it was made before, and was left.
    records, rows, skipped : int
        Its records; those with an embedding, and those with a reason instead.
    tokens : int
        Tokens that were computed for it, special ones included.
    sha256 : str
        Of the file, in hexadecimal digits.
    seconds : float
        What it took now; 0 where it was there.
    """

    number: int
    path: str
    was_there: bool
    records: int
    rows: int
    skipped: int
    tokens: int
    sha256: str
    seconds: float


@dataclass(frozen=True)
class Committed:
    """A plan whose parts are all there and whole.

    Attributes
    ----------
    manifest : str
        The file that lists them.
    was_there : bool
        Whether the manifest was there already.
    parts, records, rows, skipped : int
    device_kinds : int
        Kinds of devices that the parts come from. With more than one, values differ in their last digits.
    removed : int
        Temporary files of stopped jobs that were removed.
    files : list of str
        The files that the parts were joined to, the asked one first; empty without an output.
    """

    manifest: str
    was_there: bool
    parts: int
    records: int
    rows: int
    skipped: int
    device_kinds: int
    removed: int
    files: list[str]


def plan(
    source: Path_ | Iterable[Path_],
    directory: Path_,
    model: Path_ = DEFAULT_MODEL,
    *,
    part_tokens: int = 50_000_000,
    pool: str | None = "mean",
    layer: int | None = None,
    dtype: str | None = None,
    dtype_out: str = "float32",
    max_length: int | None = None,
    min_length: int = 0,
    long_records: str = "truncate",
    window_overlap: int | None = None,
) -> Plan:
    """Divide files into parts that any process can make, as ``virpack plan`` does.

    The files are read once. Where the directory has the same plan already, it is left.

    Parameters
    ----------
    source
        A path, or several, of FASTA, FASTQ or BAM. A file that is compressed, or BAM, is one part.
    directory
        Where the plan and its parts are kept: on a disk that all machines share.
    part_tokens
        Most tokens of a part. A record of more is a part of its own.
    dtype
        The precision of all parts; None: what the devices compute in unless asked otherwise.
    dtype_out
        The type of the values in the files: ``float32`` or ``float16``.
    model, pool, layer, max_length, min_length, long_records, window_overlap
        As those of `virpack.embed`.

    Raises
    ------
    InputError
        A record that cannot be read, with its line; a directory with another plan.
    ModelError, OutputError

    Examples
    --------
    >>> import virpack
    >>> plan = virpack.plan("proteins.fasta", "plan", part_tokens=300)  # doctest: +SKIP
    >>> for number in plan.missing():  # doctest: +SKIP
    ...     plan.embed(number)
    >>> plan.commit("proteins.npy")  # doctest: +SKIP
    """
    if part_tokens < 1:
        raise InputError(f"part_tokens is {part_tokens}", "it must be at least 1")
    _options.choice("dtype", dtype, _options.DTYPES, optional=True)
    _options.choice("dtype_out", dtype_out, _options.DTYPES_OUT)
    options: dict[str, Any] = {
        "directory": os.fspath(directory),
        "model": os.fspath(model),
        "part_tokens": part_tokens,
        "pool": pool,
        "layer": layer,
        "dtype": dtype,
        "dtype_out": dtype_out,
        "max_length": max_length,
        "min_length": min_length,
        "long_records": long_records,
        "window_overlap": window_overlap,
    }
    _options.rows(options)
    made = _virpack.plan_files(path_list(source), options, hook(None))
    warn(made.remarks)
    return Plan._of(os.fspath(directory), made)


class Plan:
    """A plan that is there: its parts, and who makes them.

    It is pickled as its directory.

    Parameters
    ----------
    directory
        Where `virpack.plan`, or the command ``virpack plan``, has written it.

    Attributes
    ----------
    directory : str
    name : str
        The SHA-256 of ``plan.json``, which every part names.
    model : str
    records, tokens : int
        Of all inputs; tokens as far as letters tell.
    was_there : bool
        Whether `virpack.plan` has found it there.
    parts : list of PlannedPart
        In the order of their records.

    Raises
    ------
    InputError
        A directory without a plan, or with one that another version of virpack has made.
    """

    def __init__(self, directory: Path_) -> None:
        self.directory = os.fspath(directory)
        self._plan = _virpack.Plan(self.directory)
        self._warm: Embedder | None = None

    @classmethod
    def _of(cls, directory: str, opened: _virpack.Plan) -> Plan:
        found = cls.__new__(cls)
        found.directory, found._plan, found._warm = directory, opened, None
        return found

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def model(self) -> str:
        return self._plan.model

    @property
    def records(self) -> int:
        return self._plan.records

    @property
    def tokens(self) -> int:
        return self._plan.tokens

    @property
    def was_there(self) -> bool:
        return self._plan.was_there

    @cached_property
    def parts(self) -> list[PlannedPart]:
        return [PlannedPart(*part) for part in self._plan.parts()]

    def missing(self) -> list[int]:
        """Return the numbers of the parts that are not there, by the sizes of their files."""
        return self._plan.missing()

    def embedder(
        self,
        *,
        device: str = "auto",
        threads: int | None = None,
        device_timeout: int | None = None,
        token_budget: int | None = None,
        buffer_size: int | None = None,
        packing: bool = True,
    ) -> Embedder:
        """Load the plan's model with the plan's options; what remains to be chosen does not change the rows' meaning.

        Parameters
        ----------
        device, threads, device_timeout, token_budget, buffer_size, packing
            As those of `virpack.embed`.
        """
        arguments = {
            "device": device,
            "threads": threads,
            "device_timeout": device_timeout,
            "token_budget": token_budget,
            "buffer_size": buffer_size,
            "packing": packing,
        }
        runs_on = _options.runs_on(device, None, threads, device_timeout)
        batches = {name: arguments[name] for name in ("token_budget", "buffer_size", "packing")}
        engine = self._plan.engine({"runs_on": runs_on, **batches}, hook(None))
        return Embedder._of(self.model, engine, (_embedder_of, (self.directory, arguments)))

    def embed(self, part: int, embedder: Embedder | None = None, *, progress: ProgressCallback | None = None) -> Part:
        """Make a part, unless it is there and whole.

        Its bytes follow from the plan and the kind of device. A part that is interrupted leaves nothing.

        Parameters
        ----------
        part
            Its number, from 1.
        embedder
            One of `Plan.embedder`, or any other of the same model and options. None: one that the plan loads with the
            first part, and keeps.
        progress
            Called with a `Progress` several times a second. What it raises ends the part.

        Raises
        ------
        InputError
            A record at fault, with its line; an input that has changed since the plan was made; a model or options that are
            not the plan's.
        ModelError, DeviceError, OutOfMemory, OutputError
        """
        if embedder is None:
            if self._warm is None:
                self._warm = self.embedder()
            embedder = self._warm
        made = self._plan.embed(embedder._open(), part, hook(progress))
        return Part(made[0], os.fspath(made[1]), *made[2:])

    def commit(
        self,
        output: Path_ | None = None,
        *,
        format: str | None = None,
        dtype_out: str | None = None,
        force: bool = False,
    ) -> Committed:
        """Check that every part is there with all its bytes, and write ``manifest.json``, as ``virpack commit`` does.

        Parameters
        ----------
        output
            Also join the parts to this file, which is the one that `virpack.embed` writes of the same input.
        format
            The file's format, whatever its name ends in: ``npy``, ``parquet``, ``arrow``, ``safetensors`` or ``h5``.
        dtype_out
            The type of its values; None: that of the parts.
        force
            Replace a file that exists.

        Raises
        ------
        InputError
            Parts that are missing, torn or of another plan: the message names them.
        OutputError
        """
        if output is None and (format is not None or dtype_out is not None or force):
            raise InputError("format, dtype_out and force are for an output", "name one with output=")
        _options.choice("format", format, _options.FORMATS, optional=True)
        _options.choice("dtype_out", dtype_out, _options.DTYPES_OUT, optional=True)
        options = {
            "directory": self.directory,
            "output": None if output is None else os.fspath(output),
            "format": format,
            "dtype_out": dtype_out,
            "force": force,
        }
        done = _virpack.commit(options, hook(None))
        committed = Committed(os.fspath(done[0]), *done[1:-1], [os.fspath(file) for file in done[-1]])
        if committed.device_kinds > 1:
            logger.warning(
                "the parts come from %d kinds of devices, whose values differ in their last digits", committed.device_kinds
            )
        return committed

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (self.directory,)

    def __repr__(self) -> str:
        return f"Plan({self.directory!r}, {len(self.parts)} parts of {self.records} records)"


def _embedder_of(directory: str, arguments: dict[str, Any]) -> Embedder:
    return Plan(directory).embedder(**arguments)
