"""read, frames, token budgets, errors, and the cost of an import."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import virpack

CONTIG = "ATGGCTAAACGT" * 10


def in_a_fork(work: Callable[[], str]) -> str:
    """The result of `work` in a child process; a child that hangs is killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = work()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    import select

    ready, _, _ = select.select([reading], [], [], 20)
    if not ready:
        os.kill(child, 9)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read() if ready else "it hangs"


def test_records_have_everything_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">x first protein\nMKT\nLLV\n>y\n\n>z third\nMK\n")
    (tmp_path / "b.fa.gz").write_bytes(gzip.compress(b">w\nM*\n"))
    a, b = str(tmp_path / "a.fasta"), tmp_path / "b.fa.gz"
    found = list(virpack.read(a, b))
    assert found == [
        ("x", "first protein", "MKTLLV", 0, a, 1),
        ("y", "", "", 1, a, 4),
        ("z", "third", "MK", 2, a, 6),
        ("w", "", "M*", 3, str(b), 1),
    ]
    assert found[0].sequence == "MKTLLV" and found[3].source == str(b)
    assert [record.id for record in virpack.read(a, b, shard=(1, 3))] == ["y"]


def test_many_records_come_once_and_in_order(fasta: Callable[..., Path]) -> None:
    lengths = [10 + place % 90 for place in range(20_000)]
    found = list(virpack.read(fasta(lengths)))
    assert [record.record_index for record in found] == list(range(20_000))
    assert [len(record.sequence) for record in found] == lengths


def test_paths_in_a_list_are_refused(fasta: Callable[..., Path]) -> None:
    for function in (virpack.read, virpack.frames):
        with pytest.raises(virpack.InputError, match="(?s)the paths are in a list.*one by one"):
            function([fasta([5])])  # type: ignore[operator]


def test_a_missing_file_is_an_error_before_the_first_record(fasta: Callable[..., Path]) -> None:
    with pytest.raises(virpack.InputError, match="cannot open missing.fasta") as caught:
        virpack.read(fasta([5]), "missing.fasta")
    assert isinstance(caught.value, ValueError) and caught.value.hint


def test_a_damaged_file_gives_its_records_and_then_the_place(tmp_path: Path) -> None:
    path = tmp_path / "damaged.fasta"
    path.write_text(">a\nMKT\n>b\nMK1T\n")
    records = virpack.read(path)
    assert next(records).id == "a"
    with pytest.raises(virpack.InputError, match="damaged.fasta"):
        next(records)
    assert list(records) == []


def test_a_shard_that_does_not_exist_is_refused(fasta: Callable[..., Path]) -> None:
    with pytest.raises(virpack.InputError, match="no shard 3 of 3"):
        virpack.read(fasta([5]), shard=(3, 3))


def test_remarks_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "comments.fasta"
    path.write_text(">a\nMKT\n;a comment\n")
    assert len(list(virpack.read(path))) == 1
    assert "comments.fasta:3: a comment line" in caplog.text


def test_open_frames_are_those_of_virnucpro(tmp_path: Path) -> None:
    path = tmp_path / "contig.fasta"
    path.write_text(f">c\n{CONTIG}\n>short\nAT\n")
    found = list(virpack.frames(path, length=60))
    assert {(frame.id, frame.record_index, frame.chunk, frame.start) for frame in found} == {("c", 0, 1, 0), ("c", 0, 2, 60)}
    first = found[0]
    assert (first.frame, first.protein) == ("F1", "MAKR" * 5)
    assert first.nucleotides.startswith("ATGGCTAAACGT")
    reverse = CONTIG[:60][::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert all(frame.nucleotides in reverse for frame in found if frame.frame.startswith("R") and frame.chunk == 1)


def test_a_long_stretch_without_open_frames_is_not_the_end(tmp_path: Path) -> None:
    path = tmp_path / "stops.fasta"
    # A stop codon in each of the six frames.
    stops = "TAACTAACTAATTAGTTAGTTA" * 2
    path.write_text("".join(f">s{place}\n{stops}\n" for place in range(6_000)) + f">last\n{CONTIG}\n")
    assert {frame.id for frame in virpack.frames(path)} == {"last"}


def test_frames_refuse_proteins_and_wrong_options(fasta: Callable[..., Path]) -> None:
    with pytest.raises(virpack.InputError, match="p0 is not a nucleotide sequence"):
        list(virpack.frames(fasta([300])))
    with pytest.raises(virpack.InputError, match="chunk of 0 bases"):
        virpack.frames(fasta([300]), length=0)
    with pytest.raises(virpack.InputError, match="no genetic code 99"):
        virpack.frames(fasta([300]), genetic_code=99)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_iterator_that_crossed_a_fork_raises_and_does_not_hang(fasta: Callable[..., Path]) -> None:
    path = fasta([10] * 50_000)
    records: Iterator[object] = virpack.read(path)
    next(records)
    assert "is a fork of it" in in_a_fork(lambda: str([next(records) for _ in range(10_000)]))
    # The parent continues to read, and a child may begin its own iteration.
    assert len(list(records)) == 49_999
    assert in_a_fork(lambda: str(len(list(virpack.read(path))))) == "50000"


def test_a_token_budget_follows_from_the_model() -> None:
    small = virpack.calculate_token_budget("cpu", "esm2_t6_8M_UR50D", max_tokens=1 << 22)
    large = virpack.calculate_token_budget("cpu", "esm2_t12_35M_UR50D", max_tokens=1 << 22)
    assert small >= large >= 1024 and small % 128 == 0
    assert virpack.calculate_token_budget("cpu", max_tokens=2048) <= 2048
    with pytest.raises(virpack.OutOfMemory) as caught:
        virpack.calculate_token_budget("cpu", "esm2_t48_15B_UR50D", min_tokens=1 << 40, max_tokens=1 << 41)
    assert isinstance(caught.value, MemoryError) and caught.value.needed > caught.value.available
    with pytest.raises(virpack.InputError, match='(?s)"gpu" is not a device.*use auto, cpu'):
        virpack.calculate_token_budget("gpu")
    with pytest.raises(virpack.DeviceError, match="cuda:4000 cannot be used"):
        virpack.calculate_token_budget("cuda:4000")


def test_importing_virpack_loads_neither_numpy_nor_torch() -> None:
    code = "import sys, virpack; virpack.InputError; print([m for m in ('numpy', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_missing_pytorch_is_named_with_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import virpack.torch"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: virpack.torch needs PyTorch: pip install 'virpack[torch]'" in failed.stderr


def test_importing_virpack_takes_less_than_150_ms() -> None:
    code = "import time; start = time.perf_counter(); import virpack; print(time.perf_counter() - start)"
    times = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(5)]
    assert min(times) < 0.15, times


def test_names_are_listed_and_others_are_attribute_errors() -> None:
    assert {"pack_lengths", "read", "frames", "GreedyPacker", "Error"} <= set(dir(virpack))
    assert [name for name in dir(virpack) if not name.startswith("__") and name not in virpack.__all__] == []
    assert virpack.__all__ == [*virpack._PLACES, "__version__"]
    names: dict[str, object] = {}
    exec("from virpack import *", names)
    assert set(virpack.__all__) <= set(names) and names["embed"] is virpack.embed
    page = subprocess.run([sys.executable, "-m", "pydoc", "virpack"], capture_output=True, text=True, check=True).stdout
    assert all(f"    {name}(" in page for name in ("embed", "predict", "read", "frames", "plan", "pack_lengths"))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        virpack.nothing  # noqa: B018


def test_every_error_is_caught_by_pythons_own_class() -> None:
    for kind, base in [
        (virpack.InputError, ValueError),
        (virpack.ModelError, ValueError),
        (virpack.DeviceError, RuntimeError),
        (virpack.OutOfMemory, MemoryError),
        (virpack.OutputError, OSError),
    ]:
        error = kind("what and where", "what to do", fact=3)
        assert isinstance(error, (virpack.Error, base)) and issubclass(kind, base)
        assert (str(error), error.fact) == ("what and where\nhint: what to do", 3)
