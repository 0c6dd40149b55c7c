"""Which objects name files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from virpack._errors import InputError

# The extensions of sequence files; no sequence ends with one.
_ENDING = re.compile(r"\.(fa|fas|fasta|faa|fna|ffn|frn|fq|fastq|seq|txt|bam|sam|cram|gz|bgz|zst|bz2|xz)$", re.IGNORECASE)

# The longest name of a file on Linux, in bytes; a longer text is a sequence or a path with "/".
_LONGEST_NAME = 255


def is_path(item: Any) -> bool:
    """Whether an item of a list is a path: by its type, by its form, or because the file exists."""
    if isinstance(item, str):
        return item == "-" or "/" in item or ends_as_file(item) or _is_file(item)
    return isinstance(item, os.PathLike)


def ends_as_file(text: str | bytes) -> bool:
    """Whether a text ends as the name of a sequence file does."""
    if isinstance(text, bytes):
        text = text.decode("latin-1") if b"." in text[-6:] else ""
    # Every sequence is looked at: the pattern is for the few that may end so.
    return "." in text[-6:] and len(text) <= _LONGEST_NAME and _ENDING.search(text) is not None


def _is_file(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and os.path.isfile(text)


def refuse_open_file(source: Any) -> None:
    """Raises if a source is an open file: its lines would be taken for records."""
    if hasattr(source, "read") and hasattr(source, "readline"):
        name = getattr(source, "name", None)
        named = f": {name}" if isinstance(name, str) else ""
        raise InputError(f"the source is an open file{named}", 'give its path; "-" is standard input')


def path_list(paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[str]:
    """Paths as strings, for functions that only take paths."""
    if isinstance(paths, (str, os.PathLike)):
        return [os.fspath(paths)]
    refuse_open_file(paths)
    found = []
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            refuse_open_file(path)
            raise InputError(f"the source has paths and a {type(path).__name__}", "give paths alone, or sequences alone")
        found.append(os.fspath(path))
    return found
