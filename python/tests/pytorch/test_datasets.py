"""PackedDataset and SequenceDataset, alone, in workers and in ranks."""

from __future__ import annotations

import logging
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import virpack  # noqa: E402
import virpack.torch as vt  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

LENGTHS = [10 + place * 61 % 400 for place in range(1_000)]


def places(batches: Iterable[dict[str, Any]]) -> list[int]:
    return [place for batch in batches for place in batch["record_index"].tolist()]


def test_batches_of_a_file_have_every_record_once(fasta: Callable[..., Path]) -> None:
    dataset = vt.PackedDataset(fasta(LENGTHS), token_budget=2048)
    batches = list(dataset)
    assert sorted(places(batches)) == list(range(1_000))
    for batch in batches:
        boundaries = batch["cu_seqlens"]
        assert (batch["input_ids"].dtype, boundaries.dtype) == (torch.int64, torch.int32)
        assert len(batch["input_ids"]) == boundaries[-1] <= 2048 == batch["token_budget"]
        assert batch["max_seqlen"] == int((boundaries[1:] - boundaries[:-1]).max())
        assert batch["sequence_ids"] == [f"p{place}" for place in batch["record_index"].tolist()]
        assert batch["lengths"].tolist() == [LENGTHS[place] for place in batch["record_index"].tolist()]
        assert (boundaries[1:] - boundaries[:-1] - 2).tolist() == batch["lengths"].tolist()
        assert batch["num_sequences"] == len(batch["sequence_ids"]) and not batch["truncated"].any()
    # Batches are full, except at the end.
    assert sum(len(batch["input_ids"]) for batch in batches) / (2048 * len(batches)) > 0.95
    assert [batch["sequence_ids"] for batch in dataset] == [batch["sequence_ids"] for batch in batches]


def test_sequences_in_memory_give_the_batches_of_their_file(fasta: Callable[..., Path]) -> None:
    path = fasta(LENGTHS)
    of_file = list(vt.PackedDataset(path, token_budget=2048, ids_dtype="int32"))
    sources: list[Any] = [
        list(virpack.read(path)),
        [(record.id, record.sequence) for record in virpack.read(path)],
        [{"id": record.id, "sequence": record.sequence} for record in virpack.read(path)],
        [SimpleNamespace(id=record.id, seq=record.sequence) for record in virpack.read(path)],
        [(record.id, record.sequence.encode()) for record in virpack.read(path)],
    ]
    for source in sources:
        in_memory = list(vt.PackedDataset(source, token_budget=2048, ids_dtype="int32"))
        assert len(in_memory) == len(of_file)
        for one, other in zip(in_memory, of_file):
            assert one["input_ids"].dtype == torch.int32
            assert torch.equal(one["input_ids"], other["input_ids"])
            assert one["sequence_ids"] == other["sequence_ids"]
            assert torch.equal(one["record_index"], other["record_index"])


def test_text_has_its_place_as_id_and_a_string_is_a_path(tmp_path: Path) -> None:
    batch = next(iter(vt.PackedDataset(["MKT", "MK"])))
    assert (batch["sequence_ids"], batch["record_index"].tolist()) == (["0", "1"], [0, 1])
    with pytest.raises(virpack.InputError, match="cannot open"):
        list(vt.PackedDataset(str(tmp_path / "missing.fasta")))
    with pytest.raises(virpack.InputError, match="record 1 is a int"):
        list(vt.PackedDataset(["MKT", 3]))
    with pytest.raises(virpack.InputError, match="a path among sequences"):
        list(vt.PackedDataset(["MKT", tmp_path]))


@pytest.mark.parametrize("method", ["to_pylist", "to_list", "tolist"])
def test_a_column_is_a_source(method: str) -> None:
    column = SimpleNamespace(**{method: lambda: ["MKT", "MK"]})
    assert next(iter(vt.PackedDataset(column)))["num_sequences"] == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("in_memory", [False, True])
def test_records_without_tokens_are_listed_and_long_ones_flagged(
    in_memory: bool, fasta: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = fasta([5, 0, 50, 0])
    source: Any = list(virpack.read(path)) if in_memory else path
    dataset = vt.PackedDataset(source, max_length=20, token_budget=100)
    with caplog.at_level(logging.WARNING, "virpack"):
        (batch,) = dataset
    assert dict(zip(batch["sequence_ids"], batch["truncated"].tolist())) == {"p2": True, "p0": False}
    assert dict(zip(batch["sequence_ids"], batch["lengths"].tolist())) == {"p2": 50, "p0": 5}
    assert dataset.skipped == [(1, "p1", "empty"), (3, "p3", "empty")]
    assert "record p1 is skipped (empty), and 1 others" in caplog.text
    list(dataset)
    assert len(dataset.skipped) == 2, "of the last iteration"


def test_options_that_do_not_fit_are_refused_when_the_dataset_is_made(fasta: Callable[..., Path]) -> None:
    with pytest.raises(virpack.InputError, match="budget of 500 cannot hold a sequence of 1024"):
        vt.PackedDataset(fasta([5]), token_budget=500)
    with pytest.raises(virpack.InputError, match="ids_dtype"):
        vt.PackedDataset(fasta([5]), ids_dtype="uint16")
    with pytest.raises(virpack.ModelError):
        vt.PackedDataset(fasta([5]), model="no-such-model")


def test_nucleotides_are_tokenized_for_their_model(tmp_path: Path) -> None:
    path = tmp_path / "contigs.fasta"
    path.write_text(">c\n" + "ACGTTGCAAC" * 30 + "\n")
    (batch,) = vt.PackedDataset(path, model="virpack-mini/nucleotide", token_budget=8192)
    assert batch["lengths"].tolist() == [300] and 3 < len(batch["input_ids"]) < 200


def test_a_damaged_file_is_an_error_after_the_batches_before_it(tmp_path: Path) -> None:
    path = tmp_path / "damaged.fasta"
    path.write_text(">a\nMKT\n>b\nMK1T\n")
    batches = iter(vt.PackedDataset(path))
    assert next(batches)["sequence_ids"] == ["a"]
    with pytest.raises(virpack.InputError, match="damaged.fasta"):
        next(batches)


def test_pinned_memory_is_asked_of_a_card_only(fasta: Callable[..., Path]) -> None:
    (batch,) = vt.PackedDataset(fasta([5]), pin_memory=True)
    assert batch["input_ids"].is_pinned() == torch.cuda.is_available()


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_workers_give_each_record_once(context: str, in_memory: bool, fasta: Callable[..., Path]) -> None:
    path = fasta(LENGTHS)
    dataset = vt.PackedDataset([tuple(r[::2][:2]) for r in virpack.read(path)] if in_memory else path)
    # A dataset that was iterated here also works there.
    assert sorted(places(dataset)) == list(range(1_000))
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=context)
    assert sorted(places(loader)) == list(range(1_000))
    records = DataLoader(vt.SequenceDataset([path]), batch_size=None, num_workers=2, multiprocessing_context=context)
    assert Counter(record["id"] for record in records) == Counter(f"p{place}" for place in range(1_000))


def test_an_iterator_in_a_fork_raises(fasta: Callable[..., Path]) -> None:
    from test_reading import in_a_fork

    batches = iter(vt.PackedDataset(fasta(LENGTHS)))
    next(batches)
    assert "is a fork of it" in in_a_fork(lambda: str(next(batches)))
    assert next(batches)["num_sequences"] > 0


def test_shards_and_ranks_and_workers_divide_records(fasta: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = fasta(LENGTHS)
    seen: list[int] = []
    for part in range(2):
        for rank in range(3):
            monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
            monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
            monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
            dataset = vt.PackedDataset(path, shard=(part, 2))
            # In the form that a spawned worker gets, without the process group.
            sent = pickle.dumps(dataset)
            monkeypatch.setattr("torch.distributed.is_initialized", lambda: False)
            loader = DataLoader(pickle.loads(sent), batch_size=None, num_workers=2)
            here = places(loader)
            assert {place % 2 for place in here} == {part}
            seen += here
    assert sorted(seen) == list(range(1_000))


def run_rank(rank: int, store: str, path: str, out: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    loader = DataLoader(vt.PackedDataset(path), batch_size=None, num_workers=2)
    Path(f"{out}{rank}").write_text(" ".join(map(str, places(loader))))
    torch.distributed.destroy_process_group()


def test_two_real_ranks_give_each_record_once(fasta: Callable[..., Path], tmp_path: Path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    path, out = str(fasta(LENGTHS)), str(tmp_path / "rank")
    torch.multiprocessing.spawn(run_rank, (str(tmp_path / "store"), path, out), nprocs=2)
    found = [int(place) for rank in (0, 1) for place in Path(f"{out}{rank}").read_text().split()]
    assert sorted(found) == list(range(1_000))


def test_records_for_virnucpros_collator(fasta: Callable[..., Path]) -> None:
    one, two = fasta([5, 50], "one.fasta"), fasta([7], "two.fasta")
    found = list(vt.SequenceDataset([one, two], max_length=10))
    assert [(record["id"], len(record["sequence"]), record["file"]) for record in found] == [
        ("p0", 5, "one.fasta"),
        ("p1", 10, "one.fasta"),
        ("p0", 7, "two.fasta"),
    ]
    assert [record.get("truncated", False) for record in found] == [False, True, False]
    with pytest.raises(virpack.InputError):
        vt.SequenceDataset([one], max_length=0)


def test_cores_are_not_needed_to_iterate_in_a_thread(fasta: Callable[..., Path]) -> None:
    import threading

    dataset, found = vt.PackedDataset(fasta(LENGTHS)), []
    thread = threading.Thread(target=lambda: found.extend(places(dataset)))
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive() and sorted(found) == list(range(1_000)), os.getpid()
