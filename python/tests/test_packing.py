"""pack_lengths and GreedyPacker."""

from __future__ import annotations

import logging
import pickle
import threading
import time

import numpy as np
import pytest
from conftest import records

import virpack

LENGTHS = np.random.default_rng(3).integers(3, 1024, 5_000, dtype=np.uint32)


def textbook_best_fit(lengths: list[int], budget: int) -> list[list[int]]:
    """Best-Fit Decreasing as in textbooks: the batch with the least room that still holds the length."""
    batches: list[list[int]] = []
    room: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[position]
        fitting = [(room[i], i) for i in range(len(batches)) if room[i] >= length]
        if fitting:
            _, best = min(fitting)
        else:
            best = len(batches)
            batches.append([])
            room.append(budget)
        batches[best].append(position)
        room[best] -= length
    return batches


@pytest.mark.parametrize("budget", [1024, 2000, 4096])
def test_batches_are_those_of_the_textbook(budget: int) -> None:
    lengths = LENGTHS[:400]
    packing = virpack.pack_lengths(lengths, budget)
    assert [batch.tolist() for batch in packing] == textbook_best_fit(lengths.tolist(), budget)


@pytest.mark.parametrize("algorithm", ["best-fit-decreasing", "first-fit-decreasing", "next-fit-decreasing", "next-fit"])
def test_each_position_is_in_one_batch_and_no_batch_is_over_budget(algorithm: str) -> None:
    packing = virpack.pack_lengths(LENGTHS, 2048, algorithm=algorithm)
    assert sorted(packing.order.tolist()) == list(range(len(LENGTHS)))
    tokens = [int(LENGTHS[batch].sum()) for batch in packing]
    assert max(tokens) <= 2048
    assert packing.efficiency == pytest.approx(sum(tokens) / (2048 * len(packing)))
    assert (packing.order.dtype, packing.starts.dtype) == (np.uint32, np.uint32)


def test_a_packing_is_a_sequence_of_batches() -> None:
    packing = virpack.pack_lengths([30, 60, 50, 40, 20], 100)
    assert len(packing) == 2
    assert [batch.tolist() for batch in packing] == [[1, 3], [2, 0, 4]]
    assert packing[-1].tolist() == [2, 0, 4]
    assert [batch.tolist() for batch in packing[:1]] == [[1, 3]]
    assert packing.starts.tolist() == [0, 2, 5]
    with pytest.raises(IndexError):
        packing[2]
    assert "2 batches, 100.0 % full" in repr(packing)


def test_nothing_packs_into_no_batch() -> None:
    packing = virpack.pack_lengths([], 100)
    assert len(packing) == 0 and list(packing) == [] and packing.efficiency == 1.0


def test_max_sequences_limits_batches() -> None:
    assert len(virpack.pack_lengths([10, 10, 10], 100, max_sequences=2)) == 2


def test_a_length_over_the_budget_is_named_by_its_index() -> None:
    with pytest.raises(ValueError, match="length 2 is of 101 tokens") as caught:
        virpack.pack_lengths([5, 100, 101], 100)
    error = caught.value
    assert isinstance(error, virpack.InputError)
    assert (error.position, error.tokens, error.longest, error.exit_code) == (2, 101, 100, 1)
    assert error.hint is not None and str(error).endswith("hint: " + error.hint)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.position) == (type(error), str(error), 2)


@pytest.mark.parametrize("wrong", [[-1, 5], [2**32], np.array([5, 2**32 + 5], dtype=np.uint64)])
def test_a_length_that_uint32_does_not_hold_is_an_error_and_not_another_length(wrong: object) -> None:
    with pytest.raises(ValueError, match="lengths are from 1 to"):
        virpack.pack_lengths(wrong, 100)  # type: ignore[arg-type]


def test_lengths_that_are_no_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="integers"):
        virpack.pack_lengths([1.5], 100)
    with pytest.raises(ValueError, match="one dimension"):
        virpack.pack_lengths([[1, 2]], 100)
    with pytest.raises(virpack.InputError, match="'bfd'"):
        virpack.pack_lengths([1], 100, algorithm="bfd")


def test_any_integers_and_strides_give_the_same_batches() -> None:
    expected = virpack.pack_lengths(LENGTHS, 2048).order.tolist()
    for dtype in (np.int16, np.int32, np.int64, np.uint64):
        assert virpack.pack_lengths(LENGTHS.astype(dtype), 2048).order.tolist() == expected
    doubled = np.repeat(LENGTHS, 2)[::2]
    assert not doubled.flags.c_contiguous
    assert virpack.pack_lengths(doubled, 2048).order.tolist() == expected


def test_other_threads_run_while_lengths_are_packed() -> None:
    lengths = np.tile(LENGTHS, 2_000)
    done, ticks = threading.Event(), 0

    def pack() -> None:
        virpack.pack_lengths(lengths, 4096)
        done.set()

    thread = threading.Thread(target=pack)
    thread.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    # 10 M lengths take more than 10 ms; a thread that waited for the interpreter would tick once or twice.
    assert ticks >= 5


# --- GreedyPacker ---


def shape(batches: list[list[dict[str, str]]]) -> list[list[int]]:
    return [[len(record["sequence"]) for record in batch] for batch in batches]


def test_first_fit_looks_at_all_batches() -> None:
    # 50, 28, 28 and 9 tokens: a packer that considers only the newest batch makes three.
    packed = virpack.GreedyPacker(63).pack_sequences(records([48, 26, 26, 7]))
    assert shape(packed) == [[48, 7], [26, 26]]


def test_the_callers_records_are_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    given = records([50, 5])
    before = [dict(record) for record in given]
    with caplog.at_level(logging.WARNING, "virpack"):
        packed = virpack.GreedyPacker(100, max_sequence_length=10).pack_sequences(given)
    assert given == before
    assert packed == [[{"id": "p0", "sequence": "M" * 10, "truncated": True}, {"id": "p1", "sequence": "M" * 5}]]
    assert packed[0][1] is given[1], "a record that fits is not copied"
    assert "p0 exceeds max_length (50 > 10)" in caplog.text


def test_no_batch_is_over_its_budget() -> None:
    with pytest.raises(ValueError, match="record p0: 502 tokens exceed the token budget of 100"):
        virpack.GreedyPacker(100).pack_sequences(records([500]))
    packed = virpack.GreedyPacker(1024).pack_sequences(records(LENGTHS.tolist()[:500]))
    assert max(sum(length + 2 for length in batch) for batch in shape(packed)) <= 1024


def test_records_that_fill_half_a_batch_make_as_many_batches_as_they_must() -> None:
    packed = virpack.GreedyPacker(20).pack_sequences(records([8] * 300))
    assert shape(packed) == [[8, 8]] * 150
    assert len({record["id"] for batch in packed for record in batch}) == 300


def test_two_records_of_one_id_are_two_records() -> None:
    twice = [{"id": "a", "sequence": "MK"}, {"id": "a", "sequence": "MV"}]
    assert virpack.GreedyPacker(100).pack_sequences(twice) == [twice]


@pytest.mark.parametrize("ids", [["c", "a", "b"], [3, 1, 2], [(3, "x"), (1, "z"), (2, "y")], ["é", "a", "日"]])
def test_records_of_one_length_are_in_the_order_of_their_ids(ids: list[object]) -> None:
    packer = virpack.GreedyPacker(100)
    given = [{"id": name, "sequence": "MKT"} for name in ids]
    expected = sorted(ids)  # type: ignore[type-var]
    assert [record["id"] for record in packer.pack_sequences(given)[0]] == expected
    assert [record["id"] for record in packer.sort_by_length(given)] == expected


def test_ids_that_cannot_be_compared_are_an_error() -> None:
    with pytest.raises(TypeError):
        virpack.GreedyPacker(100).pack_sequences([{"id": 1, "sequence": "M"}, {"id": "a", "sequence": "M"}])


def test_a_record_without_a_sequence_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="sequence"):
        virpack.GreedyPacker(100).pack_sequences([{"id": "a"}])


def test_a_short_end_is_no_reason_to_warn_and_poor_batches_are(caplog: pytest.LogCaptureFixture) -> None:
    packer = virpack.GreedyPacker(100)
    with caplog.at_level(logging.DEBUG, "virpack"):
        packer.pack_sequences(records([10]))
        packer.pack_sequences(records([98] * 20 + [10]))
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING, "virpack"):
        packer.pack_sequences(records([50] * 20))
    assert "52.0 % full" in caplog.text


def test_efficiency_counts_special_tokens() -> None:
    packer = virpack.GreedyPacker(30)
    assert packer.compute_efficiency([records([5, 10])]) == pytest.approx(19 / 30)
    assert packer.compute_efficiency([]) == 0.0
