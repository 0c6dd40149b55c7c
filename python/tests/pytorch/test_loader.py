"""create_async_dataloader and the token budget."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import virpack  # noqa: E402
import virpack.torch as vt  # noqa: E402
from conftest import records  # noqa: E402
from virpack.torch import _loader  # noqa: E402


def ids_of(loader: Any) -> list[str]:
    return [name for batch in loader for name in batch["sequence_ids"]]


def threads() -> int:
    return sum(thread.name == "virpack-loader" for thread in threading.enumerate())


@pytest.mark.parametrize("enable_packing", [True, False])
@pytest.mark.parametrize("batch_size", [None, 7, 32])
def test_a_loader_gives_packed_batches_and_loses_nothing(
    enable_packing: bool, batch_size: int | None, fasta: Callable[..., Path]
) -> None:
    dataset = vt.SequenceDataset([fasta([300] * 100)])
    collator = vt.VarlenCollator(enable_packing=enable_packing, buffer_size=40)
    # Without a budget it would be that of the machine's card.
    loader = vt.create_async_dataloader(dataset, collator, batch_size=batch_size, token_budget=4096)
    for _ in range(2):
        batches = list(loader)
        assert all(len(batch["input_ids"]) <= 4096 for batch in batches)
        assert sorted(ids_of(batches)) == sorted(f"p{place}" for place in range(100))
    assert loader.collator is collator
    stats = loader.stats
    assert (stats["sequences"], stats["tokens"]) == (200, 200 * 302)
    assert stats["efficiency"] == pytest.approx(200 * 302 / (4096 * stats["batches"])) and stats["efficiency"] <= 1


def test_any_callable_collates() -> None:
    loader = vt.create_async_dataloader(range(5), lambda item: {"item": item}, token_budget=None)
    assert [batch["item"] for batch in loader] == [0, 1, 2, 3, 4]


def test_an_error_of_the_dataset_comes_after_the_batches_before_it() -> None:
    def broken() -> Iterator[dict[str, str]]:
        yield from records([5] * 10)
        raise OSError("the disk is gone")

    collator = vt.VarlenCollator(enable_packing=False)
    batches = iter(vt.create_async_dataloader(broken(), collator, batch_size=5))
    assert next(batches)["num_sequences"] == next(batches)["num_sequences"] == 5
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


def test_an_iteration_that_is_given_up_ends_its_thread_and_leaves_no_records(fasta: Callable[..., Path]) -> None:
    before = threads()
    collator = vt.VarlenCollator(max_tokens_per_batch=1024, buffer_size=50)
    loader = vt.create_async_dataloader(vt.SequenceDataset([fasta([300] * 500)]), collator)
    batches = iter(loader)
    next(batches)
    assert threads() == before + 1
    with pytest.raises(RuntimeError, match="being iterated"):
        iter(loader)
    del batches
    gc.collect()
    assert threads() == before and collator.buffer == [] and collator.packed_queue == []
    assert len(ids_of(loader)) == 500


def test_batches_are_made_ahead_and_not_without_bound() -> None:
    made = []

    def source() -> Iterator[dict[str, str]]:
        for record in records([10] * 50):
            made.append(record["id"])
            yield record

    collator = vt.VarlenCollator(enable_packing=False)
    batches = iter(vt.create_async_dataloader(source(), collator, prefetch_factor=3))
    next(batches)
    time.sleep(0.5)
    # One is taken, three wait, and the thread holds one.
    assert 4 <= len(made) <= 6


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_iteration_in_a_fork_raises_and_does_not_hang(fasta: Callable[..., Path]) -> None:
    from test_reading import in_a_fork

    loader = vt.create_async_dataloader(vt.SequenceDataset([fasta([300] * 500)]), vt.VarlenCollator(buffer_size=50))
    batches = iter(loader)
    next(batches)
    assert "is a fork of it" in in_a_fork(lambda: str(next(batches)))
    assert next(batches)["num_sequences"] > 0


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="num_workers is 0"):
        vt.create_async_dataloader([], vt.VarlenCollator(), num_workers=0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        vt.create_async_dataloader([], vt.VarlenCollator(), batch_size=0)


def test_the_budget_goes_to_the_collator_and_its_packer(monkeypatch: pytest.MonkeyPatch) -> None:
    collator = vt.VarlenCollator()
    vt.create_async_dataloader([], collator, token_budget=2048)
    assert collator.packer is not None
    assert (collator.max_tokens_per_batch, collator.packer.max_tokens_per_batch) == (2048, 2048)
    # Without a card the collator's own budget stays; with one it is calculated, by the function in the loader's
    # module.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    vt.create_async_dataloader([], collator)
    assert collator.max_tokens_per_batch == 2048
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(_loader, "calculate_token_budget", lambda device_id, model_memory_gb: 512 + device_id)
    vt.create_async_dataloader([], collator, device_id=3)
    assert (collator.max_tokens_per_batch, collator.packer.max_tokens_per_batch) == (515, 515)


def card(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))


def test_a_large_card_has_a_larger_budget_without_a_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, 24 * 2**30)
    small = vt.calculate_token_budget()
    card(monkeypatch, 141 * 2**30)
    large = vt.calculate_token_budget()
    assert large > 7 * small > 7 * 16_384
    assert vt.calculate_token_budget(max_tokens=16_384) == 16_384


def test_free_memory_counts_and_not_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, 10 * 2**30)
    # 3 GiB remain for batches.
    assert vt.calculate_token_budget(bytes_per_token=2**20) == 3 * 1024
    with pytest.raises(virpack.OutOfMemory):
        vt.calculate_token_budget(model_memory_gb=9)


def test_without_a_card_the_hosts_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr("virpack._virpack.free_memory", lambda: 11 * 2**30)
    assert vt.calculate_token_budget(bytes_per_token=2**20) == 4 * 1024
    assert vt.calculate_token_budget() != 4096
    monkeypatch.setattr("virpack._virpack.free_memory", lambda: None)
    assert vt.calculate_token_budget(min_tokens=2048) == 2048
