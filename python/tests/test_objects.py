"""Inputs by URL, from an S3 server that checks signatures: moto's. Skipped if it is not installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from object_server import ROOT, TINY, run, store


def embed(environment: dict[str, str], source: object, output: Path) -> subprocess.CompletedProcess[str]:
    return run(environment, "embed", source, "-m", TINY, "--device", "cpu", "-o", output)


def test_an_object_of_a_bucket_is_read_by_those_who_may(tmp_path: Path) -> None:
    whole, one, plan, joined, other = (tmp_path / name for name in ["whole.npy", "one.npy", "plan", "joined.npy", "x.npy"])
    with store(checked=True) as server:
        user = server.reader
        assert embed(user, ROOT / "examples" / "proteins.fasta", whole).returncode == 0
        read = embed(user, "s3://genomes/dir/p.fa", one)
        assert read.returncode == 0, read.stderr
        assert one.read_bytes() == whole.read_bytes()
        planned = run(user, "plan", "s3://genomes/dir/p.fa", "-m", TINY, "-o", plan, "--part-tokens", 300)
        assert planned.returncode == 0, planned.stderr
        assert run(user, "embed", "--plan", plan, "--device", "cpu").returncode == 0
        assert run(user, "commit", plan, "-o", joined).returncode == 0
        assert joined.read_bytes() == whole.read_bytes()

        wrong = embed({**user, "AWS_SECRET_ACCESS_KEY": "guessed"}, "s3://genomes/dir/p.fa", other)
        assert wrong.returncode == 1 and "access is refused" in wrong.stderr and "guessed" not in wrong.stderr
        assert "hint: check AWS_ACCESS_KEY_ID" in wrong.stderr and len(wrong.stderr.splitlines()) == 2
        missing = embed(user, "s3://genomes/dir/q.fa", other)
        assert missing.returncode == 1 and "there is no such object" in missing.stderr
        missing = embed(user, "s3://genes/p.fa", other)
        assert missing.returncode == 1 and "there is no bucket or container genes" in missing.stderr
        assert not other.exists()


def test_a_signed_link_is_read_and_not_shown(tmp_path: Path) -> None:
    # The server does not compare the signature of a link, but for virpack it is a link with a secret nevertheless.
    with store(checked=False) as server:
        user = server.reader
        link = server.client().generate_presigned_url("get_object", Params={"Bucket": "genomes", "Key": "dir/p.fa"})
        read = embed(user, link, tmp_path / "one.npy")
    assert read.returncode == 0, read.stderr
    secrets = [part for part in link.split("?")[1].split("&") if "ignature" in part]
    assert secrets and not any(part in read.stderr for part in secrets)
    assert "Signature" not in (tmp_path / "one.npy.run.json").read_text()
