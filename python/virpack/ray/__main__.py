"""``python -m virpack.ray PLAN``: makes all missing parts of a plan, on the Ray cluster that this process reaches."""

from __future__ import annotations

import argparse
import logging
import sys

import ray

from virpack._errors import Error
from virpack.ray._embed import embed


def _actors(text: str) -> int | tuple[int, int]:
    """A number, or two with a colon between."""
    least, colon, most = text.partition(":")
    return (int(least), int(most)) if colon else int(least)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. The exit code is 0, 1 for failed parts or wrong options, 2 for a fault of virpack."""
    parser = argparse.ArgumentParser(
        prog="python -m virpack.ray",
        description="Makes the parts of a plan that are missing, on a Ray cluster. `virpack commit` then checks and joins them.",
    )
    parser.add_argument(
        "plan", help="the directory that `virpack plan` has written, on a disk that all machines share, or its URL in a store"
    )
    parser.add_argument("--address", help="of the cluster [default: RAY_ADDRESS, else the one that runs here, else a new one]")
    parser.add_argument(
        "--concurrency",
        type=_actors,
        metavar="N|LEAST:MOST",
        help="actors at once; between two numbers, as many as the cluster has room for [default: as many as it has room for]",
    )
    parser.add_argument("--num-gpus", type=float, metavar="N", help="cards of an actor [default: 1 where there are any]")
    parser.add_argument("--num-cpus", type=float, metavar="N", default=1, help="cores of an actor [default: 1]")
    parser.add_argument("--part-timeout", type=float, metavar="SECONDS", help="kill an actor whose part takes longer")
    parser.add_argument("--tries", type=int, metavar="N", default=3, help="how often a part is begun at most [default: 3]")
    parser.add_argument("--device", help="cpu, cuda:0 or cuda:all [default: cpu without cards, else the actor's cards]")
    parser.add_argument("--token-budget", type=int, metavar="N", help="most tokens in a batch [default: what fits]")
    given = vars(parser.parse_args(arguments))
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("virpack").setLevel(logging.INFO)
    try:
        # Without an address, Ray searches for one.
        ray.init(address=given.pop("address"), logging_level=logging.WARNING)
        print(embed(given.pop("plan"), **given), file=sys.stderr)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ConnectionError as error:
        print(f"error: the Ray cluster cannot be reached: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the parts that were finished are there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
