"""Ten of virnucpro's own tests, in which virpack differs: each test here asserts the opposite of one there.

virnucpro's other 32 tests of packing and collators pass by `virnucpro_shim.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import virpack.torch as vt  # noqa: E402
from virpack.torch import _loader  # noqa: E402


def loader_of(collator: Any, path: Path, **options: Any) -> vt.AsyncDataLoader:
    return vt.create_async_dataloader(vt.SequenceDataset([path]), collator, token_budget=4096, **options)


def test_calculate_token_budget_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """There: 4096 on every machine. Here: from the host's free memory."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    budgets = []
    for gigabytes in (16, 64):
        monkeypatch.setattr("virpack._virpack.free_memory", lambda free=gigabytes * 2**30: free)
        budgets.append(vt.calculate_token_budget(device_id=0))
    assert 4096 < 4 * budgets[0] < budgets[1]


def test_calculate_token_budget_with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """There: 16384 is the maximum. Here: there is none unless one is given."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (16 * 2**30, 16 * 2**30))
    budget = vt.calculate_token_budget(0, 5.0, 2.0, bytes_per_token=4096)
    assert budget == 9 * 2**30 // 4096 > 16_384


def test_stateful_collator_not_passed_to_dataloader_workers(fasta: Callable[..., Path]) -> None:
    """There: the loader returns raw records. Here: packed batches, and the collator stays in this process."""
    collator = vt.VarlenCollator()
    loader = loader_of(collator, fasta([50] * 20))
    batches = list(loader)
    assert loader.collator is collator and collator._total_sequences_returned == 20
    assert all(batch["input_ids"].numel() == batch["cu_seqlens"][-1] for batch in batches)


def test_pin_memory_disabled_for_stateful_collator(fasta: Callable[..., Path]) -> None:
    """There: never pinned. Here: as requested."""
    loader = loader_of(vt.VarlenCollator(), fasta([50] * 20), pin_memory=True)
    assert loader.pin_memory
    assert next(iter(loader))["input_ids"].is_pinned() == torch.cuda.is_available()


def test_passthrough_collate_identity(fasta: Callable[..., Path]) -> None:
    """There: a function that passes records on. Here: nothing needs it."""
    assert not hasattr(_loader, "_passthrough_collate")
    assert "sequence" not in next(iter(loader_of(vt.VarlenCollator(), fasta([50]))))


def test_stateless_collator_passed_to_dataloader_normally(fasta: Callable[..., Path]) -> None:
    """There: with packing off the collator is copied into workers, and 57 of 100 records are lost. Here: none."""
    collator = vt.VarlenCollator(enable_packing=False)
    loader = loader_of(collator, fasta([300] * 100), batch_size=32, num_workers=2)
    assert sum(batch["num_sequences"] for batch in loader) == 100
    assert collator._total_sequences_received == 100, "it was called here"


def test_collator_without_enable_packing_attribute_treated_as_stateless(fasta: Callable[..., Path]) -> None:
    """There: copied into workers too. Here: called in this process."""
    seen = []
    loader = vt.create_async_dataloader(
        vt.SequenceDataset([fasta([50] * 3)]), lambda record: seen.append(record["id"]) or {"id": record["id"]}
    )
    assert [batch["id"] for batch in loader] == seen == ["p0", "p1", "p2"]


def test_runner_detects_main_process_collation() -> None:
    """There: the runner asks how batches were made. Here: it accepts any iterable of batches."""
    batches = list(vt.PackedDataset(["MKT", "MKV"]))
    runner = vt.AsyncInferenceRunner(None, "cpu", forward=lambda model, batch: torch.ones(len(batch["input_ids"]), 2))
    assert [result.sequence_ids for result in runner.run(iter(batches))] == [batches[0]["sequence_ids"]]


@pytest.mark.parametrize("attribute", ["collator", "collate_fn"])
def test_runner_get_collator_prefers_and_falls_back(attribute: str) -> None:
    """There: the runner takes the loader's collator and flushes it. Here: it uses neither."""

    class Loader:
        def __iter__(self) -> Any:
            return iter(vt.PackedDataset(["MKT"]))

    collator = vt.VarlenCollator()
    collator({"id": "waits", "sequence": "MK"})
    loader = Loader()
    setattr(loader, attribute, collator)
    runner = vt.AsyncInferenceRunner(None, "cpu", forward=lambda model, batch: torch.ones(len(batch["input_ids"]), 2))
    assert [result.sequence_ids for result in runner.run(loader)] == [["0"]]
    assert len(collator.buffer) == 1
