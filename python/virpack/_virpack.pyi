"""The compiled part of virpack. Call it by the names in ``virpack``, which document it."""

from collections.abc import Callable, Iterator
from typing import Any, TypedDict, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "Engine",
    "Frames",
    "Loader",
    "Pieces",
    "Plan",
    "Reader",
    "Rows",
    "Tokenizer",
    "__version__",
    "calculate_token_budget",
    "check_batches",
    "commit",
    "embed_files",
    "fit_token_budget",
    "free_memory",
    "main",
    "pack_lengths",
    "pack_records",
    "plan_files",
    "predict_source",
]

__version__: str

# The hook for each event: its kind, and its contents.
_Hook = Callable[[str, Any], None]
# Paths of files, or blocks of records.
_Source = list[str] | Iterator[Any]
# run.json, files, rows, skipped records, remarks.
_Written = tuple[str, list[Any], int, int, list[str]]

class _BatchOptions(TypedDict):
    token_budget: int
    buffer_size: int
    max_length: int
    wide: bool

def pack_lengths(
    lengths: npt.NDArray[np.uint32],
    token_budget: int,
    algorithm: str,
    max_sequences: int | None,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], int]: ...
def pack_records(records: list[Any], token_budget: int, longest: int) -> tuple[list[list[Any]], list[tuple[Any, int]], int]: ...
def calculate_token_budget(
    device: str,
    model: str,
    max_length: int | None,
    min_tokens: int | None,
    max_tokens: int | None,
) -> int: ...
def fit_token_budget(memory: int, reserved: int, bytes_per_token: int, min_tokens: int, max_tokens: int | None) -> int: ...
def free_memory() -> int | None: ...

@final
class Reader(Iterator[tuple[str, str, str, int, str, int]]):
    def __new__(cls, paths: list[str], shard: tuple[int, int]) -> Reader: ...
    def __iter__(self) -> Reader: ...
    def __next__(self) -> tuple[str, str, str, int, str, int]: ...
    def remarks(self) -> list[str]: ...

@final
class Frames(Iterator[tuple[str, int, int, int, str, str, str]]):
    def __new__(cls, paths: list[str], length: int, genetic_code: int, shard: tuple[int, int]) -> Frames: ...
    def __iter__(self) -> Frames: ...
    def __next__(self) -> tuple[str, int, int, int, str, str, str]: ...
    def remarks(self) -> list[str]: ...

@final
class Tokenizer:
    def __new__(cls, model: str) -> Tokenizer: ...
    @property
    def max_length(self) -> int: ...
    @property
    def model(self) -> str: ...
    def encode(self, sequences: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]: ...
    def length(self, sequence: str) -> int: ...

@final
class Loader(Iterator[dict[str, Any]]):
    def __new__(
        cls,
        source: _Source,
        tokenizer: Tokenizer,
        options: _BatchOptions,
        prefetch: int,
        shard: tuple[int, int],
    ) -> Loader: ...
    def __iter__(self) -> Loader: ...
    def __next__(self) -> dict[str, Any]: ...
    def take_skipped(self) -> list[tuple[int, str, str]]: ...
    def remarks(self) -> list[str]: ...

def check_batches(options: _BatchOptions) -> None: ...
def main(arguments: list[str]) -> int: ...

@final
class Rows:
    ids: list[str]
    values: npt.NDArray[np.float32]
    residues: npt.NDArray[np.int64] | None
    records: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.int64]
    sources: list[str] | None
    skipped: list[tuple[int, int, str, int, str]]
    noted: list[str]

@final
class Pieces:
    def __iter__(self) -> Pieces: ...
    def __next__(self) -> Rows | list[str]: ...

@final
class Engine:
    def __new__(cls, options: dict[str, Any], hook: _Hook | None) -> Engine: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def max_length(self) -> int: ...
    @property
    def token_budget(self) -> int: ...
    @property
    def alphabet(self) -> str | None: ...
    @property
    def devices(self) -> list[str]: ...
    @property
    def sha256(self) -> str: ...
    def stream(self, source: _Source, rows: int | None, hook: _Hook | None) -> Pieces: ...
    def write(self, source: _Source, output: dict[str, Any], hook: _Hook | None) -> _Written: ...

def embed_files(
    paths: list[str],
    embedder: dict[str, Any],
    output: dict[str, Any],
    hook: _Hook | None,
) -> _Written: ...

@final
class Plan:
    def __new__(cls, directory: str) -> Plan: ...
    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def records(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def inputs(self) -> list[Any]: ...
    @property
    def remarks(self) -> list[str]: ...
    @property
    def was_there(self) -> bool: ...
    def parts(self) -> list[tuple[int, int, int, int, int, int, int]]: ...
    def missing(self) -> list[int]: ...
    def engine(self, given: dict[str, Any], hook: _Hook | None) -> Engine: ...
    def embed(self, engine: Engine, number: int, hook: _Hook | None) -> tuple[int, Any, bool, int, int, int, int, str, float]: ...

def plan_files(paths: list[str], given: dict[str, Any], hook: _Hook | None) -> Plan: ...
def commit(given: dict[str, Any], hook: _Hook | None) -> tuple[Any, bool, int, int, int, int, int, int, list[Any]]: ...
def predict_source(
    source: _Source, options: dict[str, Any], keeps: bool, hook: _Hook | None
) -> tuple[str, list[Any], int, list[str]]: ...
