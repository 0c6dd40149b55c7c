"""Attention over a packed batch by PyTorch's own kernel for sequences of unlike lengths. Needs a card and PyTorch 2.10 or later.

    python examples/python/varlen_attention.py [FASTA]

It compares `torch.nn.attention.varlen.varlen_attn` on a packed batch with attention on each sequence alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import virpack.torch as vt

HEADS, WIDTH = 8, 64


def attention_of_packed(batch: vt.Batch, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention within each sequence of a batch; all tensors [t, heads, width]."""
    from torch.nn.attention.varlen import varlen_attn  # type: ignore[import-not-found,unused-ignore]

    boundaries, longest = batch["cu_seqlens"], int(batch["max_seqlen"])
    rows: torch.Tensor = varlen_attn(query, key, value, boundaries, boundaries, longest, longest)
    return rows


def attention_of_each(batch: vt.Batch, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The same, one sequence after the other."""
    rows = []
    boundaries = batch["cu_seqlens"].tolist()
    for start, end in zip(boundaries, boundaries[1:]):
        one: list[Any] = [part[start:end].transpose(0, 1)[None] for part in (query, key, value)]
        rows.append(torch.nn.functional.scaled_dot_product_attention(*one)[0].transpose(0, 1))
    return torch.cat(rows)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit(
            "varlen_attn runs on an NVIDIA GPU, and there is none\nhint: on a CPU, use virpack.torch.to_padded or block_mask"
        )
    examples = Path(__file__).resolve().parent.parent
    fasta = Path(sys.argv[1]) if len(sys.argv) > 1 else examples / "proteins.fasta"
    table = torch.nn.Embedding(33, 3 * HEADS * WIDTH, device="cuda", dtype=torch.float16)
    with torch.inference_mode():
        for batch in vt.PackedDataset(fasta, token_budget=8192, pin_memory=True):
            moved = {key: part.cuda(non_blocking=True) if isinstance(part, torch.Tensor) else part for key, part in batch.items()}
            query, key, value = table(moved["input_ids"]).view(-1, 3, HEADS, WIDTH).unbind(1)
            packed = attention_of_packed(moved, query, key, value)
            alone = attention_of_each(moved, query, key, value)
            difference = float((packed - alone).abs().max())
            print(
                f"{batch['num_sequences']} sequences, {len(batch['input_ids'])} tokens: the largest difference is {difference:.1e}"
            )
            if not difference < 1e-2:
                sys.exit("packed rows differ from those of each sequence alone")


if __name__ == "__main__":
    main()
