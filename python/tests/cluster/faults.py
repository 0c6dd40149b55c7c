"""Actors that fail at chosen moments. A file beside the plan records the faults that have occurred."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import ray

import virpack
from virpack.ray import EmbedPart


def once(directory: str, what: str) -> bool:
    """Whether this is the first time in all processes."""
    folder = Path(directory + ".faults")
    folder.mkdir(exist_ok=True)
    try:
        (folder / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killed(EmbedPart):
    """Killed before a part is written, between data and name, between name and report, and before the answer."""

    def make(self, number: int) -> virpack.Part:
        self.open()
        if number == 2 and once(self.directory, "before"):
            kill()
        if number == 4 and once(self.directory, "between"):
            threading.Thread(target=self._kill_once_it_is_begun, args=(number,), daemon=True).start()
        part = super().make(number)
        if number == 6 and once(self.directory, "reportless"):
            Path(self.directory, "_parts", f"{number:06}.json").unlink()
            kill()
        if number == 8 and once(self.directory, "after"):
            kill()
        return part

    def _kill_once_it_is_begun(self, number: int) -> None:
        while not any(Path(self.directory).glob(f".part-{number:06}.parquet.tmp-*")):
            pass
        kill()


class Slow(EmbedPart):
    """One of the actors takes ten times as long."""

    is_slow: bool | None = None

    def make(self, number: int) -> virpack.Part:
        if self.is_slow is None:
            self.is_slow = once(self.directory, f"slow-{os.getpid()}") and once(self.directory, "slow")
        begun = time.monotonic()
        part = super().make(number)
        if self.is_slow:
            time.sleep(9 * (time.monotonic() - begun) + 0.5)
        return part


class Hanging(EmbedPart):
    """Part 3 is stopped once, as by a debugger; part 5 never ends."""

    def make(self, number: int) -> virpack.Part:
        if number == 3 and once(self.directory, "stopped"):
            os.kill(os.getpid(), signal.SIGSTOP)
        while number == 5:
            time.sleep(1)
        return super().make(number)


class Broken(EmbedPart):
    """No model can be loaded."""

    def ready(self) -> str:
        raise virpack.DeviceError("this device is broken", "use another one", exit_code=1)


class Stillborn(EmbedPart):
    """The process ends while it loads the model."""

    def ready(self) -> str:
        kill()
        raise AssertionError


class Steady(EmbedPart):
    """A part takes at least a moment, so that it can be killed."""

    def make(self, number: int) -> virpack.Part:
        part = super().make(number)
        time.sleep(0.2)
        return part


class Noting(EmbedPart):
    """Notes the node of each part, and for the last part how many cores are free while it is made.

    From the third part on, parts wait until two nodes are noted.
    """

    def make(self, number: int) -> virpack.Part:
        noted = Path(self.directory + ".faults", "nodes")
        noted.mkdir(parents=True, exist_ok=True)
        (noted / self.where().node).touch()
        parts = sorted(virpack.Plan(self.directory).parts, key=lambda part: (-part.tokens, part.number))
        until = time.monotonic() + 60
        while number not in (parts[0].number, parts[1].number) and len(list(noted.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        part = super().make(number)
        if number == parts[-1].number:
            # The other actors end meanwhile, and Ray learns of it.
            until = time.monotonic() + 30
            while (free := ray.available_resources().get("CPU", 0)) < 3 and time.monotonic() < until:
                time.sleep(0.1)
            (noted.parent / "free").write_text(str(free))
        return part
