"""Plans: the parts, made by a loaded model, are joined into the file of one run."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import virpack

TINY = Path(__file__).parents[2] / "examples" / "esm2_tiny"
LENGTHS = [5 + 37 * place % 211 for place in range(300)]


@pytest.fixture
def plan(fasta: Callable[..., Path], tmp_path: Path) -> virpack.Plan:
    return virpack.plan(fasta(LENGTHS), tmp_path / "plan", TINY, part_tokens=6_000)


def whole(path: Path, output: Path, **options) -> list[bytes]:
    """The file of one run, and the files beside it."""
    virpack.embed(path, TINY, device="cpu", output=output, **options)
    return [output.read_bytes(), output.with_name(output.name + ".records.tsv").read_bytes()]


def test_parts_are_joined_to_the_file_of_one_run(plan: virpack.Plan, tmp_path: Path) -> None:
    assert plan.records == 300 and plan.tokens == sum(LENGTHS) + 600 and not plan.was_there
    assert sum(part.records for part in plan.parts) == 300 and len(plan.parts) > 5
    assert all(0 < part.tokens <= 6_000 for part in plan.parts)
    assert [part.start for part in plan.parts[1:]] == [part.end for part in plan.parts[:-1]]
    assert [part.number for part in plan.parts] == plan.missing()

    with plan.embedder(device="cpu", token_budget=2_000) as embedder:
        first = plan.embed(3, embedder)
        again = plan.embed(3, embedder)
    assert not first.was_there and first.rows == plan.parts[2].records and first.seconds > 0
    assert again.was_there and again.sha256 == first.sha256
    assert 3 not in plan.missing()
    with pytest.raises(virpack.InputError, match="missing"):
        plan.commit()

    for number in plan.missing():
        plan.embed(number)
    assert plan.missing() == []
    joined = tmp_path / "joined.npy"
    committed = plan.commit(joined)
    assert (committed.parts, committed.records, committed.rows, committed.skipped) == (len(plan.parts), 300, 300, 0)
    assert committed.files[0] == str(joined) and committed.device_kinds == 1 and not committed.was_there
    one_run = whole(tmp_path / "proteins.fasta", tmp_path / "whole.npy")
    assert [joined.read_bytes(), Path(f"{joined}.records.tsv").read_bytes()] == one_run
    assert plan.commit().was_there


def test_a_plan_is_found_and_another_is_refused(plan: virpack.Plan, tmp_path: Path) -> None:
    same = virpack.plan([tmp_path / "proteins.fasta"], plan.directory, TINY, part_tokens=6_000)
    assert same.was_there and same.name == plan.name
    with pytest.raises(virpack.InputError, match="another plan"):
        virpack.plan(tmp_path / "proteins.fasta", plan.directory, TINY, part_tokens=7_000)
    with pytest.raises(virpack.InputError, match="no plan"):
        virpack.Plan(tmp_path)
    with pytest.raises(virpack.InputError, match="no part 99"):
        plan.embed(99)


def test_a_plan_of_another_version_is_refused(plan: virpack.Plan) -> None:
    facts = Path(plan.directory, "plan.json")
    facts.write_text(facts.read_text().replace(f'"virpack": "{virpack.__version__}"', '"virpack": "0.0.1"'))
    with pytest.raises(virpack.InputError, match="made by virpack 0.0.1"):
        virpack.Plan(plan.directory)


def test_a_model_or_options_that_are_not_the_plans_are_refused(plan: virpack.Plan) -> None:
    with virpack.Embedder(TINY, device="cpu", pool="cls") as other:
        with pytest.raises(virpack.InputError, match="the pooling is not the plan's: cls here, mean there"):
            plan.embed(1, other)
    with virpack.Embedder(device="cpu") as other:
        with pytest.raises(virpack.InputError, match="SHA-256 of the weights"):
            plan.embed(1, other)
    with virpack.Embedder(TINY, device="cpu") as same:
        assert plan.embed(1, same).rows == plan.parts[0].records


def test_what_shapes_rows_is_the_plans(fasta: Callable[..., Path], tmp_path: Path) -> None:
    options = {"pool": "cls", "layer": 1, "min_length": 50, "max_length": 100, "long_records": "window", "window_overlap": 10}
    plan = virpack.plan(fasta(LENGTHS), tmp_path / "plan", TINY, part_tokens=9_000, dtype_out="float16", **options)
    for number in plan.missing():
        part = plan.embed(number)
        assert part.rows + part.skipped == part.records
    plan.commit(tmp_path / "joined.npy")
    one_run = whole(tmp_path / "proteins.fasta", tmp_path / "whole.npy", dtype_out="float16", **options)
    assert (tmp_path / "joined.npy").read_bytes() == one_run[0]


def test_a_record_at_fault_is_named_and_leaves_the_other_parts(fasta: Callable[..., Path], tmp_path: Path) -> None:
    path = fasta([50] * 20 + [500] + [50] * 20)
    plan = virpack.plan(path, tmp_path / "plan", TINY, part_tokens=600, max_length=100, long_records="error")
    failed = []
    for number in plan.missing():
        try:
            plan.embed(number)
        except virpack.InputError as error:
            failed.append((number, error))
    [(number, error)] = failed
    assert f"{path}:41: record" in str(error) and "p20" in str(error) and error.exit_code == 1
    assert plan.missing() == [number]
    leftovers = [file.name for file in Path(plan.directory).iterdir() if file.name.startswith(".")]
    assert leftovers == []


def test_a_torn_part_is_made_again(plan: virpack.Plan) -> None:
    for number in plan.missing():
        made = plan.embed(number)
    path = Path(made.path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(virpack.InputError, match=f"part {made.number}: torn"):
        plan.commit()
    # Its size is right, so that only the bytes show it.
    assert plan.missing() == []
    assert not plan.embed(made.number).was_there
    assert plan.commit().parts == len(plan.parts)


def test_an_exception_of_a_callback_ends_a_part_and_leaves_nothing(fasta: Callable[..., Path], tmp_path: Path) -> None:
    plan = virpack.plan(fasta([300] * 3_000), tmp_path / "plan", TINY)

    class Stop(Exception):
        pass

    def stop(_: virpack.Progress) -> None:
        raise Stop

    with pytest.raises(Stop):
        plan.embed(1, progress=stop)
    assert plan.missing() == [1]
    assert [file.name for file in Path(plan.directory).iterdir() if "part-" in file.name] == []


def test_a_plan_and_its_embedder_are_pickled(plan: virpack.Plan) -> None:
    there = pickle.loads(pickle.dumps(plan))
    assert there.name == plan.name and there.parts == plan.parts
    embedder = pickle.loads(pickle.dumps(plan.embedder(device="cpu", threads=1)))
    assert there.embed(1, embedder).rows == plan.parts[0].records


def test_threads_make_parts_by_one_model(plan: virpack.Plan) -> None:
    embedder = plan.embedder(device="cpu")
    work = [threading.Thread(target=plan.embed, args=(number, embedder)) for number in plan.missing()]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert plan.commit().rows == 300


def test_options_that_do_not_fit_are_refused(fasta: Callable[..., Path], plan: virpack.Plan, tmp_path: Path) -> None:
    path = fasta([10])
    with pytest.raises(virpack.InputError, match="part_tokens is 0"):
        virpack.plan(path, tmp_path / "x", TINY, part_tokens=0)
    with pytest.raises(virpack.InputError, match="pool is 'middle'"):
        virpack.plan(path, tmp_path / "x", TINY, pool="middle")
    with pytest.raises(virpack.InputError, match="bfloat16"):
        virpack.plan(path, tmp_path / "x", TINY, dtype_out="bfloat16")
    with pytest.raises(virpack.InputError, match="for an output"):
        plan.commit(force=True)
    with pytest.raises(virpack.InputError, match="paths and a tuple"):
        virpack.plan([("id", "MKV")], tmp_path / "x", TINY)
    assert not (tmp_path / "x").exists()


def test_a_changed_model_is_refused(fasta: Callable[..., Path], tmp_path: Path) -> None:
    model = shutil.copytree(TINY, tmp_path / "model")
    plan = virpack.plan(fasta([10, 20]), tmp_path / "plan", model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config) + "\n")
    with pytest.raises(virpack.InputError, match="configuration of"):
        plan.embed(1)
