"""Makes all missing parts of a plan with a pool of actors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import ray

from virpack._errors import InputError
from virpack._plan import Part, Plan
from virpack.ray._pool import Pool
from virpack.ray._summary import FailedPart, PartsFailed, Summary
from virpack.ray._worker import EmbedPart


def embed(
    plan: str | os.PathLike[str] | Plan,
    *,
    concurrency: int | tuple[int, int] | None = None,
    num_gpus: float | None = None,
    num_cpus: float = 1,
    part_timeout: float | None = None,
    tries: int = 3,
    device: str | None = None,
    threads: int | None = None,
    device_timeout: int | None = None,
    token_budget: int | None = None,
    actor_options: Mapping[str, Any] | None = None,
    worker: type[EmbedPart] = EmbedPart,
    on_part: Callable[[Part | FailedPart], object] | None = None,
) -> Summary:
    """Make the missing parts of a plan, with a pool of actors that keep the model loaded.

    The longest parts are made first. Only a line for each part goes through Ray: an actor reads its own bytes of the
    input and writes its own file. A restarted run makes only what is missing. Two runs at once do no harm, because
    both write the same bytes. Afterwards `Plan.commit` checks every part.

    A part is started again on another actor if its actor died or did not answer in time, or after any error that is
    not of the input: up to `tries` times, not counting lost machines. The other parts continue.

    Parameters
    ----------
    plan
        The plan's directory, which all machines see under this path, or its URL in a store, or the plan.
    concurrency
        How many actors work at once, while there are parts for them. A number: so many are requested, so that a
        cluster with autoscaling grows for those that have no room. Two numbers: the first is requested, and as long
        as parts wait, there are as many more as the cluster has room for, up to the second. None: as many as it has
        room for, and at least one. Room is looked for again every 3 seconds, because machines come and go. An actor
        that no part is left for is ended, so that its machine may be given back.
    num_gpus
        Cards of an actor; 0.5 puts two on a card, for which `token_budget` must leave room. None: 1 if the cluster
        has any, else 0.
    num_cpus
        Cores of an actor.
    part_timeout
        Seconds after which a part, or loading the model, has taken too long: its actor is killed. None: no limit.
    tries
        The most times that a part is started.
    device
        As that of `virpack.embed`. None: ``cpu`` without cards, ``cuda:0`` with up to one, else ``cuda:all``. The
        failure of a card never leads to the CPU.
    threads
        Threads that compute on a CPU; None: `num_cpus`.
    device_timeout, token_budget
        As those of `virpack.embed`.
    actor_options
        Further options of Ray for the actors, such as ``resources``, ``runtime_env`` or ``scheduling_strategy``.
    worker
        The class of the actors: `EmbedPart`, or a class derived from it.
    on_part
        Called with each part when it is made or has failed. An exception that it raises ends the run.

    Raises
    ------
    PartsFailed
        Parts that could not be made, after all others exist; ``summary`` lists them.
    InputError
        A directory without a plan, or with one of another version of virpack.
    ModelError, DeviceError, OutOfMemory
        No actor could load the model.

    Examples
    --------
    >>> import virpack.ray
    >>> summary = virpack.ray.embed("plan", concurrency=8, num_gpus=1, part_timeout=3600)  # doctest: +SKIP
    """
    least, most = _between(concurrency)
    if tries < 1:
        raise InputError(f"tries is {tries}", "it must be at least 1")
    opened = plan if isinstance(plan, Plan) else Plan(plan)
    if not ray.is_initialized():
        ray.init()
    has = ray.cluster_resources()
    gpus = (1 if has.get("GPU", 0) >= 1 else 0) if num_gpus is None else num_gpus
    chosen = device if device is not None else _device(gpus)
    options = {
        "device": chosen,
        "threads": max(1, int(num_cpus)) if threads is None and chosen == "cpu" else threads,
        "device_timeout": device_timeout,
        "token_budget": token_budget,
    }
    asked: dict[str, Any] = {"num_gpus": gpus, "num_cpus": num_cpus, **(actor_options or {})}
    pool = Pool(
        opened,
        actor=ray.remote(worker).options(**asked),
        arguments=options,
        asks={"GPU": asked["num_gpus"] or 0, "CPU": asked["num_cpus"] or 0, **(asked.get("resources") or {})},
        least=least,
        most=most,
        part_timeout=part_timeout,
        tries=tries,
        on_part=on_part,
    )
    summary = pool.run()
    if summary.failed:
        raise PartsFailed.of(summary)
    return summary


def part_rows(plan: str | os.PathLike[str] | Plan) -> list[dict[str, int]]:
    """A row for each missing part of a plan, the longest first: the input of ``ray.data.from_items`` for `EmbedPart`.

    Returns
    -------
    list of dict
        ``part``, the number, ``records`` and ``tokens``.
    """
    opened = plan if isinstance(plan, Plan) else Plan(plan)
    missing = set(opened.missing())
    parts = sorted((part for part in opened.parts if part.number in missing), key=lambda part: (-part.tokens, part.number))
    return [{"part": part.number, "records": part.records, "tokens": part.tokens} for part in parts]


def _device(gpus: float) -> str:
    """The device of an actor with this number of cards. Ray shows an actor only its own cards."""
    if gpus == 0:
        return "cpu"
    return "cuda:0" if gpus <= 1 else "cuda:all"


def _between(concurrency: int | tuple[int, int] | None) -> tuple[int, int | None]:
    """The least and the most actors."""
    if concurrency is None:
        return 1, None
    least, most = (concurrency, concurrency) if isinstance(concurrency, int) else concurrency
    if not 1 <= least <= most:
        raise InputError(f"concurrency is {concurrency}", "it must be at least 1, and two numbers ascend")
    return least, most
