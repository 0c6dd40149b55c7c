"""Ends runs of the Python package at random moments, and checks that none hangs and that no thread and no file is left.

    python dev/python_interrupts.py [TRIALS]

A trial is a run of `embed`, `stream`, `write` or `predict`, ended by SIGINT, by an exception of the progress callback, or by one of the
generator that gives the records, 0 to 0.4 s after its beginning. Needs the package installed, and Linux.
"""

from __future__ import annotations

import collections
import faulthandler
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import virpack

ROOT = Path(__file__).parents[1]


class Stop(Exception):
    """What a callback or a generator raises."""


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def settled(most: int) -> bool:
    end = time.monotonic() + 20
    while threads() > most:
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    random.seed(7)
    # A run that hangs shows where.
    faulthandler.dump_traceback_later(120 + trials * 3, exit=True)
    embedder = virpack.Embedder(ROOT / "examples" / "esm2_tiny", device="cpu")
    expected = embedder.embed(["MKTLLVAGST"]).values.tobytes()
    contigs = [(f"c{i}", "ATGGCTAGCTTTGACCGA" * 400) for i in range(2_000)]
    before, most = threads(), threads() + 1
    done, slowest = collections.Counter[str](), collections.defaultdict[str, float](float)
    with tempfile.TemporaryDirectory() as folder:
        for trial in range(trials):
            kind = random.choice(["embed", "stream", "write", "predict"])
            way = random.choice(["signal", "callback", "source"])
            after = random.random() * 0.4
            begin = time.monotonic()
            ended = begin + after

            def records(forever: bool = True):
                while True:
                    if way == "source" and time.monotonic() >= ended:
                        raise Stop
                    yield "MKTLLVAGST" * 20

            def progress(_: virpack.Progress) -> None:
                if way == "callback" and time.monotonic() >= ended:
                    raise Stop

            def interrupt() -> None:
                time.sleep(after)
                os.kill(os.getpid(), signal.SIGINT)

            sender = threading.Thread(target=interrupt) if way == "signal" or kind == "predict" and way == "source" else None
            try:
                if sender is not None:
                    sender.start()
                if kind == "embed":
                    embedder.embed(records(), progress=progress)
                elif kind == "stream":
                    for _ in embedder.stream(records(), 50, progress=progress):
                        pass
                elif kind == "write":
                    embedder.write(records(), Path(folder, "out.npy"), progress=progress)
                else:
                    virpack.predict(contigs, device="cpu", progress=progress)
                outcome = "ran to its end"
            except (KeyboardInterrupt, Stop) as error:
                outcome = type(error).__name__
            took = time.monotonic() - ended
            try:
                if sender is not None:
                    sender.join()
                    # A signal that comes after the run.
                    time.sleep(0.01)
            except KeyboardInterrupt:
                pass
            what = f"{kind}, {'signal' if sender is not None else way}: {outcome}"
            slowest[what] = max(slowest[what], took)
            done[what] += 1
            assert settled(most), f"trial {trial} ({kind}, {way}): {threads()} threads are left, {before} before"
            left = os.listdir(folder)
            assert not left, f"trial {trial} ({kind}, {way}): {left} is left"
            assert embedder.embed(["MKTLLVAGST"]).values.tobytes() == expected, f"trial {trial}: other values"
    for what, times in sorted(done.items()):
        print(f"{times:4} {what}, the slowest {slowest[what]:.2f} s after its moment")
    print(f"{trials} runs ended; {threads()} threads, {before} before")


if __name__ == "__main__":
    main()
