"""virpack: pack, read and embed biological sequences, and find viruses among them.

Names are loaded when they are first used, so that ``import virpack`` takes some milliseconds. ``virpack.torch``, which needs
PyTorch, and ``virpack.ray``, which needs Ray, are imported by their own names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from virpack._virpack import __version__ as __version__

if TYPE_CHECKING:
    from virpack._budget import calculate_token_budget as calculate_token_budget
    from virpack._embed import Embedder as Embedder
    from virpack._embed import embed as embed
    from virpack._embeddings import Embeddings as Embeddings
    from virpack._embeddings import Skipped as Skipped
    from virpack._embeddings import Summary as Summary
    from virpack._errors import DeviceError as DeviceError
    from virpack._errors import Error as Error
    from virpack._errors import InputError as InputError
    from virpack._errors import ModelError as ModelError
    from virpack._errors import OutOfMemory as OutOfMemory
    from virpack._errors import OutputError as OutputError
    from virpack._greedy import GreedyPacker as GreedyPacker
    from virpack._packing import Packing as Packing
    from virpack._packing import pack_lengths as pack_lengths
    from virpack._plan import Committed as Committed
    from virpack._plan import Part as Part
    from virpack._plan import Plan as Plan
    from virpack._plan import PlannedPart as PlannedPart
    from virpack._plan import plan as plan
    from virpack._predict import Verdicts as Verdicts
    from virpack._predict import predict as predict
    from virpack._reading import OpenFrame as OpenFrame
    from virpack._reading import Record as Record
    from virpack._reading import frames as frames
    from virpack._reading import read as read
    from virpack._run import Progress as Progress

# The file of each name.
_PLACES = {
    "Committed": "_plan",
    "DeviceError": "_errors",
    "Embedder": "_embed",
    "Embeddings": "_embeddings",
    "Error": "_errors",
    "GreedyPacker": "_greedy",
    "InputError": "_errors",
    "ModelError": "_errors",
    "OpenFrame": "_reading",
    "OutOfMemory": "_errors",
    "OutputError": "_errors",
    "Packing": "_packing",
    "Part": "_plan",
    "Plan": "_plan",
    "PlannedPart": "_plan",
    "Progress": "_run",
    "Record": "_reading",
    "Skipped": "_embeddings",
    "Summary": "_embeddings",
    "Verdicts": "_predict",
    "calculate_token_budget": "_budget",
    "embed": "_embed",
    "frames": "_reading",
    "pack_lengths": "_packing",
    "plan": "_plan",
    "predict": "_predict",
    "read": "_reading",
}

__all__ = [
    "Committed",
    "DeviceError",
    "Embedder",
    "Embeddings",
    "Error",
    "GreedyPacker",
    "InputError",
    "ModelError",
    "OpenFrame",
    "OutOfMemory",
    "OutputError",
    "Packing",
    "Part",
    "Plan",
    "PlannedPart",
    "Progress",
    "Record",
    "Skipped",
    "Summary",
    "Verdicts",
    "calculate_token_budget",
    "embed",
    "frames",
    "pack_lengths",
    "plan",
    "predict",
    "read",
    "__version__",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'virpack' has no attribute {name!r}")
    value = getattr(import_module(f"virpack.{place}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
