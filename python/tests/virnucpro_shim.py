"""virpack under the module names of virnucpro, as a pytest plugin: ``pytest -p virnucpro_shim test_packing.py test_collators.py``.

Names only. virnucpro's own tests are not part of this repository; run them where they are.
"""

import sys
import types

import virpack.torch
from virpack.torch import _loader


def _module(name: str, **names: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(names)
    module.__path__ = []
    return module


_data = {
    "GreedyPacker": virpack.torch.GreedyPacker,
    "VarlenCollator": virpack.torch.VarlenCollator,
    "SequenceDataset": virpack.torch.SequenceDataset,
    "create_async_dataloader": virpack.torch.create_async_dataloader,
    "calculate_token_budget": virpack.torch.calculate_token_budget,
    "validate_packed_equivalence": virpack.torch.validate_packed_equivalence,
}
_pipeline = {
    "AsyncInferenceRunner": virpack.torch.AsyncInferenceRunner,
    "InferenceResult": virpack.torch.InferenceResult,
    "check_numerical_stability": virpack.torch.check_numerical_stability,
    "run_async_inference": virpack.torch.run_async_inference,
}
_modules = {
    "virnucpro": {},
    "virnucpro.data": _data,
    "virnucpro.data.packing": _data,
    "virnucpro.data.collators": _data,
    "virnucpro.data.sequence_dataset": _data,
    "virnucpro.pipeline": _pipeline,
    "virnucpro.pipeline.async_inference": _pipeline,
    "virnucpro.models": {},
    "virnucpro.models.packed_attention": {"create_position_ids_packed": virpack.torch.position_ids},
}
for _name, _names in _modules.items():
    sys.modules[_name] = _module(_name, **_names)
# The module itself: a test that replaces a name there changes what `create_async_dataloader` uses.
sys.modules["virnucpro.data.dataloader_utils"] = _loader
for _name in [*_modules, "virnucpro.data.dataloader_utils"]:
    _parent, _, _child = _name.rpartition(".")
    if _parent:
        setattr(sys.modules[_parent], _child, sys.modules[_name])
