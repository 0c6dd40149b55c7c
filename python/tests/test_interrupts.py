"""Interruptions from outside: Ctrl-C, exceptions of callbacks and of generators, a fork. Nothing hangs, and no thread
is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import virpack

ROOT = Path(__file__).parents[2]
TINY = ROOT / "examples" / "esm2_tiny"


@pytest.fixture(scope="module")
def embedder() -> virpack.Embedder:
    return virpack.Embedder(TINY, device="cpu")


def endless():
    while True:
        yield "MKTLLVAGST" * 20


def threads() -> int:
    """Threads of this process, of Rust and of Python."""
    return len(os.listdir("/proc/self/task"))


def settles(before: int) -> None:
    """Waits until there are no more threads than before."""
    for _ in range(400):
        if threads() <= before:
            return
        time.sleep(0.05)
    raise AssertionError(f"{threads()} threads, {before} before")


@pytest.mark.parametrize("function", ["read", "frames"])
@pytest.mark.parametrize("waits", ["standard input", "named pipe"])
def test_ctrl_c_ends_a_reader_that_waits_for_data(function: str, waits: str, tmp_path: Path) -> None:
    path = "-"
    if waits == "named pipe":
        os.mkfifo(tmp_path / "pipe")
        path = str(tmp_path / "pipe")
    code = "import signal, virpack; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += f"print('reads', flush=True); list(virpack.{function}({path!r}))"
    reader = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None and reader.stdout.readline() == "reads\n"
    time.sleep(0.5)
    sent = time.monotonic()
    reader.send_signal(signal.SIGINT)
    try:
        # Not `communicate`, which closes the input first.
        reader.wait(timeout=10)
    finally:
        reader.kill()
    assert time.monotonic() - sent < 1.0
    assert reader.stderr is not None and "KeyboardInterrupt" in reader.stderr.read()


linux = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted as Linux shows them")


@linux
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
def test_ctrl_c_ends_a_run_within_a_second(embedder: virpack.Embedder, after: float) -> None:
    before = threads()
    sent = 0.0

    def send() -> None:
        nonlocal sent
        time.sleep(after)
        sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    with pytest.raises(KeyboardInterrupt):
        sender.start()
        embedder.embed(endless())
        raise AssertionError("an endless source has ended")
    assert time.monotonic() - sent < 1.0
    sender.join()
    settles(before)
    # The model can still be used.
    assert len(embedder.embed(["MK"])) == 1


@linux
def test_an_exception_of_a_callback_or_of_the_source_ends_the_run(embedder: virpack.Embedder) -> None:
    before = threads()

    class Stop(Exception):
        pass

    def stop(_: virpack.Progress) -> None:
        raise Stop

    with pytest.raises(Stop):
        embedder.embed(endless(), progress=stop)

    def broken():
        yield from ["MK"] * 1_000
        raise Stop

    with pytest.raises(Stop):
        embedder.embed(broken())
    with pytest.raises(Stop):
        for _ in embedder.stream(broken(), 10):
            pass
    settles(before)


@linux
def test_a_run_to_a_file_that_is_ended_leaves_nothing_half_written(embedder: virpack.Embedder, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def broken():
        yield from ["MK"] * 3_000
        raise Stop

    with pytest.raises(Stop):
        embedder.write(broken(), tmp_path / "out.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_files_that_is_ended_is_resumed(embedder: virpack.Embedder, tmp_path: Path) -> None:
    path = tmp_path / "in.fasta"
    path.write_text("".join(f">r{i}\n{'MKTLLVAGST' * 30}\n" for i in range(3_000)))

    class Stop(Exception):
        pass

    def stop(progress: virpack.Progress) -> None:
        if progress.records > 200:
            raise Stop

    output = tmp_path / "out.npy"
    with pytest.raises(Stop):
        embedder.write(path, output, progress=stop)
    assert not output.exists()
    with pytest.raises(virpack.OutputError, match="holds"):
        embedder.write(path, output)
    done = embedder.write(path, output, resume=True)
    assert done.rows == 3_000 and done.report["counts"]["finished_before"] > 100
    whole = embedder.write(path, tmp_path / "whole.npy")
    assert output.read_bytes() == Path(whole.files[0]).read_bytes()


@linux
def test_streams_that_are_left_end_their_threads(embedder: virpack.Embedder) -> None:
    before = threads()
    for _ in range(5):
        stream = embedder.stream(endless(), 5)
        next(stream)
        del stream
    settles(before)


def test_other_threads_of_python_run_meanwhile(embedder: virpack.Embedder) -> None:
    steps, over = 0, threading.Event()

    def count() -> None:
        nonlocal steps
        while not over.is_set():
            steps += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    begin = time.monotonic()
    embedder.embed(["MKTLLVAGST" * 50] * 400)
    took = time.monotonic() - begin
    over.set()
    counter.join()
    assert steps > took / 0.05, f"{steps} steps in {took:.2f} s"


def test_threads_share_a_model(embedder: virpack.Embedder) -> None:
    sequences = ["MKTLLVAGST" * (1 + i % 9) for i in range(200)]
    expected = embedder.embed(sequences).values.tobytes()
    found: list[bytes] = []
    calls = [threading.Thread(target=lambda: found.append(embedder.embed(sequences).values.tobytes())) for _ in range(4)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert found == [expected] * 4


def python(text: str, timeout: int = 60) -> subprocess.CompletedProcess[str]:
    code = [sys.executable, "-c", textwrap.dedent(text)]
    return subprocess.run(code, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_model_that_crossed_a_fork_raises_and_does_not_hang() -> None:
    done = python(
        f"""
        import os, virpack
        embedder = virpack.Embedder({str(TINY)!r}, device="cpu")
        embedder.embed(["MK"])
        stream = embedder.stream(["MK"] * 100, 10)
        next(stream)
        child = os.fork()
        if child == 0:
            for use in (lambda: embedder.embed(["MK"]), lambda: next(stream), lambda: embedder.hidden_size):
                try:
                    use()
                except RuntimeError as error:
                    assert "fork" in str(error), error
                else:
                    os._exit(3)
            # One of its own works.
            assert len(virpack.Embedder({str(TINY)!r}, device="cpu").embed(["MK"])) == 1
            del embedder, stream
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(embedder.embed(["MK"])) == 1
        """
    )
    assert done.returncode == 0, done.stderr


def test_multiprocessing_takes_a_model_as_its_arguments() -> None:
    done = python(
        f"""
        import multiprocessing, virpack
        if __name__ == "__main__":
            embedder = virpack.Embedder({str(TINY)!r}, device="cpu")
            expected = embedder.embed(["MKTLLV"]).values.tobytes()
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                found = pool.map(embedder, [{{"sequence": ["MKTLLV"]}}] * 3)
            assert [batch["embedding"].tobytes() for batch in found] == [expected] * 3
        """
    )
    assert done.returncode == 0, done.stderr


def test_ctrl_c_while_a_model_is_loaded_is_heeded() -> None:
    done = python(
        f"""
        import os, signal, threading, time, virpack
        threading.Thread(target=lambda: (time.sleep(0.3), os.kill(os.getpid(), signal.SIGINT))).start()
        try:
            while True:
                virpack.Embedder({str(TINY)!r}, device="cpu")
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert done.stdout == "interrupted\n", done.stderr


def test_sub_interpreters_say_that_they_do_not_work() -> None:
    interpreters = pytest.importorskip("_xxsubinterpreters", reason="CPython 3.13 has them under another name")
    interpreter = interpreters.create()
    code = textwrap.dedent(
        """
        try:
            import virpack
        except ImportError as error:
            assert "subinterpreters" in str(error), error
        else:
            raise AssertionError("it was imported")
        """
    )
    interpreters.run_string(interpreter, code)
    interpreters.destroy(interpreter)
