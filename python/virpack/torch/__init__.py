"""Packed batches for PyTorch, and virnucpro's names for them. Needs PyTorch: ``pip install 'virpack[torch]'``."""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("virpack.torch needs PyTorch: pip install 'virpack[torch]'") from error

from virpack._greedy import GreedyPacker as GreedyPacker
from virpack.torch._batch import Batch as Batch
from virpack.torch._batch import block_mask as block_mask
from virpack.torch._batch import from_padded as from_padded
from virpack.torch._batch import hf_kwargs as hf_kwargs
from virpack.torch._batch import pool as pool
from virpack.torch._batch import position_ids as position_ids
from virpack.torch._batch import to_padded as to_padded
from virpack.torch._budget import calculate_token_budget as calculate_token_budget
from virpack.torch._collator import VarlenCollator as VarlenCollator
from virpack.torch._datasets import PackedDataset as PackedDataset
from virpack.torch._datasets import SequenceDataset as SequenceDataset
from virpack.torch._loader import AsyncDataLoader as AsyncDataLoader
from virpack.torch._loader import create_async_dataloader as create_async_dataloader
from virpack.torch._runner import AsyncInferenceRunner as AsyncInferenceRunner
from virpack.torch._runner import InferenceResult as InferenceResult
from virpack.torch._runner import check_numerical_stability as check_numerical_stability
from virpack.torch._runner import run_async_inference as run_async_inference
from virpack.torch._validate import validate_packed_equivalence as validate_packed_equivalence
