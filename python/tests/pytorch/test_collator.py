"""VarlenCollator."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import virpack.torch as vt  # noqa: E402
from conftest import records  # noqa: E402


class Converter:
    """A batch converter like fair-esm's: one token for each letter, `J` two, padding 1."""

    alphabet = SimpleNamespace(padding_idx=1)

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str], Any]:
        rows = [[0, *(token for letter in text for token in ([9, 9] if letter == "J" else [7])), 2] for _, text in pairs]
        padded = torch.full((len(rows), max(map(len, rows))), 1)
        for place, row in enumerate(rows):
            padded[place, : len(row)] = torch.tensor(row)
        return [name for name, _ in pairs], [text for _, text in pairs], padded


def ids_of(batches: Sequence[dict[str, Any]]) -> list[str]:
    return [name for batch in batches for name in batch["sequence_ids"]]


def check(batch: dict[str, Any], budget: int) -> None:
    """Checks that apply to every batch."""
    boundaries = batch["cu_seqlens"].tolist()
    lengths = [end - start for start, end in zip(boundaries, boundaries[1:])]
    assert (batch["input_ids"].dtype, batch["cu_seqlens"].dtype) == (torch.int64, torch.int32)
    assert (boundaries[0], boundaries[-1]) == (0, len(batch["input_ids"]))
    assert batch["max_seqlen"] == max(lengths) and min(lengths) > 0
    assert batch["num_sequences"] == len(lengths) == len(batch["sequence_ids"])
    assert len(batch["input_ids"]) <= budget == batch["token_budget"]


def test_the_defaults_are_those_of_virnucpro() -> None:
    collator = vt.VarlenCollator(Converter())
    assert (collator.buffer_size, collator.max_tokens_per_batch, collator.enable_packing) == (2000, 4096, True)
    assert (collator.padding_idx, collator.buffer, collator.packed_queue) == (1, [], [])
    assert collator.packer is not None and collator.packer.max_sequence_length == 1022
    assert vt.VarlenCollator(enable_packing=False).packer is None


def test_records_wait_until_the_buffer_is_full_and_come_out_once() -> None:
    collator = vt.VarlenCollator(max_tokens_per_batch=300, buffer_size=50)
    given = records([5 + place * 37 % 200 for place in range(120)])
    batches = []
    for place, record in enumerate(given):
        batch = collator(record)
        assert place >= 49 or batch == {}
        if batch:
            batches.append(batch)
    batches += collator.flush()
    for batch in batches:
        check(batch, 300)
    assert sorted(ids_of(batches)) == sorted(record["id"] for record in given)
    assert (collator._total_sequences_received, collator._total_sequences_returned) == (120, 120)
    assert collator.flush() == [] and collator.buffer == [] and collator.packed_queue == []


def test_an_empty_list_asks_for_what_is_ready_and_packs_nothing() -> None:
    collator = vt.VarlenCollator(max_tokens_per_batch=20, max_sequence_length=18, buffer_size=3)
    first = collator(records([18, 18, 18]))
    assert first["num_sequences"] == 1 and len(collator.packed_queue) == 2
    assert collator([])["num_sequences"] == 1
    collator(records([5]))
    assert len(collator.buffer) == 1 and collator.packed_queue == []
    assert collator([]) == {} and len(collator.buffer) == 1


def test_tokens_are_those_of_esm2() -> None:
    collator = vt.VarlenCollator()
    collator([{"id": "a", "sequence": "MK1"}, {"id": "b", "sequence": "<mask>L"}])
    batch = collator.flush()[0]
    tokens = {
        name: batch["input_ids"][start:end].tolist()
        for name, start, end in zip(batch["sequence_ids"], batch["cu_seqlens"], batch["cu_seqlens"][1:])
    }
    assert tokens == {"a": [0, 20, 15, 3, 2], "b": [0, 32, 4, 2]}


def test_a_converter_of_the_users_is_called_and_its_padding_removed() -> None:
    collator = vt.VarlenCollator(Converter(), max_tokens_per_batch=100)
    collator(records([3, 1]))
    batch = collator.flush()[0]
    check(batch, 100)
    assert batch["input_ids"].tolist() == [0, 7, 7, 7, 2, 0, 7, 2]


def test_what_takes_more_tokens_than_letters_comes_in_a_later_batch() -> None:
    collator = vt.VarlenCollator(Converter(), max_tokens_per_batch=20, max_sequence_length=18)
    # 6 letters each, which the packer counts as 8 tokens, and of which the converter makes 14.
    given = [{"id": str(place), "sequence": "J" * 6} for place in range(9)]
    collator(given)
    batches = collator.flush()
    for batch in batches:
        check(batch, 20)
    assert sorted(ids_of(batches)) == [str(place) for place in range(9)]


@pytest.mark.parametrize("enable_packing", [True, False])
def test_a_record_that_no_batch_holds_is_an_error(enable_packing: bool) -> None:
    collator = vt.VarlenCollator(max_tokens_per_batch=100, enable_packing=enable_packing)
    with pytest.raises(ValueError, match="502 tokens exceed the token budget of 100"):
        collator(records([500]))
        collator.flush()


@pytest.mark.parametrize("enable_packing", [True, False])
def test_a_long_record_is_truncated_and_flagged(enable_packing: bool, caplog: pytest.LogCaptureFixture) -> None:
    collator = vt.VarlenCollator(max_sequence_length=10, enable_packing=enable_packing)
    given = records([50, 5])
    batch = collator(given) or collator.flush()[0]
    assert dict(zip(batch["sequence_ids"], batch["truncated"].tolist())) == {"p0": True, "p1": False}
    assert batch["max_seqlen"] == 12 and given == records([50, 5])
    assert "p0 exceeds max_length (50 > 10)" in caplog.text


def test_with_packing_off_nothing_is_lost() -> None:
    collator = vt.VarlenCollator(enable_packing=False)
    given = records([300] * 100)
    batches = []
    for start in range(0, 100, 32):
        batches.append(collator(given[start : start + 32]))
    batches += collator.flush()
    for batch in batches:
        check(batch, 4096)
    assert ids_of(batches) == [record["id"] for record in given], "they come in order"


def test_an_empty_record_is_skipped_with_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    collator = vt.VarlenCollator()
    collator(records([0, 3, 0]))
    assert ids_of(collator.flush()) == ["p1"]
    assert collator.skipped == [("p0", "empty"), ("p2", "empty")]
    assert "record p0 is skipped" in caplog.text
    collator(records([0]))
    assert collator.flush() == []


def test_two_records_of_one_id_are_two_rows() -> None:
    collator = vt.VarlenCollator()
    collator([{"id": "a", "sequence": "MK"}, {"id": "a", "sequence": "MV"}])
    assert ids_of(collator.flush()) == ["a", "a"]


def test_a_collator_that_holds_records_is_not_copied() -> None:
    collator = pickle.loads(pickle.dumps(vt.VarlenCollator()))
    collator(records([3]))
    with pytest.raises(RuntimeError, match="cannot be copied"):
        pickle.dumps(collator)
    collator.reset()
    pickle.dumps(collator)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_used_collator_raises_in_a_fork_and_a_fresh_one_works() -> None:
    from test_reading import in_a_fork

    fresh, used = vt.VarlenCollator(), vt.VarlenCollator()
    used(records([3]))

    def use(collator: vt.VarlenCollator) -> str:
        collator(records([4]))
        return str(len(collator.flush()))

    assert in_a_fork(lambda: use(fresh)) == "1"
    assert "is a fork of it" in in_a_fork(lambda: use(used))
    assert ids_of(used.flush()) == ["p0"], "the parent still has its record"


class Numbers(torch.utils.data.IterableDataset):  # type: ignore[misc]
    def __iter__(self) -> Any:
        return iter(records([300] * 40))


@pytest.mark.parametrize("enable_packing", [True, False])
def test_a_copy_in_a_worker_raises_before_it_loses_records(enable_packing: bool) -> None:
    loader = torch.utils.data.DataLoader(
        Numbers(), batch_size=32, num_workers=1, collate_fn=vt.VarlenCollator(enable_packing=enable_packing)
    )
    with pytest.raises(RuntimeError, match="create_async_dataloader or PackedDataset"):
        list(loader)


def test_with_packing_off_batches_that_fit_may_be_made_in_workers() -> None:
    loader = torch.utils.data.DataLoader(
        Numbers(), batch_size=8, num_workers=1, collate_fn=vt.VarlenCollator(enable_packing=False)
    )
    assert len(ids_of(list(loader))) == 40
