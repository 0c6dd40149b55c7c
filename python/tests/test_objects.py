"""Inputs by URL, from an S3 server that checks signatures: moto's. Skipped if it is not installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")

ROOT = Path(__file__).parents[2]
TINY = ROOT / "examples" / "esm2_tiny"
SCRIPT = os.environ.get("VIRPACK") or shutil.which("virpack", path=sysconfig.get_path("scripts")) or "virpack"
KEYS = ["aws_access_key_id", "aws_secret_access_key"]


@contextlib.contextmanager
def store(checked: bool) -> Iterator[dict[str, str]]:
    """Starts a server with a bucket `genomes`, and returns the environment of a user who may read it. If it is
    `checked`, no other user may."""
    # Signatures are compared from that request on; the earlier requests create the user.
    auth = {"INITIAL_NO_AUTH_ACTION_COUNT": "5"} if checked else {}
    line = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(line, env=os.environ | auth, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = next(line for line in server.stderr if "Running on http" in line)
            url = said.split("Running on ")[1].split()[0]
            key = {**dict.fromkeys(KEYS, "root"), "endpoint_url": url, "region_name": "us-east-1"}
            s3, iam = boto3.client("s3", **key), boto3.client("iam", **key)
            s3.create_bucket(Bucket="genomes")
            s3.put_object(Bucket="genomes", Key="dir/p.fa", Body=(ROOT / "examples" / "proteins.fasta").read_bytes())
            iam.create_user(UserName="reader")
            allowed = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
            iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=allowed)
            made = iam.create_access_key(UserName="reader")["AccessKey"]
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            yield environment | {
                "AWS_ENDPOINT_URL": url,
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
            }
        finally:
            server.kill()


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [SCRIPT, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def embed(environment: dict[str, str], source: object, output: Path) -> subprocess.CompletedProcess[str]:
    return run(environment, "embed", source, "-m", TINY, "--device", "cpu", "-o", output)


def test_an_object_of_a_bucket_is_read_by_those_who_may(tmp_path: Path) -> None:
    whole, one, plan, joined, other = (tmp_path / name for name in ["whole.npy", "one.npy", "plan", "joined.npy", "x.npy"])
    with store(checked=True) as user:
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
    with store(checked=False) as user:
        key = {name: user[name.upper()] for name in KEYS}
        s3 = boto3.client("s3", **key, endpoint_url=user["AWS_ENDPOINT_URL"], region_name="us-east-1")
        link = s3.generate_presigned_url("get_object", Params={"Bucket": "genomes", "Key": "dir/p.fa"})
        read = embed(user, link, tmp_path / "one.npy")
    assert read.returncode == 0, read.stderr
    secrets = [part for part in link.split("?")[1].split("&") if "ignature" in part]
    assert secrets and not any(part in read.stderr for part in secrets)
    assert "Signature" not in (tmp_path / "one.npy.run.json").read_text()
