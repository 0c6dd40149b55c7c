"""``virpack.ray`` on a cluster of this machine: whatever is killed, rows have the bits of one process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import virpack

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402

import faults  # noqa: E402
import virpack.ray  # noqa: E402

ROOT = Path(__file__).parents[3]
TINY = ROOT / "examples" / "esm2_tiny"
RECORDS = 10_000
PARTS = 20
NODE = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of one node with two cores, whose driver is this process."""
    # Actors cannot import files beside this one.
    ray.cloudpickle.register_pickle_by_value(faults)
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="warning")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class Input:
    """10,000 records, and the result of one process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "proteins.fasta"
        letters = "LAGVSERTIDPKQNFYMHWC"
        with self.path.open("w") as out:
            for place in range(RECORDS):
                sequence = "".join(letters[(place * 7 + at * at) % 20] for at in range(10 + place * 37 % 90))
                out.write(f">r{place}\n{sequence}\n")
        # Records of 62 tokens on average.
        self.tokens = sum(12 + place * 37 % 90 for place in range(RECORDS))
        virpack.embed(self.path, TINY, device="cpu", output=folder / "whole.npy")
        self.whole = (folder / "whole.npy").read_bytes()
        self.table = (folder / "whole.npy.records.tsv").read_bytes()

    def plan(self, directory: Path) -> virpack.Plan:
        plan = virpack.plan(self.path, directory, TINY, part_tokens=self.tokens // PARTS + 100)
        assert len(plan.parts) == PARTS
        return plan

    def holds(self, plan: virpack.Plan) -> virpack.Committed:
        """Commit the plan, and compare its rows with those of one process."""
        output = Path(plan.directory + ".npy")
        committed = plan.commit(output)
        table = Path(f"{output}.records.tsv").read_bytes()
        ids = [line.split(b"\t") for line in table.splitlines()]
        assert committed.rows == RECORDS
        assert len({line for line in table.splitlines()}) == len(ids)
        assert table == self.table, "another order, or other records"
        assert output.read_bytes() == self.whole, "other values"
        return committed


@pytest.fixture(scope="module")
def proteins(tmp_path_factory: pytest.TempPathFactory) -> Input:
    return Input(tmp_path_factory.mktemp("proteins"))


def embed(plan: virpack.Plan, **options: Any) -> virpack.ray.Summary:
    return virpack.ray.embed(plan, **{"num_gpus": 0, "concurrency": 2, **options})


def test_a_run_makes_all_parts_the_longest_first_and_a_second_none(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    made: list[virpack.Part] = []
    summary = embed(plan.directory, concurrency=1, on_part=made.append)
    assert (summary.parts, summary.there, summary.made, summary.rows) == (PARTS, 0, PARTS, RECORDS)
    assert summary.begun_again == 0 and summary.failed == [] and summary.tokens == proteins.tokens
    tokens = {part.number: part.tokens for part in plan.parts}
    assert [part.number for part in made] == sorted(tokens, key=lambda number: (-tokens[number], number))
    assert proteins.holds(plan).removed == 0

    again = embed(plan)
    assert (again.there, again.made, again.tokens) == (PARTS, 0, 0)
    assert str(again).startswith(f"0 of {PARTS} parts made, {PARTS} were there")


def test_actors_that_are_killed_at_the_worst_moments_change_nothing(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    summary = embed(plan, worker=faults.Killed)
    assert {path.name for path in Path(plan.directory + ".faults").iterdir()} == {"before", "between", "reportless", "after"}
    assert summary.begun_again == 4 and summary.made == PARTS
    # A part killed between its data and its name leaves a temporary file, which the commit removes.
    assert proteins.holds(plan).removed >= 1


def test_a_node_that_is_killed_changes_nothing(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    node = cluster.add_node(num_cpus=2, object_store_memory=80_000_000)
    cluster.wait_for_nodes()
    made: list[virpack.Part] = []

    def each(part: Any) -> None:
        made.append(part)
        if len(made) == 3:
            cluster.remove_node(node, allow_graceful=False)

    # Two actors have room on each node. A lost node does not count as a try.
    summary = embed(plan, concurrency=4, worker=faults.Steady, on_part=each, tries=1)
    assert summary.made == PARTS
    proteins.holds(plan)


@pytest.mark.parametrize("concurrency", [None, (1, 3)])
def test_a_cluster_that_grows_is_used_and_given_back(
    cluster: Any, proteins: Input, tmp_path: Path, concurrency: tuple[int, int] | None
) -> None:
    plan = proteins.plan(tmp_path / "plan")
    nodes: list[Any] = []
    made: list[virpack.Part] = []

    def each(part: Any) -> None:
        made.append(part)
        if len(made) == 2:
            nodes.append(cluster.add_node(num_cpus=2, object_store_memory=80_000_000))

    try:
        summary = embed(plan, concurrency=concurrency, worker=faults.Noting, on_part=each)
    finally:
        for node in nodes:
            cluster.remove_node(node)
    assert summary.made == PARTS and summary.begun_again == 0
    noted = Path(plan.directory + ".faults")
    assert len(list((noted / "nodes").iterdir())) == 2, "the new node made parts"
    # While the last part is made, its actor is the only one: 3 of 4 cores are free.
    assert float((noted / "free").read_text()) == 3
    proteins.holds(plan)


@pytest.mark.parametrize("concurrency", [0, (0, 2), (3, 2)])
def test_a_number_of_actors_that_cannot_be_is_refused(proteins: Input, tmp_path: Path, concurrency: Any) -> None:
    with pytest.raises(virpack.InputError, match="it must be at least 1") as refused:
        embed(proteins.plan(tmp_path / "plan"), concurrency=concurrency)
    assert "concurrency is" in str(refused.value)


def test_a_driver_that_is_killed_twice_computes_only_what_is_missing(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    reports = Path(plan.directory, "_parts")
    script = tmp_path / "drive.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport ray, faults, virpack.ray\n"
        "ray.cloudpickle.register_pickle_by_value(faults)\n"
        f"ray.init(address={cluster.address!r}, log_to_driver=False)\n"
        f"print(virpack.ray.embed({plan.directory!r}, num_gpus=0, concurrency=2, worker=faults.Steady))\n"
    )
    for at_least in (3, 9):
        driver = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
        waits_until(lambda: len(list(reports.glob("[0-9]*"))) >= at_least, driver)
        driver.kill()
        driver.wait()
        assert plan.missing(), "it was killed too late"
    there = PARTS - len(plan.missing())
    last = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True)
    # Ray may print lines of its own before.
    made = int(last.stdout.strip().splitlines()[-1].split(" of ")[0])
    # Actors of the second driver may each have finished a part after it was killed.
    assert 0 < made <= PARTS - there
    proteins.holds(plan)


def test_a_slow_actor_holds_the_others_up_for_one_part_only(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    summary = embed(plan, worker=faults.Slow)
    assert summary.made == PARTS and summary.begun_again == 0
    assert (Path(plan.directory + ".faults") / "slow").exists()
    proteins.holds(plan)


def test_a_part_that_hangs_is_tried_again_and_then_reported(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    with pytest.raises(virpack.ray.PartsFailed, match=r"part 5 on \S+: it took longer than 10 s") as failed:
        embed(plan, worker=faults.Hanging, part_timeout=10, tries=2)
    summary = failed.value.summary
    assert [(part.number, part.tries) for part in summary.failed] == [(5, 2)]
    # Part 3 once and part 5 once.
    assert summary.begun_again == 2 and summary.made == PARTS - 1 and plan.missing() == [5]
    assert embed(plan).made == 1
    proteins.holds(plan)


def test_a_bad_record_fails_its_part_and_the_others_are_made(cluster: Any, fasta: Callable[..., Path], tmp_path: Path) -> None:
    path = fasta([50] * 30 + [500] + [50] * 30)
    plan = virpack.plan(path, tmp_path / "plan", TINY, part_tokens=600, max_length=100, long_records="error")
    with pytest.raises(virpack.ray.PartsFailed) as failed:
        embed(plan)
    [part] = failed.value.summary.failed
    assert f"{path}:61: record" in part.reason and "p30" in part.reason and part.tries == 1
    assert plan.missing() == [part.number] and f"part {part.number} on" in str(failed.value)
    assert failed.value.exit_code == 1


def test_two_drivers_at_once_do_no_harm(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    command = [sys.executable, "-m", "virpack.ray", plan.directory, "--address", cluster.address, "--num-gpus", "0"]
    drivers = [subprocess.Popen([*command, "--concurrency", "1"], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for driver in drivers:
        _, said = driver.communicate(timeout=120)
        assert driver.returncode == 0, said
        assert f"of {PARTS} parts made" in said.splitlines()[-1]
    proteins.holds(plan)


def test_a_cluster_that_cannot_load_the_model_is_reported(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    with pytest.raises(virpack.DeviceError, match="this device is broken"):
        embed(plan, worker=faults.Broken)
    with pytest.raises(virpack.Error, match="3 actors in a row were lost"):
        embed(plan, worker=faults.Stillborn)
    assert len(plan.missing()) == PARTS


def test_an_input_that_machines_do_not_see_is_reported_before_any_part(
    cluster: Any, fasta: Callable[..., Path], tmp_path: Path
) -> None:
    path = fasta([40] * 20)
    plan = virpack.plan(path, tmp_path / "plan", TINY, part_tokens=300)
    path.rename(tmp_path / "elsewhere.fasta")
    with pytest.raises(virpack.InputError, match=r"proteins.fasta: the input is not there on \S+"):
        embed(plan)
    (tmp_path / "elsewhere.fasta").rename(path)
    assert embed(plan).rows == 20


def test_a_part_that_cannot_be_written_is_tried_by_other_actors(cluster: Any, fasta: Callable[..., Path], tmp_path: Path) -> None:
    plan = virpack.plan(fasta([40] * 20), tmp_path / "plan", TINY, part_tokens=300)
    # A directory has the name of the first part.
    (tmp_path / "plan" / "part-000001.parquet").mkdir()
    with pytest.raises(virpack.ray.PartsFailed) as failed:
        embed(plan, tries=2)
    [part] = failed.value.summary.failed
    assert (part.number, part.tries) == (1, 2) and "part-000001.parquet" in part.reason
    (tmp_path / "plan" / "part-000001.parquet").rmdir()
    assert embed(plan).made == 1 and plan.commit().rows == 20


def test_another_model_than_the_plans_is_refused(cluster: Any, fasta: Callable[..., Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in TINY.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    plan = virpack.plan(fasta([40] * 20), tmp_path / "plan", model, part_tokens=300)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(virpack.ray.PartsFailed, match="SHA-256 of the weights of .* is not the plan's"):
        embed(plan)


def test_the_command_reports_what_it_cannot_do(cluster: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "virpack.ray", str(tmp_path), "--address", cluster.address]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and f"error: {tmp_path} has no plan" in ended.stderr


def test_ctrl_c_ends_a_driver_and_keeps_finished_parts(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    plan = proteins.plan(tmp_path / "plan")
    command = [sys.executable, "-m", "virpack.ray", plan.directory, "--address", cluster.address, "--num-gpus", "0"]
    driver = subprocess.Popen([*command, "--concurrency", "1"], stderr=subprocess.PIPE, text=True)
    waits_until(lambda: len(plan.missing()) < PARTS, driver)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    # It may have ended just before.
    assert driver.returncode in (0, 130), said
    embed(plan)
    proteins.holds(plan)


def test_the_documentation_runs(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data", exc_type=ImportError)
    page = (ROOT / "docs" / "howto" / "clusters.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    blocks = [block for block in blocks if "virpack.ray" in block]
    assert len(blocks) == 2
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/howto/clusters.md", "exec"), names)
    assert names["summary"].rows == 4 and Path("ray_plan.parquet").stat().st_size > 0
    assert names["plan"].commit().rows == 4


def test_a_part_is_also_a_row_of_ray_data(cluster: Any, proteins: Input, tmp_path: Path) -> None:
    data = pytest.importorskip("ray.data", exc_type=ImportError)
    plan = proteins.plan(tmp_path / "plan")
    todo = virpack.ray.part_rows(plan)
    assert [row["tokens"] for row in todo] == sorted((part.tokens for part in plan.parts), reverse=True)
    rows = data.from_items(todo, override_num_blocks=len(todo)).map_batches(
        virpack.ray.EmbedPart,
        fn_constructor_kwargs={"directory": plan.directory, "device": "cpu", "threads": 1},
        batch_size=1,
        compute=data.ActorPoolStrategy(min_size=1, max_size=2),
    )
    made = rows.take_all()
    assert sorted(row["part"] for row in made) == [part.number for part in plan.parts]
    assert sum(row["rows"] for row in made) == RECORDS and all(row["error"] == "" for row in made)
    proteins.holds(plan)


def waits_until(is_so: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    for _ in range(6_000):
        if is_so():
            return
        assert process.poll() is None, "it has ended"
        time.sleep(0.01)
    raise AssertionError("it takes too long")
