"""ESM-2 of transformers on virpack's batches, compared with virpack's own numbers.

    pip install 'virpack[torch]' transformers
    python examples/python/transformers_esm2.py [MODEL [FASTA]]

MODEL is a directory with an ESM-2 model that both read, by default the small random one in `examples/esm2_tiny`. The script runs
`virpack embed` on the same file and prints the largest difference between the two sets of rows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import EsmModel

import virpack
import virpack.torch as vt

EXAMPLES = Path(__file__).resolve().parent.parent


def take_rotary_frequencies(model: Any, model_path: Path) -> None:
    """Gives a model the rotary frequencies of its file: those of the published files are rounded to float16, as in training.

    transformers 5 calculates them again, without the rounding: rows of ESM-2 then differ by 5e-4.
    """
    tensors = load_file(model_path / "model.safetensors")
    stored = [tensor for name, tensor in tensors.items() if name.endswith("rotary_embeddings.inv_freq")]
    for name, buffer in model.named_buffers():
        if stored and name.endswith("rotary_embeddings.inv_freq"):
            buffer.copy_(stored[0])


def rows_of_transformers(model_path: Path, fasta: Path) -> torch.Tensor:
    """Mean rows, float32 [records, hidden], in the order of the file."""
    # Eager and SDPA attention ignore a packed batch's boundaries: the runner gives them padded rows.
    load: Any = EsmModel.from_pretrained
    model = load(model_path, add_pooling_layer=False, attn_implementation="sdpa", dtype=torch.float32).eval()
    take_rotary_frequencies(model, model_path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    runner = vt.AsyncInferenceRunner(model.to(device), device)
    rows = torch.zeros(sum(1 for _ in virpack.read(fasta)), model.config.hidden_size)
    for result in runner.run(vt.PackedDataset(fasta, token_budget=4096, pin_memory=device == "cuda")):
        assert result.record_index is not None
        rows[result.record_index] = result.embeddings
    return rows


def rows_of_virpack(model_path: Path, fasta: Path) -> torch.Tensor:
    """The same rows by virpack's engine."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rows.npy"
        command = ["virpack", "embed", str(fasta), "--model", str(model_path), "-o", str(output), "--quiet"]
        # As the other side: in float32, on the CPU.
        subprocess.run([*command, "--device", "cpu"], check=True)
        return torch.from_numpy(np.load(output))


def main() -> None:
    arguments = [Path(argument) for argument in sys.argv[1:]]
    model_path = arguments[0] if arguments else EXAMPLES / "esm2_tiny"
    fasta = arguments[1] if len(arguments) > 1 else EXAMPLES / "proteins.fasta"
    ours, theirs = rows_of_virpack(model_path, fasta), rows_of_transformers(model_path, fasta)
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    print(f"{len(ours)} records, {ours.shape[1]} values each; the largest difference is {difference:.1e} of the largest value")
    if not difference <= 2e-5:
        sys.exit("the rows differ")


if __name__ == "__main__":
    main()
