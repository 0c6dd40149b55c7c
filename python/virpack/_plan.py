"""Plans: one input in parts that many processes and machines make, and the commit that joins them."""

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
from virpack._paths import path_list

Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class PlannedPart:
    """A part of a plan: a range of bytes of an input.

    Attributes
    ----------
    number : int
        From 1.
    source : int
        The number of its file among the plan's inputs, from 0.
    start, end : int
        Its first byte, and the byte after its last, as they are on disk. Two parts of BGZF share the block in which
        the second one begins.
    first_record : int
        The place of its first record over all inputs, from 0.
    records : int
    tokens : int
        Counted from letters: a tokenizer that merges letters makes fewer.
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
    """A part that was made.

    Attributes
    ----------
    number : int
        From 1.
    path : str
        Its Parquet file.
    was_there : bool
        Whether it existed before, and was left unchanged.
    records, rows, skipped : int
        Its records; those with an embedding; and those without, each with a reason.
    tokens : int
        Tokens computed for it, special tokens included.
    sha256 : str
        The SHA-256 of the file, in hexadecimal digits.
    seconds : float
        The time of this call; 0 if the part existed.
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
    """A plan whose parts all exist and are complete.

    Attributes
    ----------
    manifest : str
        The file that lists them.
    was_there : bool
        Whether the manifest existed before.
    parts, records, rows, skipped : int
    device_kinds : int
        The number of kinds of devices that made the parts. With more than one, values differ in their last digits.
    removed : int
        Temporary files of stopped jobs that were removed.
    files : list of str
        The files into which the parts were joined, the requested one first; empty without an output.
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

    The files are read once. If the directory already has the same plan, it is left unchanged.

    Parameters
    ----------
    source
        A path, or several, of FASTA, FASTQ or BAM. A BAM file is one part, as is one that is compressed by another
        program than bgzip.
    directory
        The directory of the plan and its parts, on a disk that all machines share.
    part_tokens
        Most tokens of a part. A larger record is a part of its own.
    dtype
        The precision of all parts; None: the default of the devices.
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
    made = _virpack.plan_files(path_list(source), _options.rows(options), hook(None))
    warn(made.remarks)
    return Plan._of(os.fspath(directory), made)


class Plan:
    """An existing plan: its parts, and the functions that make them.

    It is pickled as its directory.

    Parameters
    ----------
    directory
        The directory that `virpack.plan`, or the command ``virpack plan``, has written.

    Attributes
    ----------
    directory : str
    name : str
        The SHA-256 of ``plan.json``, which is in the report of every part.
    model : str
    records, tokens : int
        Of all inputs; tokens are counted from letters.
    was_there : bool
        Whether `virpack.plan` found an existing plan.
    parts : list of PlannedPart
        In the order of their records.

    Raises
    ------
    InputError
        A directory without a plan, or with one that another version of virpack made.
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
    def inputs(self) -> list[str]:
        """The absolute path or the URL of each input."""
        return [os.fspath(path) for path in self._plan.inputs]

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
        """Return the numbers of the missing parts, by the sizes of their files."""
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
        """Load the plan's model with the plan's options. The other options do not change the meaning of the rows.

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
        batches = _options.checked({name: arguments[name] for name in ("token_budget", "buffer_size", "packing")})
        engine = self._plan.engine({"runs_on": runs_on, **batches}, hook(None))
        return Embedder._of(self.model, engine, (_embedder_of, (self.directory, arguments)))

    def embed(self, part: int, embedder: Embedder | None = None, *, progress: ProgressCallback | None = None) -> Part:
        """Make a part, unless it exists and is complete.

        Its bytes depend on the plan and the kind of device. An interrupted part leaves nothing.

        Parameters
        ----------
        part
            Its number, from 1.
        embedder
            One of `Plan.embedder`, or any other of the same model and options. None: one that the plan loads for the
            first part, and keeps.
        progress
            Called with a `Progress` several times a second. An exception that it raises ends the part.

        Raises
        ------
        InputError
            A record that is invalid, with its line; an input that has changed since the plan was made; a model or
            options that differ from the plan's.
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
        """Check that every part exists with all its bytes, and write ``manifest.json``, as ``virpack commit`` does.

        Parameters
        ----------
        output
            Also join the parts into this file, which is equal to the one that `virpack.embed` writes for the same
            input.
        format
            The file's format, whatever the extension of its name: ``npy``, ``parquet``, ``arrow``, ``safetensors`` or
            ``h5``.
        dtype_out
            The type of its values; None: that of the parts.
        force
            Replace an existing file.

        Raises
        ------
        InputError
            Parts that are missing, torn or from another plan: the message names them.
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
        done = _virpack.commit(_options.checked(options), hook(None))
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
