"""The Python in docs/reference/python.md runs."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import virpack

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCKS = [part.split("```")[0] for part in (ROOT / "docs/reference/python.md").read_text().split("```python\n")[1:]]


def test_the_page_has_its_blocks() -> None:
    assert len(BLOCKS) == 8


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if "virpack.torch" in block:
        pytest.importorskip("torch")
    # A block does not write into the repository.
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/reference/python.md", "exec"), {})
    if "efficiency" in block:
        assert capsys.readouterr().out == "[1 3] 100\n[2 0 4] 100\n1.0\n"


@pytest.mark.parametrize("name", virpack.__all__)
def test_the_examples_of_a_docstring_print_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    for test in doctest.DocTestFinder(recurse=False).find(getattr(virpack, name), name, globs={}):
        assert doctest.DocTestRunner().run(test).failed == 0


def test_the_tables_of_sizes_are_those_that_the_script_prints() -> None:
    printed = subprocess.run([sys.executable, ROOT / "dev/scale.py"], check=True, capture_output=True, text=True).stdout
    page = (ROOT / "docs/howto/clusters.md").read_text()
    tables = printed.strip().split("\n\n")
    assert len(tables) == 2 and all(table in page for table in tables), "write them into docs/howto/clusters.md again"
