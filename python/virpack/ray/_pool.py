"""A pool of actors that makes parts: the longest first, started again if an actor is lost, hangs or fails."""

from __future__ import annotations

import heapq
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray

# Ray has no public function for what is free on each node.
from ray._private.state import available_resources_per_node
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from virpack._errors import Error
from virpack._plan import Part, Plan
from virpack._run import logger
from virpack.ray._summary import FailedPart, Summary
from virpack.ray._worker import Place, is_final, told

# Seconds between two warnings that no actor has a place.
_WARN_EVERY = 60.0

# Seconds between two looks at the size of a cluster that may grow.
_LOOK_EVERY = 3.0

# The machines that one part may lose. If it loses more, the part is the cause.
_MOST_LOST = 20


@dataclass(eq=False)
class _Actor:
    """An actor, and its work: `place` is known once it runs, `serves` once its model is loaded."""

    handle: Any
    task: Any
    place: Place | None = None
    serves: bool = False
    part: int | None = None
    since: float = 0.0

    @property
    def node(self) -> str:
        return "" if self.place is None else self.place.node

    @property
    def host(self) -> str:
        return "a machine" if self.place is None else self.place.host


class Pool:
    """Makes the missing parts of a plan.

    Parameters
    ----------
    actor
        The function that makes an actor, by ``remote``.
    arguments
        The arguments of the plan's embedder.
    asks
        The resources of an actor.
    least
        The actors that are requested at once, if there are parts for them, whether or not the cluster has room.
    most
        The most actors at once; None: as many as the cluster has room for. Between `least` and `most` there are as
        many as it has room for at the time.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        actor: Any,
        arguments: dict[str, Any],
        asks: Mapping[str, float],
        least: int,
        most: int | None,
        part_timeout: float | None,
        tries: int,
        on_part: Callable[[Part | FailedPart], object] | None,
    ) -> None:
        self._plan = plan
        self._actor = actor
        self._arguments = arguments
        self._asks = {name: each for name, each in asks.items() if each > 0}
        self._least = least
        self._most = most
        self._timeout = part_timeout
        self._tries = tries
        self._on_part = on_part
        missing = set(plan.missing())
        self._waiting = [(-part.tokens, part.number) for part in plan.parts if part.number in missing]
        heapq.heapify(self._waiting)
        self._tokens = {number: tokens for tokens, number in self._waiting}
        self._actors: list[_Actor] = []
        # How often each part was started, and how often its machine was lost.
        self._begun: Counter[int] = Counter()
        self._lost: Counter[int] = Counter()
        self._again = 0
        self._made: list[Part] = []
        self._failed: list[FailedPart] = []
        # The room of the cluster for actors, and when it was looked at.
        self._room = 0
        self._looked = -math.inf
        # The nodes of actors that could not be used, once for each: the pool does without so many.
        self._unusable: list[str] = []
        # Actors lost before they served, since the last one that did serve.
        self._stillborn = 0
        self._warned = time.monotonic()

    def run(self) -> Summary:
        """Make all parts. No actor remains when this returns or raises."""
        begun, there = time.monotonic(), len(self._plan.parts) - len(self._waiting)
        with self._ending():
            while self._waiting or any(actor.part is not None for actor in self._actors):
                self._size()
                self._step()
        return Summary(
            parts=len(self._plan.parts),
            there=there,
            made=len(self._made),
            rows=sum(part.rows for part in self._made),
            skipped=sum(part.skipped for part in self._made),
            tokens=sum(part.tokens for part in self._made),
            begun_again=self._again,
            seconds=time.monotonic() - begun,
            failed=sorted(self._failed, key=lambda part: part.number),
        )

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        finally:
            for actor in list(self._actors):
                self._end(actor)

    def _size(self) -> None:
        """Request as many actors as there are parts for, and end those that there are none for."""
        busy = sum(actor.part is not None for actor in self._actors)
        wanted = min(max(1, self._usable()), len(self._waiting) + busy)
        # Those without a place first: each is a request, for which an autoscaler would start a machine.
        idle = sorted((actor for actor in self._actors if actor.part is None), key=lambda actor: actor.place is not None)
        for place, actor in enumerate(idle):
            is_surplus = place < len(idle) - len(self._waiting)
            if is_surplus or (actor.place is None and len(self._actors) > wanted):
                self._end(actor)
        for _ in range(wanted - len(self._actors)):
            # An actor has its own working directory, and a URL is the same for all.
            directory = self._plan.directory if "://" in self._plan.directory else os.path.abspath(self._plan.directory)
            handle = self._actor.remote(directory, self._plan.name, **self._arguments)
            self._actors.append(_Actor(handle, handle.where.remote()))

    def _limit(self) -> int:
        """The most actors that the pool may have now."""
        if self._is_elastic and time.monotonic() - self._looked > _LOOK_EVERY:
            self._looked = time.monotonic()
            free = available_resources_per_node()
            placed = sum(actor.place is not None for actor in self._actors)
            self._room = placed + sum(room(has, self._asks) for has in free.values())
            self._unusable = [node for node in self._unusable if node in free]
        limit = max(self._least, self._room)
        return limit if self._most is None else min(limit, self._most)

    def _usable(self) -> int:
        """The most actors that the pool may have now, without those that could not be used."""
        return self._limit() - len(self._unusable)

    @property
    def _is_elastic(self) -> bool:
        return self._most != self._least

    def _step(self) -> None:
        """Wait for the next event, and handle it."""
        by_task = {actor.task: actor for actor in self._actors}
        tasks = list(by_task)
        done, _ = ray.wait(tasks, num_returns=1, timeout=self._patience())
        if done:
            # All finished tasks: a step takes time for each actor, and thousands may finish parts in a second.
            done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0)
        for task in done:
            self._settle(by_task[task])
        now = time.monotonic()
        for actor in [actor for actor in self._actors if self._is_late(actor, now)]:
            self._lose(actor, f"it took longer than {self._timeout:g} s", counts=True)
        if not any(actor.place for actor in self._actors) and now - self._warned > _WARN_EVERY:
            self._warned = now
            has = ray.cluster_resources()
            logger.warning(
                "no actor has a place yet: each asks for %g GPU and %g CPU, and the cluster has %g GPU and %g CPU",
                self._asks.get("GPU", 0),
                self._asks.get("CPU", 0),
                has.get("GPU", 0),
                has.get("CPU", 0),
            )

    def _patience(self) -> float:
        """Seconds until the next deadline."""
        most = _LOOK_EVERY if self._is_elastic and self._waiting else _WARN_EVERY
        if self._timeout is None:
            return most
        ends = [actor.since + self._timeout for actor in self._actors if actor.place is not None]
        return max(0.0, min([*ends, time.monotonic() + most]) - time.monotonic()) + 0.01

    def _is_late(self, actor: _Actor, now: float) -> bool:
        # An actor without a place waits for the cluster, which may take any time.
        return self._timeout is not None and actor.place is not None and now - actor.since > self._timeout

    def _settle(self, actor: _Actor) -> None:
        """Take the result of an actor's task, and give it the next."""
        try:
            result = ray.get(actor.task)
        except RayTaskError as error:
            self._fail(actor, getattr(error, "cause", None) or error)
            return
        except RayError as error:
            # The actor, its node, or the connection to it is lost. Ray learns later than we do which of them.
            counts = not isinstance(error, ActorUnavailableError) and not self._node_is_lost(actor)
            self._lose(actor, _reason(error), counts=counts)
            return
        actor.since = time.monotonic()
        if actor.place is None:
            actor.place, actor.task = result, actor.handle.ready.remote()
            return
        if not actor.serves:
            actor.serves, self._stillborn = True, 0
            logger.info("an actor on %s: %s", actor.host, result)
        elif actor.part is not None:
            actor.part = None
            self._made.append(result)
            self._report(result)
        self._occupy(actor)

    def _occupy(self, actor: _Actor) -> None:
        """Give an actor the longest part that waits, or end it."""
        if not self._waiting:
            self._end(actor)
            return
        _, number = heapq.heappop(self._waiting)
        self._begun[number] += 1
        actor.part, actor.since, actor.task = number, time.monotonic(), actor.handle.make.remote(number)

    def _fail(self, actor: _Actor, error: BaseException) -> None:
        """A method of an actor raised."""
        reason, hint = told(error)
        if actor.part is None:
            # It cannot load the model, and neither could another there: the pool is smaller from here on.
            self._end(actor)
            self._unusable.append(actor.node)
            logger.warning("an actor on %s cannot be used: %s", actor.host, reason)
            if self._usable() < 1 and not any(actor.serves for actor in self._actors):
                raise error
            return
        number, actor.part = actor.part, None
        final = is_final(error)
        self._put_back(number, actor.host, reason, hint, final=final)
        if final:
            self._occupy(actor)
        else:
            # Another actor tries the part, and not this one immediately.
            self._end(actor)

    def _lose(self, actor: _Actor, reason: str, *, counts: bool) -> None:
        """An actor is lost, or is given up."""
        number, actor.part = actor.part, None
        self._end(actor)
        if number is not None:
            self._lost[number] += not counts
            self._put_back(number, actor.host, reason, None, final=False)
            return
        logger.warning("an actor on %s was lost before it had loaded the model: %s", actor.host, reason)
        self._stillborn += counts
        if self._stillborn < self._tries:
            return
        self._stillborn = 0
        self._unusable.append(actor.node)
        if not any(actor.serves for actor in self._actors):
            raise Error(
                f"{self._tries} actors in a row were lost before they had loaded the model, the last on {actor.host}: {reason}",
                "Ray's logs have more; is virpack installed on all machines, with memory for the model?",
                exit_code=1,
            )

    def _put_back(self, number: int, host: str, reason: str, hint: str | None, *, final: bool) -> None:
        """A part was not made: it waits again, or has failed."""
        lost = self._lost[number]
        if final or self._begun[number] - lost >= self._tries or lost >= _MOST_LOST:
            failed = FailedPart(number, self._begun[number], reason, hint, host)
            self._failed.append(failed)
            self._report(failed)
            return
        logger.warning("part %d is begun again, on %s: %s", number, host, reason)
        self._again += 1
        heapq.heappush(self._waiting, (self._tokens[number], number))

    def _report(self, part: Part | FailedPart) -> None:
        settled = f"{len(self._made) + len(self._failed):,} of {len(self._tokens):,}"
        if isinstance(part, Part):
            logger.info("%s: part %d, %d rows in %.1f s", settled, part.number, part.rows, part.seconds)
        else:
            logger.warning("%s: part %d failed on %s: %s", settled, part.number, part.host, part.reason)
        if self._on_part is not None:
            self._on_part(part)

    def _end(self, actor: _Actor) -> None:
        if actor in self._actors:
            self._actors.remove(actor)
        # An actor that is gone cannot be killed.
        with suppress(RayError, ValueError):
            ray.kill(actor.handle)

    def _node_is_lost(self, actor: _Actor) -> bool:
        if actor.place is None:
            return False
        nodes = {node["NodeID"]: node["Alive"] for node in ray.nodes()}
        return not nodes.get(actor.place.node, False)


def room(has: Mapping[str, float], asks: Mapping[str, float]) -> int:
    """The number of actors that a machine with these resources has room for."""
    return min((int(has.get(name, 0) / each) for name, each in asks.items()), default=1)


def _reason(error: RayError) -> str:
    """Ray's message about a lost actor, without the guesses that follow it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    lines = text.splitlines() or [type(error).__name__]
    if "error raised in its creation" in lines[0]:
        return lines[-1].strip()
    said = next((line for line in lines if line.startswith("The actor is dead because")), lines[0])
    return said.split(" Some common causes")[0].split(" There are some potential")[0].strip()
