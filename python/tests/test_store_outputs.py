"""Plans, parts, commits and files in an S3 bucket, on a server that checks signatures and rights: moto's."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from object_server import SCRIPT, TINY, Stopping, run, store

PLAN = "s3://genomes/run/plan"
# A part of some 20 MB, whose upload has two pieces: a row for each residue.
LARGE = ["--pool", "none", "--part-tokens", "125000", "--max-length", "1000"]


@pytest.fixture
def proteins(tmp_path: Path) -> Path:
    letters = random.Random(3)
    path = tmp_path / "proteins.fasta"
    path.write_text("".join(f">p{i}\n{''.join(letters.choices('ACDEFGHIKLMNPQRSTVWY', k=900))}\n" for i in range(150)))
    return path


def ok(environment: dict[str, str], *arguments: object) -> str:
    """Runs virpack, which must succeed, and returns what it prints."""
    done = run(environment, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def refused(environment: dict[str, str], *arguments: object) -> str:
    """Runs virpack, which must fail with an error of one line and a hint of one line, and returns them."""
    done = run(environment, *arguments)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("on CPU")]
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("hint: "), done.stderr
    assert environment["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    return done.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_plan_in_a_bucket_gives_the_files_of_one_on_a_disk(tmp_path: Path, proteins: Path) -> None:
    options = ["-m", TINY, "--part-tokens", 40_000]
    local, joined, whole = tmp_path / "plan", tmp_path / "joined.parquet", tmp_path / "whole.parquet"
    with store(checked=True) as server:
        user = server.writer
        for place in (local, PLAN):
            ok(user, "plan", proteins, "-o", place, *options)
            ok(user, "embed", "--plan", place, "--part", "1/2", "--device", "cpu")
        assert "part 1 is there" in ok(user, "embed", "--plan", PLAN, "--part", "1", "--device", "cpu")
        assert "part 2: missing" in run(user, "commit", PLAN).stderr
        for place in (local, PLAN):
            ok(user, "embed", "--plan", place, "--device", "cpu")
        assert "nothing to make: 4 parts are there" in ok(user, "embed", "--plan", PLAN, "--device", "cpu")
        assert "it was there already" in ok(user, "plan", proteins, "-o", PLAN, *options)
        assert "its part tokens differs" in refused(user, "plan", proteins, "-o", PLAN, "-m", TINY)
        for place in (local, PLAN):
            ok(user, "commit", place)
        assert "it was there already" in ok(user, "commit", PLAN)
        assert server.objects("run/plan/") == files(local), "every file, byte for byte"

        # Joined to a file here and to one there, which are those of one run.
        ok(user, "commit", PLAN, "-o", joined)
        ok(user, "commit", local, "-o", "s3://genomes/run/joined.parquet")
        ok(user, "embed", proteins, "-m", TINY, "--device", "cpu", "-o", whole)
        ok(user, "embed", proteins, "-m", TINY, "--device", "cpu", "-o", "s3://genomes/run/whole.parquet")
        there = server.objects("run/")
        assert there["joined.parquet"] == there["whole.parquet"] == joined.read_bytes() == whole.read_bytes()
        assert "whole.parquet.run.json" in there
        again = ["embed", proteins, "-m", TINY, "--device", "cpu", "-o", "s3://genomes/run/whole.parquet"]
        assert "replace it with --force" in refused(user, *again)
        ok(user, *again, "--force")
        shard = tmp_path / "one.shard"
        ok(user, "embed", proteins, "-m", TINY, "--device", "cpu", "--shard", "1/1", "-o", shard)
        ok(user, "merge", shard, "-o", "s3://genomes/run/merged.parquet")
        assert server.objects("run/merged.parquet")[""] == whole.read_bytes()
        own = "s3://genomes/run/plan/part-000001.parquet"
        assert "is a file of the plan" in refused(user, "commit", PLAN, "-o", own, "--force")

        # A part that is torn, and one that the plan does not have.
        s3 = server.client()
        part = server.objects("run/plan/part-000002.parquet")[""]
        s3.put_object(Bucket="genomes", Key="run/plan/part-000002.parquet", Body=part[:-1] + b"x")
        torn = run(user, "commit", PLAN)
        assert torn.returncode == 1 and "part 2: torn: " in torn.stderr and f"--plan {PLAN} --part 2" in torn.stderr
        ok(user, "embed", "--plan", PLAN, "--part", "2", "--device", "cpu")
        s3.put_object(Bucket="genomes", Key="run/plan/part-000009.parquet", Body=part)
        assert "the plan has no such part" in refused(user, "commit", PLAN)


def test_parts_of_predict_are_made_in_a_bucket(tmp_path: Path) -> None:
    contigs = Path(__file__).parents[2] / "examples" / "contigs.fasta"
    with store(checked=True) as server:
        user = server.writer
        ok(user, "plan", "--predict", contigs, "-o", PLAN, "--part-tokens", 5_000)
        ok(user, "predict", "--plan", PLAN, "--device", "cpu")
        ok(user, "commit", PLAN, "-o", tmp_path / "joined")
        ok(user, "predict", contigs, "--device", "cpu", "-o", tmp_path / "whole")
        tables = ["sequences.tsv", "chunks.tsv", "frames.tsv"]
        joined, whole = files(tmp_path / "joined"), files(tmp_path / "whole")
        assert [joined[table] for table in tables] == [whole[table] for table in tables]
        assert "written on a disk" in refused(user, "commit", PLAN, "-o", "s3://genomes/run/tables")


def test_frames_in_a_bucket_are_those_on_a_disk(tmp_path: Path) -> None:
    contigs = Path(__file__).parents[2] / "examples" / "contigs.fasta"
    names = ["_nucleotide.fa", "_protein.faa"]
    with store(checked=True) as server:
        user = server.writer
        ok(user, "frames", contigs, "-o", tmp_path / "frames")
        ok(user, "frames", contigs, "-o", "s3://genomes/run/frames")
        expected = {name: (tmp_path / f"frames{name}").read_bytes() for name in names}
        assert all(expected.values()) and server.objects("run/frames") == expected
        # A name that exists is not replaced, whichever of the two it is.
        server.client().delete_object(Bucket="genomes", Key="run/frames_nucleotide.fa")
        again = ["frames", contigs, "-o", "s3://genomes/run/frames", "--length", 300]
        assert "s3://genomes/run/frames_protein.faa" in refused(user, *again)
        assert server.objects("run/frames") == {"_protein.faa": expected["_protein.faa"]}
        ok(user, *again, "--force")
        ok(user, "frames", contigs, "-o", tmp_path / "short", "--length", 300)
        assert server.objects("run/frames") == {name: (tmp_path / f"short{name}").read_bytes() for name in names}
        assert "access is refused" in refused(server.reader, "frames", contigs, "-o", "s3://genomes/run/mine")


@pytest.mark.parametrize("mark", [b"partNumber=1", b"partNumber=2", b"/_parts/000001.json", b"<CompleteMultipartUpload"])
def test_a_process_killed_in_the_middle_of_an_upload_leaves_no_part(tmp_path: Path, proteins: Path, mark: bytes) -> None:
    local = tmp_path / "plan"
    with store(checked=False) as server:
        user = server.writer
        for place in (local, PLAN):
            ok(user, "plan", proteins, "-m", TINY, "-o", place, *LARGE)
        ok(user, "embed", "--plan", local, "--device", "cpu")
        proxy = Stopping(server.url, mark if b"/_parts" not in mark else b"PUT /genomes/run/plan" + mark)
        line = [SCRIPT, "embed", "--plan", PLAN, "--device", "cpu"]
        with subprocess.Popen(line, env={**user, "AWS_ENDPOINT_URL": proxy.url}, stderr=subprocess.DEVNULL) as job:
            assert proxy.stopped.wait(120)
            job.kill()
        left = server.objects("run/plan/")
        assert "_parts/000001.json" not in left
        assert ("part-000001.parquet" in left) == (b"/_parts" in mark)
        s3 = server.client()
        unfinished = s3.list_multipart_uploads(Bucket="genomes").get("Uploads", [])
        assert (len(unfinished) == 1) == (b"/_parts" not in mark), "it was in the middle of an upload"
        ok(user, "embed", "--plan", PLAN, "--device", "cpu")
        ok(user, "commit", PLAN)
        ok(user, "commit", local)
        assert server.objects("run/plan/") == files(local)


def test_two_commits_at_once_write_one_manifest(tmp_path: Path, proteins: Path) -> None:
    with store(checked=False) as server:
        user = server.writer
        ok(user, "plan", proteins, "-m", TINY, "-o", PLAN, "--part-tokens", 40_000)
        ok(user, "embed", "--plan", PLAN, "--device", "cpu")
        line = [SCRIPT, "commit", PLAN]
        jobs = [subprocess.Popen(line, env=user, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        said = [job.communicate()[1] for job in jobs]
        assert [job.returncode for job in jobs] == [0, 0, 0], said
        assert sum("it was there already" in text for text in said) == 2, said
        server.client().put_object(Bucket="genomes", Key="run/plan/manifest.json", Body=b"{}")
        assert "it belongs to other parts" in refused(user, "commit", PLAN)
        assert server.objects("run/plan/manifest.json")[""] == b"{}", "it is not overwritten"


def test_of_runs_at_once_to_one_name_one_writes_it(tmp_path: Path, proteins: Path) -> None:
    with store(checked=False) as server:
        user = server.writer
        line = [SCRIPT, "embed", proteins, "-m", TINY, "--device", "cpu", "-o", "s3://genomes/one.parquet"]
        jobs = [
            subprocess.Popen(line, env={**user, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True) for _ in range(3)
        ]
        said = [job.communicate()[1] for job in jobs]
        assert sorted(job.returncode for job in jobs) == [0, 1, 1], said
        late = [text for job, text in zip(jobs, said, strict=True) if job.returncode]
        assert all("exists" in text and "hint: " in text for text in late), said
        run(user, "embed", proteins, "-m", TINY, "--device", "cpu", "-o", tmp_path / "whole.parquet")
        assert server.objects("one.parquet")[""] == (tmp_path / "whole.parquet").read_bytes()


def test_shards_that_an_earlier_run_left_in_a_bucket_give_way(tmp_path: Path, proteins: Path) -> None:
    with store(checked=False) as server:
        user, old = server.writer, "old-00001-of-00002.safetensors"
        server.client().put_object(Bucket="genomes", Key=f"dir/{old}", Body=b"old")
        embed = ["embed", proteins, "-m", TINY, "--device", "cpu", "-o", "s3://genomes/dir/old.safetensors"]
        assert f"dir/{old} exists" in refused(user, *embed)
        ok(user, *embed, "--force")
        assert old not in server.objects("dir/") and "old.safetensors" in server.objects("dir/")


def test_what_keeps_an_output_from_a_bucket_is_one_line(tmp_path: Path, proteins: Path) -> None:
    with store(checked=True) as server:
        writer, reader = server.writer, server.reader
        plan = ["plan", proteins, "-m", TINY, "--part-tokens", 40_000, "-o"]
        embed = ["embed", proteins, "-m", TINY, "--device", "cpu", "-o"]
        for command in (plan, embed):
            wrong = refused({**writer, "AWS_SECRET_ACCESS_KEY": "guessed"}, *command, "s3://genomes/x.npy")
            assert "access is refused" in wrong and "AWS_ACCESS_KEY_ID" in wrong
            missing = refused(writer, *command, "s3://genes/x.npy")
            assert "there is no bucket or container genes" in missing
            forbidden = refused(reader, *command, "s3://genomes/x.npy")
            assert "access is refused" in forbidden and "may not write there" in forbidden
            assert "that cannot be written to" in refused(writer, *command, "https://host/x.npy")
        assert list(server.objects("")) == ["dir/p.fa"]
        ok(writer, *plan, PLAN)
        forbidden = refused(reader, "embed", "--plan", PLAN, "--device", "cpu")
        assert "part-000001.parquet" in forbidden and "may not write there" in forbidden
        ok(writer, "embed", "--plan", PLAN, "--device", "cpu")
        forbidden = refused(reader, "commit", PLAN)
        assert "manifest.json" in forbidden and "may not write there" in forbidden
        assert "has no plan" in refused(writer, "embed", "--plan", "s3://genomes/none", "--device", "cpu")
        assert "--resume does not go with an output in a store" in refused(writer, *embed, "s3://genomes/x.npy", "--resume")
        lost = {**writer, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        silent = run(lost, "commit", PLAN)
        assert silent.returncode == 1 and "no answer" in silent.stderr, silent.stderr
        ok(writer, "commit", PLAN)


# What a program does with a plan in a bucket, without a disk that its actors share.
PROGRAM = """
import sys
import ray, virpack, virpack.ray
proteins, model, url, output = sys.argv[1:]
plan = virpack.plan(proteins, url, model, part_tokens=40_000)
assert plan.inputs == [proteins] and virpack.Plan(url).missing() == [1, 2, 3, 4]
ray.init(num_cpus=2, object_store_memory=80_000_000, include_dashboard=False, log_to_driver=False)
summary = virpack.ray.embed(url, concurrency=2, num_gpus=0)
assert (summary.made, summary.rows) == (4, 150), summary
assert virpack.Plan(url).embed(1).path == url + "/part-000001.parquet"
assert virpack.ray.embed(url, concurrency=2, num_gpus=0).there == 4
committed = virpack.Plan(url).commit(output)
assert output in committed.files, committed
whole = virpack.embed(proteins, model, device="cpu", output=url + "/whole.npy")
assert whole.files[0] == url + "/whole.npy", whole
assert committed.manifest == url + "/manifest.json" and not committed.was_there, committed
"""


def test_actors_make_a_plan_in_a_bucket(tmp_path: Path, proteins: Path) -> None:
    pytest.importorskip("ray")
    with store(checked=True) as server:
        user = {**server.writer, "RAY_USAGE_STATS_ENABLED": "0"}
        line = [sys.executable, "-c", PROGRAM, proteins, TINY, PLAN, "s3://genomes/run/joined.parquet"]
        done = subprocess.run([str(word) for word in line], env=user, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        ok(user, "embed", proteins, "-m", TINY, "--device", "cpu", "-o", tmp_path / "whole.parquet")
        assert server.objects("run/joined.parquet")[""] == (tmp_path / "whole.parquet").read_bytes()
