"""Runs a PyTorch model of the user on packed batches, with the names of virnucpro."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from virpack._errors import InputError
from virpack.torch._batch import Batch, from_padded, hf_kwargs, pool, to_device, to_padded


def check_numerical_stability(embeddings: torch.Tensor, context: str = "embeddings") -> None:
    """Raise an error if a tensor has values that are not finite.

    Parameters
    ----------
    embeddings : tensor, any shape
    context
        The name of the tensor, for the message.

    Raises
    ------
    RuntimeError
        With the counts ``NaN=…, Inf=…`` and the range of the finite values.
    """
    finite = torch.isfinite(embeddings)
    if bool(finite.all()):
        return
    nan, inf = int(torch.isnan(embeddings).sum()), int(torch.isinf(embeddings).sum())
    values = embeddings[finite]
    low, high = (values.min().item(), values.max().item()) if values.numel() else (float("nan"), float("nan"))
    raise RuntimeError(
        f"Numerical instability in {context}: NaN={nan}, Inf={inf}, valid range=[{low:.2e}, {high:.2e}]\n"
        "hint: float16 may have overflowed; use bfloat16 or float32"
    )


@dataclass
class InferenceResult:
    """The results of a batch.

    Attributes
    ----------
    sequence_ids : list of str [n]
    embeddings : float32 tensor [n, h] on the CPU
    batch_idx : int
        The batch's number, from 0.
    record_index : int64 tensor [n], optional
        Places of the records in the input, if the batch has them.
    """

    sequence_ids: list[str]
    embeddings: torch.Tensor
    batch_idx: int
    record_index: torch.Tensor | None = None


class AsyncInferenceRunner:
    """Runs a model over packed batches and pools each sequence, one batch ahead of the one that it returns.

    Parameters
    ----------
    model : torch.nn.Module
        A model with ``forward_packed(input_ids, cu_seqlens, max_seqlen, repr_layers)``, one of transformers, or one of fair-esm. With
        flash attention, transformers' models run packed; otherwise transformers' and fair-esm's run on padded rows.
    device
        The device of the model.
    enable_streams
        Whether a batch starts before the previous one has been returned.
    layer
        The layer whose rows are pooled, 0 for the embeddings; None for the last.
    forward
        ``forward(model, batch)``, instead of the model's own: returns rows [t, h], or [n, max_seqlen, h] for padded
        rows.
    checkpoint_dir
        Refused: the runner keeps nothing. ``virpack embed --resume`` does.
    """

    def __init__(
        self,
        model: Any,
        device: Any,
        enable_streams: bool = True,
        *,
        layer: int | None = None,
        forward: Callable[[Any, Batch], torch.Tensor] | None = None,
        checkpoint_dir: Any = None,
    ) -> None:
        if checkpoint_dir is not None:
            raise InputError("checkpoint_dir is set, and the runner keeps no checkpoints", "use `virpack embed --resume`")
        self.model = model
        self.device = torch.device(device)
        self.enable_streams = enable_streams
        self.layer = layer
        self.forward = forward
        self._batches = 0
        self._sequences = 0
        self._tokens = 0
        self._capacity = 0
        self._seconds = 0.0

    def run(
        self,
        dataloader: Iterable[Batch],
        progress_callback: Callable[[int, int], None] | None = None,
        force_restart: bool = False,
    ) -> Iterator[InferenceResult]:
        """Run all batches.

        Parameters
        ----------
        dataloader
            Any iterable of packed batches; empty ones are passed over.
        progress_callback
            Called with a batch's number and its number of sequences.
        force_restart
            Accepted and unused: there are no checkpoints.

        Yields
        ------
        InferenceResult
            In the order of the batches.
        """
        start = time.perf_counter()
        waiting: InferenceResult | None = None
        for batch in dataloader:
            if not batch:
                continue
            started = self._start(batch)
            if waiting is not None:
                yield self._finish(waiting, progress_callback)
            waiting = started
            if not self.enable_streams:
                yield self._finish(waiting, progress_callback)
                waiting = None
            self._seconds = time.perf_counter() - start
        if waiting is not None:
            yield self._finish(waiting, progress_callback)
        self._seconds = time.perf_counter() - start

    def process_batch(self, batch: Batch) -> InferenceResult:
        """Run one batch and wait for it."""
        return self._finish(self._start(batch), None)

    def _start(self, batch: Batch) -> InferenceResult:
        """Submits the work to the device; the rows are still there."""
        # Not `inference_mode`: the output may be the input of a classifier in training.
        with torch.no_grad():
            moved = to_device(batch, self.device)
            rows = pool(moved, self.hidden(moved))
        self._batches += 1
        self._sequences += len(batch["sequence_ids"])
        self._tokens += int(batch["input_ids"].numel())
        self._capacity += int(batch.get("token_budget", 0))
        return InferenceResult(list(batch["sequence_ids"]), rows, self._batches - 1, batch.get("record_index"))

    def _finish(self, result: InferenceResult, callback: Callable[[int, int], None] | None) -> InferenceResult:
        result.embeddings = result.embeddings.cpu()
        check_numerical_stability(result.embeddings, f"batch {result.batch_idx}")
        if callback is not None:
            callback(result.batch_idx, len(result.sequence_ids))
        return result

    def hidden(self, batch: Batch) -> torch.Tensor:
        """The rows [t, h] that the model returns for the tokens of a packed batch on its device."""
        if self.forward is not None:
            rows = self.forward(self.model, batch)
            return from_padded(batch, rows) if rows.dim() == 3 else rows
        if hasattr(self.model, "forward_packed"):
            return self._of_packed(batch)
        if hasattr(getattr(self.model, "config", None), "model_type"):
            return self._of_transformers(batch)
        return self._of_fair_esm(batch)

    def _of_packed(self, batch: Batch) -> torch.Tensor:
        layer = self._last_layer() if self.layer is None else self.layer
        output = self.model.forward_packed(
            input_ids=batch["input_ids"],
            cu_seqlens=batch["cu_seqlens"],
            max_seqlen=batch["max_seqlen"],
            repr_layers=[layer],
        )
        rows: torch.Tensor = output["representations"][layer]
        return rows

    def _of_transformers(self, batch: Batch) -> torch.Tensor:
        is_packed = str(getattr(self.model.config, "_attn_implementation", "")).startswith("flash_attention")
        arguments = hf_kwargs(batch, self.model) if is_packed else to_padded(batch, padding_idx=self._padding_idx())
        output = self.model(**arguments, output_hidden_states=self.layer is not None)
        hidden = output.last_hidden_state if self.layer is None else output.hidden_states[self.layer]
        return hidden[0] if is_packed else from_padded(batch, hidden)

    def _of_fair_esm(self, batch: Batch) -> torch.Tensor:
        layer = self._last_layer() if self.layer is None else self.layer
        padded = to_padded(batch, padding_idx=self._padding_idx())["input_ids"]
        output = self.model(padded, repr_layers=[layer])
        return from_padded(batch, output["representations"][layer])

    def _padding_idx(self) -> int:
        for holder, name in ((self.model, "padding_idx"), (getattr(self.model, "config", None), "pad_token_id")):
            value = getattr(holder, name, None)
            if isinstance(value, int):
                return value
        return 1

    def _last_layer(self) -> int:
        for holder in (self.model, getattr(self.model, "model", None)):
            count = getattr(holder, "num_layers", None)
            if isinstance(count, int):
                return count
            layers = getattr(holder, "layers", None)
            if layers is not None:
                return len(layers)
        raise InputError("the model does not state its number of layers", "give AsyncInferenceRunner the argument layer")

    def get_statistics(self) -> dict[str, Any]:
        """Counts and rates of the batches that were run so far.

        Returns
        -------
        dict
            ``total_batches``, ``total_sequences``, ``total_tokens``, ``efficiency`` (tokens as a share of the budgets, 0.0 where batches
            state none) and ``throughput`` with ``sequences_per_second`` and ``tokens_per_second``.
        """
        seconds = max(self._seconds, 1e-9)
        return {
            "total_batches": self._batches,
            "total_sequences": self._sequences,
            "total_tokens": self._tokens,
            "efficiency": self._tokens / self._capacity if self._capacity else 0.0,
            "throughput": {
                "sequences_per_second": self._sequences / seconds,
                "tokens_per_second": self._tokens / seconds,
            },
        }


def run_async_inference(
    model: Any,
    dataloader: Iterable[Batch],
    device: Any,
    enable_streams: bool = True,
    progress_callback: Callable[[int, int], None] | None = None,
) -> list[InferenceResult]:
    """Run all batches, and give the results as a list; see `AsyncInferenceRunner`."""
    return list(AsyncInferenceRunner(model, device, enable_streams).run(dataloader, progress_callback))
